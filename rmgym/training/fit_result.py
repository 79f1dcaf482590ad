"""What a fit gives: the model, and how well it fits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rmgym.models.neural import NeuralRewardModel
from rmgym.training.objective import Metrics


@dataclass(frozen=True, kw_only=True, eq=False)
class FitResult:
    """A fitted model.

    Attributes:
        model: the model, ready to predict.
        metrics: JSON-able: ``train`` and ``validation`` (see :func:`rmgym.training.objective.judge`; ``validation`` is
            None where nothing was held out, and ``note`` says why), ``steps``, ``best_step``, ``stopped_early``,
            ``contradictions`` (labels that have another value than one of the same text).
        path: the folder it was saved to, if any.
    """

    model: NeuralRewardModel
    metrics: Metrics
    path: Path | None

    def __repr__(self) -> str:
        """A line: which model, how well it fits its labels and those held out, where it is."""
        judged = [("fitted on", self.metrics["train"]), ("held out", self.metrics["validation"])]
        scores = [f"{name} {_in_short(score)}" for name, score in judged if score is not None]
        return f"FitResult({', '.join([self.model.name, *scores])}, {self.path or 'not saved'})"


def _in_short(score: dict[str, float | int | None]) -> str:
    """What :func:`rmgym.training.objective.judge` found, in a few words."""
    scores = [f"R2 {score['r2']:.3f}"] if score["r2"] is not None else []
    scores += [f"{score['accuracy']:.0%} of pairs in order"] if score["accuracy"] is not None else []
    return f"{score['labels']} labels" + (f" ({', '.join(scores)})" if scores else "")
