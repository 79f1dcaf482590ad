"""Going on from a fitted model with further labels, instead of beginning anew."""

from __future__ import annotations

from rmgym.errors import FitError
from rmgym.feedback.labels import Labels
from rmgym.models.neural import NeuralRewardModel

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
            "a fitted model goes on with labels of the templates and phrases that it was fitted on",
            got="labels of texts with others",
            fix="pass a model that was not fitted",
        )
    return model.copy()


def _counts(of: dict[str, int]) -> str:
    return " and ".join(f"{count} {kind}" for kind, count in of.items() if count)
