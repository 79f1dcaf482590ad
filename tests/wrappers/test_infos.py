"""What an environment says in ``info`` is handed on, whatever names it uses; what we say stands under our names."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

import rmgym
from rmgym.errors import RunError
from rmgym.sb3 import LearnedRewardVecEnv
from rmgym.wrappers import LearnedRewardVectorWrapper, LearnedRewardWrapper
from tests.doubles import CounterEnv, ToyReward

THEIRS = {"raw_obs": "a picture", "absorbing": 2, "true_reward": -7.5, "true_return": -70.0, "position": 3}


class Talkative(CounterEnv):
    """Uses names that we use, or might."""

    def __init__(self, words: dict[str, Any]) -> None:
        super().__init__()
        self.words = words

    def step(self, action: int) -> Any:
        *rest, _ = super().step(action)
        return *rest, dict(self.words)


def one_step(kind: str, words: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Reward and info of a step by action 2 from position 0 to 1, whose true reward is 12."""
    if kind == "one":
        env: Any = LearnedRewardWrapper(Talkative(words), ToyReward())
        env.reset(seed=1)
        _, reward, *_, info = env.step(2)
        return reward, info
    if kind == "sb3":
        env = LearnedRewardVecEnv(DummyVecEnv([lambda: Talkative(words)]), ToyReward())
        env.seed(1)
        env.reset()
        _, rewards, _, infos = env.step(np.array([2]))
        return rewards[0], infos[0]
    env = LearnedRewardVectorWrapper(SyncVectorEnv([lambda: Talkative(words)]), ToyReward())
    env.reset(seed=1)
    _, rewards, *_, infos = env.step(np.array([2]))
    assert all(infos[f"_{key}"].all() for key in [*infos] if not key.startswith("_"))
    return rewards[0], {key: value[0] for key, value in infos.items() if not key.startswith("_")}


KINDS = pytest.mark.parametrize("kind", ["one", "sb3", "vector"])


@KINDS
def test_an_environments_own_words_survive(kind: str) -> None:
    text = rmgym.textualizer(CounterEnv()).describe([0, 0], 2, [1, 1])
    expected = ToyReward().predict([text]).mean[0]
    reward, info = one_step(kind, THEIRS)
    besides = ("TimeLimit.truncated", "rmgym.learned_return", "rmgym.true_return")
    own = {key: value for key, value in info.items() if key not in besides}
    assert reward == pytest.approx(expected)
    assert own == {
        "raw_obs": "a picture",
        "absorbing": 2,
        "position": 3,
        "rmgym.env.true_reward": -7.5,
        "rmgym.env.true_return": -70.0,
        "true_reward": 12.0,
        "learned_reward": pytest.approx(expected),
    }


@KINDS
@pytest.mark.parametrize("key", ["learned_reward", "learned_return"])
def test_a_learned_reward_of_someone_elses_is_refused(kind: str, key: str) -> None:
    with pytest.raises(RunError, match=f"already has {key}"):
        one_step(kind, {key: 1.0})


class Pays(gym.Env[Any, Any]):
    """Returns a reward of any kind."""

    observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)

    def __init__(self, reward: Any) -> None:
        self.reward = reward

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return 0, {}

    def step(self, action: Any) -> Any:
        return 1, self.reward, False, False, {}


def paid(kind: str, reward: Any) -> float:
    if kind == "one":
        env: Any = LearnedRewardWrapper(Pays(reward), "true")
    elif kind == "sb3":
        env = LearnedRewardVecEnv(DummyVecEnv([lambda: Pays(reward)]), "true")
    else:
        env = LearnedRewardVectorWrapper(SyncVectorEnv([lambda: Pays(reward)]), "true")
    env.reset()
    return float(np.asarray(env.step(0 if kind == "one" else np.array([0]))[1]).item())


@KINDS
@pytest.mark.parametrize("reward", [1.5, 2, True, np.float32(0.25), np.array(3.0), np.int64(-4)])
def test_rewards_that_are_numbers(kind: str, reward: Any) -> None:
    assert paid(kind, reward) == float(reward)


@KINDS
@pytest.mark.parametrize("reward", [None, float("nan"), -np.inf])
def test_rewards_that_are_none(kind: str, reward: Any) -> None:
    with pytest.raises(RunError, match="one finite number"):
        paid(kind, reward)


@pytest.mark.parametrize("reward", [np.zeros(2), "much", [1.0, 2.0], 1j, {}])
def test_rewards_that_are_several_or_no_numbers(reward: Any) -> None:
    with pytest.raises(RunError, match="one finite number") as caught:
        paid("one", reward)
    assert type(reward).__name__ in str(caught.value.got)


@pytest.mark.parametrize("info", [None, ["position"]])
def test_an_info_that_is_no_dictionary(info: Any) -> None:
    class Silent(Pays):
        def step(self, action: Any) -> Any:
            return (*super().step(action)[:4], info)

    env = LearnedRewardWrapper(Silent(1.0), "true")
    env.reset()
    with pytest.raises(RunError, match="info is a dictionary"):
        env.step(0)
