"""Behaviours that know nothing of a task: theirs alone, repeatable, and inside the action space."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from gymnasium import spaces

from rmgym.environments.behaviours import Behaviour, behaviour
from rmgym.environments.collect import collect
from rmgym.errors import RunError

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (3,), np.float32)
ACTIONS = [
    spaces.Box(np.float32([-2, 0]), np.float32([2, 5]), dtype=np.float32),
    spaces.Box(-np.inf, np.inf, (1, 2), np.float64),
    spaces.Discrete(4, start=-1),
    spaces.MultiDiscrete([2, 3]),
]


@pytest.mark.parametrize("space", ACTIONS, ids=str)
@pytest.mark.parametrize("name", get_args(Behaviour))
def test_actions_are_of_the_space_and_follow_from_the_seed(name: Behaviour, space: spaces.Space) -> None:
    seen = np.random.default_rng(0).normal(0, 100, (200, 3)).astype(np.float32)
    twice = [[policy(obs) for obs in seen] for policy in (behaviour(name, OBSERVATIONS, space, 3) for _ in range(2))]
    assert all(space.contains(action) for action in twice[0])
    assert all(np.array_equal(a, b) for a, b in zip(*twice, strict=True))
    other = behaviour(name, OBSERVATIONS, space, 4)
    assert any(not np.array_equal(a, other(obs)) for a, obs in zip(twice[0], seen, strict=True))


def test_sticky_actions_are_taken_ten_times_on_average() -> None:
    policy = behaviour("sticky", OBSERVATIONS, spaces.Box(-1, 1, (1,), np.float32), 0)
    taken = np.array([policy(np.zeros(3, np.float32)) for _ in range(20_000)])
    assert np.mean(taken[1:] == taken[:-1]) == pytest.approx(0.9, abs=0.01)


def test_a_network_answers_to_what_it_sees_and_gives_way_to_another_after_50_steps() -> None:
    policy = behaviour("networks", OBSERVATIONS, spaces.Box(-1, 1, (1,), np.float32), 0)
    one, other = np.float32([1, 0, 0]), np.float32([0, -3, 0])
    taken = [float(policy(one if i % 2 == 0 else other)[0]) for i in range(100)]
    assert len(set(taken[0:50:2])) == len(set(taken[1:50:2])) == 1
    assert taken[0] != taken[1]
    assert len(set(taken[50::2])) == 1
    assert taken[50] != taken[0]


def test_where_observations_are_no_numbers_actions_are_drawn() -> None:
    steps = collect("MiniGrid-Empty-Random-5x5-v0", 60, policy="networks", progress=False)
    assert len(set(steps.action.tolist())) > 3  # type: ignore[union-attr]


def test_behaviours_reach_other_states_and_say_so() -> None:
    steps = {name: collect("MountainCar-v0", 400, policy=name, progress=False) for name in get_args(Behaviour)}
    reach = {name: np.ptp(np.asarray(part.obs)[:, 0]) for name, part in steps.items()}
    assert reach["sticky"] > 1.5 * reach["random"]
    assert {name: part.metadata["sources"] for name, part in steps.items()} == {name: {name: 0} for name in steps}


def test_an_unknown_behaviour_is_refused_with_the_nearest() -> None:
    with pytest.raises(RunError, match="did you mean 'sticky'"):
        collect("CartPole-v1", 5, policy="stiky", progress=False)  # type: ignore[arg-type]
