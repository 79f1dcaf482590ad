"""Who answers in a model's place: the seam between the scorer and whatever stands in for a slow model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from rmgym.models.base import Prediction, RewardModel
from rmgym.text.batch import TextBatch

Ask = Callable[[TextBatch], Prediction]
"""Exact scores of ``B`` texts: the model's, or those that a cache has kept of it."""


class Strategy(Protocol):
    """Answers for a reward model and asks it where it must (:class:`rmgym.Student`).

    What it says is approximate and stays above every cache and table: those hold what ``ask`` gives.
    """

    @property
    def version(self) -> str:
        """Identity of what answers beside the model, empty while the model alone does; another one, other scores."""
        ...

    @property
    def statistics(self) -> Mapping[str, float]:
        """How it went so far, for logs and reports."""
        ...

    def imitate(self, model: RewardModel) -> None:
        """Say whose answers are asked for from now on; what was learnt of a model with another digest is forgotten."""
        ...

    def predict(self, texts: TextBatch, ask: Ask) -> Prediction:
        """Score ``B`` distinct texts, ``float32 [B]`` each, asking about as few as it dares.

        Raises:
            ModelError: the model cannot score what it is asked about.
        """
        ...
