"""Small agents and what to compare of them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from tests.doubles import COUNTER

PPO_SMALL: dict[str, Any] = {"n_steps": 48, "batch_size": 48, "n_epochs": 2, "policy_kwargs": {"net_arch": [8]}}
DQN_SMALL: dict[str, Any] = {
    "learning_starts": 40,
    "train_freq": 16,
    "gradient_steps": 4,
    "batch_size": 16,
    "buffer_size": 150,
    "target_update_interval": 50,
    "policy_kwargs": {"net_arch": [8]},
}
SMALL = {"ppo": PPO_SMALL, "dqn": DQN_SMALL}


def parameters(agent: BaseAlgorithm) -> np.ndarray:
    """All parameters of an agent's networks as one vector."""
    return np.concatenate([p.detach().numpy().ravel() for p in agent.policy.parameters()])


class StopAt(BaseCallback):
    """Breaks a training off at its n-th step."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.stop = calls

    def _on_step(self) -> bool:
        return self.n_calls != self.stop


def counters(n: int = 2) -> DummyVecEnv:
    """Environments that count."""
    return DummyVecEnv([lambda: gym.make(COUNTER)] * n)


def ppo(env: Any = None, **options: Any) -> Any:
    """A small agent of Stable-Baselines3's own in them, or elsewhere."""
    return PPO("MlpPolicy", counters() if env is None else env, seed=1, device="cpu", **{**PPO_SMALL, **options})
