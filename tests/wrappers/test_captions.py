"""Pictures in words on every road: the captioner travels with the environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

import rmgym
from rmgym.errors import TextError
from rmgym.sb3 import evaluate
from tests.doubles import ToyReward
from tests.sb3.small import PPO_SMALL


def brightness(pictures: np.ndarray) -> list[str]:
    return [f"brightness {picture.mean():.1f}" for picture in pictures]


class Lamp(gym.Env[np.ndarray, np.int64]):
    """A picture that action 1 makes brighter and action 0 darker; an episode has ten steps."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(0, 255, (40, 40, 3), np.uint8)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.light, self.steps = 100, 0
        return self.picture(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.light, self.steps = self.light + (10 if action else -10), self.steps + 1
        return self.picture(), float(action), False, self.steps == 10, {}

    def picture(self) -> np.ndarray:
        return np.full((40, 40, 3), self.light, np.uint8)


def lamp() -> gym.Env[Any, Any]:
    return rmgym.CaptionWrapper(Lamp(), brightness)


gym.register("Lamp-v0", lamp)


def test_without_a_captioner_the_error_names_the_wrapper() -> None:
    with pytest.raises(TextError, match="CaptionWrapper"):
        rmgym.textualizer(Lamp())
    with pytest.raises(TextError, match="function of pictures"):
        rmgym.CaptionWrapper(Lamp(), "brightness")  # type: ignore[arg-type]


def test_every_kind_of_environment_has_it() -> None:
    model = ToyReward()
    text = rmgym.textualizer(lamp())
    said = text.describe(Lamp.picture(lit(100)), 1, Lamp.picture(lit(110)))
    assert 'value: "brightness 100.0"' in said
    assert 'value: "brightness 110.0"' in said
    assert text.card_hash == rmgym.textualizer(Lamp(), captioner=brightness).card_hash
    single = rmgym.LearnedRewardWrapper(lamp(), model)
    single.reset()
    vector = rmgym.LearnedRewardVectorWrapper(SyncVectorEnv([lamp, lamp]), model)
    vector.reset()
    venv = rmgym.sb3.LearnedRewardVecEnv(DummyVecEnv([lamp]), model)  # type: ignore[list-item]
    venv.reset()
    expected = model.predict([said]).mean[0]
    np.testing.assert_allclose(single.step(1)[1], expected)
    np.testing.assert_allclose(vector.step(np.array([1, 1]))[1], [expected] * 2)
    np.testing.assert_allclose(venv.step(np.array([1]))[1], [expected])


def lit(light: int) -> Lamp:
    made = Lamp()
    made.light = light
    return made


def test_an_agent_sees_pictures_and_is_paid_for_their_captions() -> None:
    agent = rmgym.sb3.make_agent(
        "ppo", "Lamp-v0", reward_model=ToyReward(), seed=0, **{**PPO_SMALL, "policy_kwargs": {"net_arch": [8]}}
    )
    assert type(agent.policy.features_extractor).__name__ == "NatureCNN"
    agent.learn(64)
    played = evaluate(agent, "Lamp-v0", ToyReward(), episodes=1)
    texts = rmgym.textualizer("Lamp-v0").batch(played.steps)
    np.testing.assert_allclose(played.learned_reward, ToyReward().predict(texts).mean, rtol=1e-6)
