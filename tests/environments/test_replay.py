"""Steps taken again are the same steps, or nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import gymnasium as gym
import numpy as np
import pytest

from rmgym.environments.behaviours import Behaviour, Source
from rmgym.environments.build import build_env
from rmgym.environments.collect import collect, collected_in, sources_of
from rmgym.environments.raw_observation import RawObservation
from rmgym.environments.replay import can_replay, replay
from rmgym.errors import RunError
from rmgym.sb3 import AgentPlayer, make_agent, save_agent
from rmgym.specs import EnvSpec
from rmgym.transitions import Transitions
from rmgym.trees import Value


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


class Steady:
    """Acts as agents of Stable-Baselines3 do."""

    def predict(self, observation: Value, *, deterministic: bool) -> tuple[Value, None]:
        return int(observation[2] > 0), None


class Tale:
    """A player: three episodes of its own, whose seeds it may tell."""

    def __init__(self, seeds: tuple[int, ...] | None) -> None:
        self.seeds = seeds

    def play(self, env: EnvSpec, steps: int, seed: int) -> Transitions:
        parts = [collect(env, steps // 3, seed=own, progress=False) for own in (5, 3, 9)]
        first = [part[part.episode == 0] for part in parts]
        metadata = {} if self.seeds is None else {"seeds": {str(i): own for i, own in enumerate(self.seeds)}}
        return replace(Transitions.concatenate(first), metadata=metadata)


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> AgentPlayer:
    file = tmp_path_factory.mktemp("agent") / "agent.zip"
    save_agent(make_agent("ppo", "CartPole-v1", reward_model="constant", seed=0), file)
    return AgentPlayer(file)


@pytest.mark.parametrize("kind", ["random", "sticky", "networks", "function", "predict", "player", "agent"])
def test_several_episodes_of_each_kind_of_source(player: AgentPlayer, tmp_path: Path, kind: str) -> None:
    named: dict[str, Source] = {
        "function": lambda observation: int(observation[2] < 0),
        "predict": Steady(),
        "player": Tale((5, 3, 9)),
        "agent": player,
    }
    mixture: dict[str, Source] = {"first": "random", "it": named.get(kind, cast("Behaviour", kind)), "last": "sticky"}
    for reset_every in (None, 11):
        steps = collect("CartPole-v1", 360, policy=mixture, reset_every=reset_every, seed=4, progress=False)
        mine = steps.episode[np.array(sources_of(steps)) == "it"]
        assert len(set(mine.tolist())) >= 3
        steps = Transitions.load(steps.save(tmp_path / f"{reset_every}.parquet"))
        with gym.make("CartPole-v1") as live:
            assert can_replay(live, steps)
            assert sum(1 for _ in replay(live, steps)) == 2 * len(steps)


def test_a_player_that_tells_no_seeds_is_not_repeated_and_a_wrong_one_is_noticed() -> None:
    with gym.make("CartPole-v1") as live:
        silent = collect("CartPole-v1", 60, policy={"a": "random", "b": Tale(None)}, progress=False)
        assert not can_replay(live, silent)
        wrong = collect("CartPole-v1", 60, policy={"a": "random", "b": Tale((5, 3, 8))}, progress=False)
        assert can_replay(live, wrong)
        with pytest.raises(RunError, match="another observation at row"):
            list(replay(live, wrong))
    assert not can_replay(live, replace(silent, metadata={**silent.metadata, "seeds": {"first": 1}}))


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
        next(replay(live, replace(steps, metadata={**steps.metadata, "seeds": {"0": 1}})))


def test_steps_without_a_seed_or_below_wrappers_cannot_be_taken_again() -> None:
    steps = collect("CartPole-v1", 5, progress=False)
    plain = Transitions.from_arrays(steps.obs, steps.action, steps.next_obs)
    with gym.make("CartPole-v1") as live:
        assert not can_replay(live, plain)
        assert not can_replay(RawObservation(live), steps)
