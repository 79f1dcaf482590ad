"""Environments whose reward is a reward model's. The one for Stable-Baselines3 is reached through :mod:`rmgym.sb3`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmgym.wrappers.captions import CaptionWrapper as CaptionWrapper
from rmgym.wrappers.composition import Composition as Composition
from rmgym.wrappers.env import LearnedRewardWrapper as LearnedRewardWrapper
from rmgym.wrappers.fixed_horizon import FixedHorizonWrapper as FixedHorizonWrapper
from rmgym.wrappers.vector import LearnedRewardVectorWrapper as LearnedRewardVectorWrapper

if TYPE_CHECKING:
    from rmgym.wrappers.sb3_vec_env import LearnedRewardVecEnv as LearnedRewardVecEnv


def __getattr__(name: str) -> Any:
    """Import what needs Stable-Baselines3 only when it is asked for."""
    if name == "LearnedRewardVecEnv":
        from rmgym.wrappers.sb3_vec_env import LearnedRewardVecEnv

        return LearnedRewardVecEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
