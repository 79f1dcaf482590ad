"""Names for Gymnasium's classes, whatever an environment's observations and actions are.

Gymnasium types them by observation and action; a library for any environment can say nothing of either.
"""

from __future__ import annotations

from typing import Any, Protocol, SupportsFloat, TypeAlias

import gymnasium as gym

from rmgym.trees import Space, Value

Env: TypeAlias = gym.Env[Any, Any]
VectorEnv: TypeAlias = gym.vector.VectorEnv[Any, Any, Any]
Wrapper: TypeAlias = gym.Wrapper[Any, Any, Any, Any]
Info: TypeAlias = dict[str, Any]
"""What ``reset`` and ``step`` say besides, and options of ``reset``; Gymnasium's own type of it."""
StepResult: TypeAlias = tuple[Value, SupportsFloat, bool, bool, Info]
"""What ``step`` returns: observation, reward, terminated, truncated, info."""


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


Environment: TypeAlias = Env | VectorEnv | VecEnv
"""One environment, or several in step."""
