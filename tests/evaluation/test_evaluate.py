"""Evaluation: episodes replayed by hand, nothing else disturbed."""

from __future__ import annotations

import random
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy import stats

import rmgym
from rmgym.errors import RunError
from rmgym.sb3 import evaluate, make_agent
from tests.doubles import COUNTER, ToyReward
from tests.sb3.small import PPO_SMALL


class Climber:
    """Goes up where the position is even, else stays."""

    def predict(self, observation: Any, *, deterministic: bool) -> tuple[np.ndarray, None]:
        np.random.random()  # a policy may draw
        return np.where(observation[:, 0] % 2 == 0, 2, 1), None


def test_every_episode_is_replayed_once() -> None:
    model = ToyReward()
    found = evaluate(Climber(), COUNTER, model, episodes=13, seed=40)
    assert len(model.calls) == 1
    say = rmgym.textualizer(COUNTER)
    row = 0
    for episode in range(13):
        env = gym.make(COUNTER)
        obs, _ = env.reset(seed=40 + episode)
        true = learned = 0.0
        ended = False
        while not ended:
            action = 2 if obs[0] % 2 == 0 else 1
            after, reward, terminated, truncated, _ = env.step(action)
            said = model.predict([say.describe(obs, action, after, terminated, truncated)]).mean[0]
            assert found.learned_reward[row] == pytest.approx(said)
            assert found.steps.true_reward[row] == reward
            true, learned, row = true + float(reward), learned + said, row + 1
            obs, ended = after, terminated or truncated
        assert found.true_return[episode] == true
        assert found.learned_return[episode] == pytest.approx(learned)
        assert found.length[episode] == row - found.length[:episode].sum()
    assert row == len(found.steps)
    assert found.spearman == pytest.approx(stats.spearmanr(found.learned_reward, found.steps.true_reward)[0])
    assert found.row()["true_return_std"] == pytest.approx(np.std(found.true_return))


def test_more_episodes_begin_with_the_same_ones() -> None:
    few, many = (evaluate(Climber(), COUNTER, "random", episodes=n, seed=3) for n in (4, 12))
    assert np.array_equal(few.true_return, many.true_return[:4])


def test_no_random_state_is_touched() -> None:
    states = [random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()]  # type: ignore[index]
    evaluate(Climber(), COUNTER, "random", episodes=2)
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])  # type: ignore[index]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_the_control_true_agrees_with_itself_and_a_constant_with_nothing() -> None:
    true = evaluate(Climber(), COUNTER, "true", episodes=3)
    assert np.array_equal(true.true_return, true.learned_return)
    assert (true.spearman, true.pearson, true.pair_accuracy) == pytest.approx((1, 1, 1))
    constant = evaluate(Climber(), COUNTER, "constant", episodes=3)
    assert np.isnan([constant.spearman, constant.pearson]).all()
    assert np.array_equal(constant.learned_return, constant.length)


def test_observations_are_normalised_with_frozen_statistics() -> None:
    agent = make_agent("ppo", "MountainCar-v0", reward_model="constant", n_envs=2, **PPO_SMALL).learn(96)
    normalizer: Any = agent.get_vec_normalize_env()
    before = normalizer.obs_rms.mean.copy()
    found = evaluate(agent, "MountainCar-v0", "constant", episodes=2, env_kwargs={"max_episode_steps": 20})
    assert np.array_equal(normalizer.obs_rms.mean, before)
    expected, _ = agent.policy.predict(normalizer.normalize_obs(found.steps.obs), deterministic=True)
    assert np.array_equal(found.steps.action, expected)
    assert found.steps.truncated.sum() == 2


def test_an_episode_is_needed() -> None:
    with pytest.raises(RunError, match="at least one episode"):
        evaluate(Climber(), COUNTER, "constant", episodes=0)


class Reacher(gym.Env[Any, Any]):
    """Four steps; its info tells of success as ``key``, in these steps."""

    observation_space = gym.spaces.Box(0, 9, (1,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def __init__(self, key: str = "is_success", when: tuple[int, ...] = (4,), of: int = 1) -> None:
        self.key, self.when, self.of = key, when, of

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.counts = 0, (seed or 0) % self.of == 0
        return np.float32([0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += 1
        info = {self.key: self.counts and self.place in self.when}
        return np.float32([self.place]), 0.0, self.place == 4, False, info


gym.register("ToReach-v0", Reacher)


@pytest.mark.parametrize(
    ("kwargs", "rate"),
    [
        ({}, 1.0),
        ({"of": 2}, 0.5),
        ({"when": (2,)}, 0.0),  # it was there and has left
        ({"key": "success", "when": (2,)}, 1.0),
        ({"key": "success", "when": (2,), "of": 4}, 0.25),
        ({"key": "won"}, None),
    ],
)
def test_success_is_what_the_infos_tell(kwargs: dict[str, Any], rate: float | None) -> None:
    played = evaluate(Climber(), "ToReach-v0", "true", episodes=12, seed=0, env_kwargs=kwargs)
    if rate is None:
        assert played.success is None
        assert "success_rate" not in played.row()
    else:
        assert played.success is not None
        assert played.success.shape == (12,)
        assert played.row()["success_rate"] == rate
