"""Scores of transitions, and fast."""

from rmgym.scoring.cached import CachedReward as CachedReward
from rmgym.scoring.scorer import Scorer as Scorer
from rmgym.scoring.strategy import Strategy as Strategy

__all__ = ["CachedReward", "Scorer", "Strategy"]
