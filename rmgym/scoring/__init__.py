"""Scores of transitions, and fast."""

from rmgym.scoring.scorer import Scorer as Scorer
