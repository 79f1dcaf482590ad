"""Names for Gymnasium's classes, whatever an environment's observations and actions are.

Gymnasium types them by observation and action; a library for any environment can say nothing of either.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, SupportsFloat, TypeAlias

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.errors import RunError
from rmgym.trees import Space, Value

Env: TypeAlias = gym.Env[Any, Any]
VectorEnv: TypeAlias = gym.vector.VectorEnv[Any, Any, Any]
Wrapper: TypeAlias = gym.Wrapper[Any, Any, Any, Any]
Info: TypeAlias = dict[str, Any]
"""What ``reset`` and ``step`` say besides, and options of ``reset``; Gymnasium's own type of it."""
StepResult: TypeAlias = tuple[Value, SupportsFloat, bool, bool, Info]
"""What ``step`` returns: observation, reward, terminated, truncated, info."""


_RULE = "an environment's reward is one finite number"
_FIX = "correct what step() returns, or put a gymnasium.wrappers.TransformReward around the environment"


class VecEnv(Protocol):
    """What is asked of a Stable-Baselines3 ``VecEnv``, which only :mod:`rmgym.sb3` imports."""

    @property
    def observation_space(self) -> Space:
        """Space of one observation."""
        ...

    @property
    def action_space(self) -> Space:
        """Space of one action."""
        ...

    def has_attr(self, attr_name: str) -> bool:
        """Whether the environments have this attribute."""
        ...

    def get_attr(self, attr_name: str, indices: int) -> list[Value]:
        """The attribute's value in each of the environments asked."""
        ...


def one_reward(reward: object) -> float:
    """A reward that one environment returned, as a number.

    Raises:
        RunError: it is none, or not finite.
    """
    array = np.asarray(reward)
    if array.shape not in ((), (1,)) or array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise RunError(_RULE, got=f"{reward!r} of type {type(reward).__name__}", fix=_FIX)
    return float(array.item())


def all_rewards(rewards: object) -> npt.NDArray[np.float64]:
    """Rewards that a vector environment returned, as numbers ``[n]``.

    Raises:
        RunError: one is none, or not finite.
    """
    array = np.asarray(rewards)
    if array.ndim != 1 or array.dtype.kind not in "biuf" or not all(map(math.isfinite, array.tolist())):
        raise RunError(_RULE, got=repr(rewards), fix=_FIX)
    return array.astype(np.float64)


Environment: TypeAlias = Env | VectorEnv | VecEnv
"""One environment, or several in step."""
