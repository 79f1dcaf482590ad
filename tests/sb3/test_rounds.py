"""Rounds inside one training: when they happen, what they are handed, and that the agent goes on with their model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rmgym
from rmgym.composition import Composition
from rmgym.errors import RunError
from rmgym.models.base import RewardModel
from rmgym.sb3 import RewardComparisonCallback
from rmgym.sb3.checkpoints import Checkpoints, latest_checkpoint, steps_of
from rmgym.sb3.deferred import learned_env
from rmgym.sb3.rounds import Rounds, RoundsCallback
from rmgym.transitions import Transitions
from tests.doubles import ToyReward
from tests.sb3.small import SMALL

PLACES = {"ppo": ("Pendulum-v1", {"n_envs": 2}), "dqn": ("CartPole-v1", {})}


class Asked:
    """Makes models of another weight each, and remembers what it was handed."""

    def __init__(self, at: tuple[int, ...]) -> None:
        self.handed = list[tuple[int, int, Transitions]]()
        self.rounds = Rounds(at=at, model_after=self.model, made_in=int, next_model=self.next)

    def model(self, number: int) -> RewardModel:
        return ToyReward(weight=float(number + 1))

    def next(self, number: int, taken: int, steps: Transitions) -> RewardModel:
        self.handed.append((number, taken, steps))
        return self.model(number)


def train(algo: str, asked: Asked, folder: Path, steps: int = 600) -> tuple[Any, RewardComparisonCallback]:
    env, settings = PLACES[algo]
    agent = rmgym.sb3.make_agent(algo, env, reward_model=asked.model(0), seed=2, **settings, **SMALL[algo])
    comparison = RewardComparisonCallback(eval_every=200, episodes=1, out=folder)
    checkpoints = Checkpoints(folder, 100, 2, 0.0, after=max(asked.rounds.at))
    agent.learn(steps, callback=[RoundsCallback(asked.rounds, comparison, checkpoints), checkpoints, comparison])
    return agent, comparison


@pytest.mark.parametrize("algo", PLACES)
def test_each_round_is_handed_the_steps_since_the_last_one_in_order(algo: str, tmp_path: Path) -> None:
    asked = Asked((150, 300))
    agent, comparison = train(algo, asked, tmp_path)
    assert [number for number, _, _ in asked.handed] == [1, 2]
    assert [len(steps) for _, _, steps in asked.handed] == np.diff([0, *(at for _, at, _ in asked.handed)]).tolist()
    for _, _, steps in asked.handed:
        same = np.diff(steps.episode) == 0
        assert (np.diff(steps.episode) >= 0).all()
        assert (np.diff(steps.step)[same] == 1).all()
    learned = learned_env(agent)
    assert learned is not None
    assert learned.model == ToyReward(weight=3.0)
    assert len(learned.drain()) == 0  # nothing was recorded after the last round
    rounds = [row["round"] for row in comparison.rows]
    assert rounds[0] < rounds[-1] == 2
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert steps_of(checkpoint) > 300  # its own again after the last round


def test_rounds_that_fall_into_one_rollout_are_one(tmp_path: Path) -> None:
    asked = Asked((10, 20, 30, 300))
    train("ppo", asked, tmp_path)
    assert [(number, taken) for number, taken, _ in asked.handed] == [(3, 96), (4, 384)]


def test_the_agent_learns_from_the_rewards_of_the_new_model_alone(tmp_path: Path) -> None:
    asked = Asked((100,))
    agent, _ = train("dqn", asked, tmp_path, steps=140)
    buffer = agent.replay_buffer
    buffer.score_pending()
    rows = np.arange(buffer.pos)
    steps = buffer._steps.take(buffer._places(rows))
    learned = learned_env(agent)
    assert learned is not None
    expected = ToyReward(weight=2.0).predict(learned.textualizer.batch(steps)).mean
    assert buffer.rewards[rows, 0] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore::rmgym.errors.ConstantUncertaintyWarning")
@pytest.mark.parametrize("algo", PLACES)
def test_a_round_may_put_the_reward_together_otherwise_without_another_model(algo: str, tmp_path: Path) -> None:
    asked, unsure = Asked((100, 150)), ToyReward(std=0.5)
    schedule = {0: None, 1: Composition(uncertainty_penalty=2.0), 2: Composition(uncertainty_penalty=-1.0)}
    asked.rounds = Rounds(
        at=(100, 150),
        model_after=lambda number: unsure,
        made_in=lambda number: 0,
        next_model=lambda number, taken, steps: unsure,
        composition_after=schedule.__getitem__,
    )
    asked.model = lambda number: unsure  # type: ignore[method-assign]
    agent, comparison = train(algo, asked, tmp_path, steps=240)
    learned = learned_env(agent)
    assert learned is not None
    assert learned.composition == schedule[2]
    assert agent.rmgym["reward"]["composition"]["uncertainty_penalty"] == -1.0  # load_agent goes on with it
    assert {row["round"] for row in comparison.rows} == {0}  # what it says is of one model
    if algo == "ppo":
        buffer = agent.rollout_buffer
        assert buffer.rewards == pytest.approx(buffer.learned_rewards + 0.5)
        return
    buffer = agent.replay_buffer
    buffer.score_pending()
    steps = buffer._steps.take(np.arange(buffer.pos))
    expected = unsure.predict(learned.textualizer.batch(steps)).mean + 0.5
    assert buffer.rewards[: buffer.pos, 0] == pytest.approx(expected)


def test_an_agent_that_scores_every_step_has_no_rounds(tmp_path: Path) -> None:
    agent = rmgym.sb3.make_agent("ppo", "Pendulum-v1", reward_model=ToyReward(), when="step", **SMALL["ppo"])
    comparison = RewardComparisonCallback(episodes=1)
    callback = RoundsCallback(Asked((50,)).rounds, comparison, Checkpoints(tmp_path, 100, 0, 0.0))
    with pytest.raises(RunError, match="scores its steps in batches"):
        agent.learn(96, callback=callback)
