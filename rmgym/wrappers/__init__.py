"""Environments whose reward is a reward model's. The one for Stable-Baselines3 is reached through :mod:`rmgym.sb3`."""

from rmgym.composition import Composition as Composition
from rmgym.wrappers.captions import CaptionWrapper as CaptionWrapper
from rmgym.wrappers.env import LearnedRewardWrapper as LearnedRewardWrapper
from rmgym.wrappers.vector import LearnedRewardVectorWrapper as LearnedRewardVectorWrapper

__all__ = ["CaptionWrapper", "Composition", "LearnedRewardVectorWrapper", "LearnedRewardWrapper"]
