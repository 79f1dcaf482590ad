"""Steps taken again are the same steps, or nothing."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from rmgym.environments.build import build_env
from rmgym.environments.collect import collect, collected_in
from rmgym.environments.raw_observation import RawObservation
from rmgym.environments.replay import can_replay, replay
from rmgym.errors import RunError
from rmgym.transitions import Transitions


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "Blackjack-v1", "FrozenLake-v1"])
def test_each_moment_is_the_one_of_then(env: str) -> None:
    steps = collect(env, 120, seed=3, reset_every=25, progress=False)
    spec = collected_in(steps)
    assert spec is not None
    with build_env(spec) as live:
        assert can_replay(live, steps)
        moments = [*replay(live, steps)]
    assert moments == [(row, taken) for row in range(120) for taken in (False, True)]


def test_each_source_begins_anew() -> None:
    steps = collect("CartPole-v1", 90, policy={"a": "random", "b": "sticky"}, reset_every=20, progress=False)
    with gym.make("CartPole-v1") as live:
        assert sum(1 for _ in replay(live, steps)) == 180


def test_the_environment_is_in_the_state_that_is_named() -> None:
    steps = collect("CartPole-v1", 60, progress=False)
    with gym.make("CartPole-v1") as live:
        for row, taken in replay(live, steps):
            state = np.asarray(live.unwrapped.state, np.float32)  # type: ignore[attr-defined]
            np.testing.assert_array_equal(state, (steps.next_obs if taken else steps.obs)[row])


def test_an_environment_that_does_otherwise_is_noticed_at_the_first_step() -> None:
    steps = collect("CartPole-v1", 40, progress=False)
    other = np.where(np.arange(40) == 7, 1 - steps.action, steps.action)
    with gym.make("CartPole-v1") as live:
        taken = replay(live, replace(steps, action=other))
        moments = list[tuple[int, bool]]()
        with pytest.raises(RunError, match="row 7"):
            moments.extend(taken)
    assert moments[-1] == (7, False)
    with gym.make("CartPole-v1") as live, pytest.raises(RunError, match="row 0"):
        next(replay(live, replace(steps, metadata={**steps.metadata, "seed": 1})))


def test_steps_without_a_seed_or_below_wrappers_cannot_be_taken_again() -> None:
    steps = collect("CartPole-v1", 5, progress=False)
    plain = Transitions.from_arrays(steps.obs, steps.action, steps.next_obs)
    with gym.make("CartPole-v1") as live:
        assert not can_replay(live, plain)
        assert not can_replay(RawObservation(live), steps)
