"""The warning about rewards that pay for an episode's length: what it sees, and where it keeps silent."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

import rmgym
from rmgym.bench.compare import compare
from rmgym.bench.verdict import verdict
from rmgym.evaluation.leakage import beside_the_goal, survival_bonus
from rmgym.models.controls import ConstantReward
from rmgym.runs.record import read_runs
from rmgym.runs.train import train
from rmgym.transitions import Transitions
from tests.sb3.small import PPO_SMALL


def episodes(*lengths: int, terminated: bool = True) -> Transitions:
    ends = np.concatenate([[*[False] * (n - 1), True] for n in lengths])
    zeros = np.zeros(len(ends))
    whose = np.repeat(np.arange(len(lengths)), lengths)
    flags = (ends, ~ends & False) if terminated else (ends & False, ends)
    return Transitions.from_arrays(zeros, zeros, zeros, *flags, episode=whose)


@pytest.mark.parametrize(("sign", "pays"), [(1, "surviving pays"), (-1, "ending the episode pays")])
def test_a_one_sided_reward_where_episodes_end_at_different_times(sign: int, pays: str) -> None:
    said = survival_bonus(episodes(3, 7), sign * np.full(10, 0.5))
    assert said is not None
    assert "2 of 2 episodes terminated, after 3 to 7 steps" in said
    assert pays in said


@pytest.mark.parametrize(
    ("steps", "rewards"),
    [
        (episodes(3, 7, terminated=False), np.ones(10)),  # a time limit cut them
        (episodes(5, 5), np.ones(10)),  # of one length
        (episodes(3, 7), np.array([1.0, -1.0] * 5)),  # two-sided
        (episodes(3, 7), np.zeros(10)),  # nothing pays
    ],
)
def test_nothing_is_said_where_length_tells_nothing(steps: Transitions, rewards: Any) -> None:
    assert survival_bonus(steps, rewards) is None


@pytest.mark.parametrize(
    ("reward", "fixed_horizon", "warned"), [("constant", None, True), ("constant", 50, False), ("true", None, False)]
)
def test_training_warns_once(caplog: Any, reward: str, fixed_horizon: int | None, warned: bool) -> None:
    agent = rmgym.sb3.make_agent(
        "ppo", "CartPole-v1", reward_model=reward, fixed_horizon=fixed_horizon, seed=0, **PPO_SMALL
    )
    callback = rmgym.sb3.RewardComparisonCallback(eval_every=64, episodes=4)
    with caplog.at_level(logging.WARNING, "rmgym"):
        agent.learn(192, callback=callback)
    said = [r.getMessage() for r in caplog.records if "pays whatever else" in r.getMessage()]
    assert len(said) == warned
    assert (callback.survival_bonus is not None) == warned


class Pays(ConstantReward):
    """A model of somebody's own that says 1 of every step; it is not the control."""

    name = "pays"


@pytest.mark.parametrize("fixed_horizon", [None, 50])
def test_a_run_says_so_in_its_record_and_its_report(tmp_path: Any, fixed_horizon: int | None) -> None:
    result = train(
        "ppo",
        "CartPole-v1",
        Pays(),
        out=tmp_path / "run",
        reward_name="mine",
        fixed_horizon=fixed_horizon,
        total_steps=128,
        episodes=10,
        progress=False,
        hyperparameters=PPO_SMALL,
    )
    (match,) = compare(read_runs([tmp_path]))
    warned = fixed_horizon is None
    assert (result.outcome.survival_bonus is not None) == warned
    assert ("may have given mine away" in " ".join(verdict(match).sentences)) == warned


def test_an_agent_that_is_paid_for_getting_near_is_told_of() -> None:
    there, not_there = np.array([1.0, 1.0, 0.0]), np.zeros(3)
    said = beside_the_goal(np.array([0.6, 0.5, 0.7]), not_there)
    assert said is not None
    assert "getting nearer to success pays 0.6 per episode, and success itself 0" in said
    assert beside_the_goal(np.full(3, 0.3), there) is None
    assert beside_the_goal(np.full(3, 0.04), not_there) is None  # next to nothing
