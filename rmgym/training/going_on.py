"""Going on from a fitted model with all its labels and further ones, instead of beginning anew.

A copy goes on from its weights, with its statistics, its seed and ``leave_out``, and in the units of its ratings (those
of comparisons are fixed anew by each fit). Nothing is held out.
"""

from __future__ import annotations

from dataclasses import replace

from rmgym.errors import FitError
from rmgym.feedback.labels import Labels
from rmgym.models.neural import NeuralRewardModel
from rmgym.training.fit_options import FitOptions

HELD_OUT = "nothing held out: the model that goes on was fitted on labels like these"
_KINDS = ("ratings", "preferences")


def was_fitted(model: NeuralRewardModel) -> bool:
    """Whether a fit of it goes on: with the weights, statistics and units that an earlier one has left."""
    return any(model.fitted_on.get(kind, 0) for kind in _KINDS)


def begin_with(model: NeuralRewardModel, labels: Labels) -> NeuralRewardModel:
    """What is fitted on some labels: the model itself, or a copy of one that was fitted, which others may be using.

    Raises:
        FitError: the labels cannot be all that it was fitted on and further ones, or are of texts that it reads as
            others that are most alike.
    """
    if not was_fitted(model):
        return model
    parts = (labels.ratings, labels.preferences)
    now = {kind: 0 if part is None else len(part) for kind, part in zip(_KINDS, parts, strict=True)}
    before = {kind: int(model.fitted_on[kind]) for kind in _KINDS}
    if any(now[kind] < before[kind] for kind in _KINDS):
        raise FitError(
            "a fitted model goes on with the labels that it was fitted on and further ones",
            got=f"{_counts(now)} after {_counts(before)}",
            fix="pass all labels, or a model that was not fitted",
        )
    if not model.has_read(labels.texts):
        raise FitError(
            "a fitted model goes on with labels of texts like those that it was fitted on",
            got="other templates or phrases, or numbers that are spread otherwise",
            fix="pass a model that was not fitted",
        )
    return model.copy()


def as_before(model: NeuralRewardModel, options: FitOptions) -> FitOptions:
    """Options of a fit that goes on: heads go without the labels that they were not given before."""
    before = model.fitted_on["options"]
    options = replace(options, free_steps=0, free_statistics=False)  # its weights and statistics are there
    return replace(options, seed=before["seed"], leave_out=before["leave_out"], validation=0.0)


def units_of(model: NeuralRewardModel) -> dict[str, float]:
    """Offset and scale of the ratings that a model was fitted on; nothing where there were none."""
    return {"offset": float(model.offset), "scale": float(model.scale)} if model.fitted_on["ratings"] else {}


def _counts(of: dict[str, int]) -> str:
    return " and ".join(f"{count} {kind}" for kind, count in of.items() if count)
