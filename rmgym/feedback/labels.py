"""Labels as a model is fitted on them: ratings of steps, preferences between segments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.text.batch import TextBatch


@dataclass(frozen=True, kw_only=True, eq=False)
class Ratings:
    """``N`` rated steps.

    Attributes:
        texts: one text per rating.
        values: the ratings, ``float32 [N]``, in the annotator's units.
        groups: episode of each step, ``int64 [N]``; training and validation never share one, nor a text.

    Raises:
        FeedbackError: the lengths differ, or a rating is not finite.
    """

    texts: TextBatch
    values: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        shapes = [np.shape(self.values), np.shape(self.groups)]
        if shapes != [(len(self.texts),)] * 2:
            got = f"{len(self.texts)} texts, values {shapes[0]}, groups {shapes[1]}"
            raise FeedbackError("ratings have one value and one group per text", got=got, fix="pass equal lengths")
        _refuse_rows(~np.isfinite(self.values), self.values, "a rating is a finite number", "remove that row")

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, kw_only=True, eq=False)
class Preferences:
    """``N`` comparisons of two segments.

    Attributes:
        steps: texts of all steps of all segments, ``M`` of them.
        left: first row and one past the last row of the left segment in ``steps``, ``int64 [N, 2]``.
        right: the same for the right segment.
        choice: probability that the left one is better, ``float32 [N]``: 1 left, 0 right, 0.5 tie, others soft.
        margin: how much better, in units of summed standardised reward, ``float32 [N]``, 0 where not said.
        groups: ``int64 [N]``; pairs that share an episode share a group.

    Raises:
        FeedbackError: the lengths differ, a segment is empty or leaves the steps, a choice is no probability, or a
            margin is negative.
    """

    steps: TextBatch
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    choice: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        n = np.shape(self.choice)[:1]
        arrays = {name: getattr(self, name) for name in ("left", "right", "choice", "margin", "groups")}
        shapes = {name: np.shape(array) for name, array in arrays.items()}
        if shapes != {"left": (*n, 2), "right": (*n, 2), "choice": n, "margin": n, "groups": n}:
            rule = "preferences have two spans [N, 2], and one choice, margin and group, for each of N pairs"
            raise FeedbackError(rule, got=shapes, fix="pass equal lengths")
        for name in ("left", "right"):
            span, steps = arrays[name], len(self.steps)
            if span.dtype.kind not in "iu":
                raise FeedbackError(f"{name} holds rows of steps, int64 [N, 2]", got=span.dtype, fix="pass integers")
            outside = (span[:, 0] < 0) | (span[:, 1] <= span[:, 0]) | (span[:, 1] > steps)
            rule = f"a {name} segment is [first row, one past the last row) of the {steps} steps, with at least one"
            _refuse_rows(outside, span, rule, "remove that pair, or correct its span")
        wrong = ~((self.choice >= 0) & (self.choice <= 1))
        _refuse_rows(wrong, self.choice, "a choice is a probability", "use 1 left, 0 right, 0.5 tie")
        wrong = ~((self.margin >= 0) & np.isfinite(self.margin))
        fix = "say by the choice which is better, and pass how much, 0 or more"
        _refuse_rows(wrong, self.margin, "a margin is a finite number of at least 0", fix)

    def __len__(self) -> int:
        return len(self.choice)


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """What a model is fitted on: ratings, preferences or both, with facts about their source."""

    ratings: Ratings | None = None
    preferences: Preferences | None = None
    source: dict[str, Any] = field(default_factory=dict[str, Any])

    def __len__(self) -> int:
        return sum(len(part) for part in (self.ratings, self.preferences) if part is not None)

    @property
    def texts(self) -> TextBatch:
        """All texts that occur, for preparing a model.

        Raises:
            FeedbackError: there are none.
        """
        parts = [self.ratings.texts] if self.ratings is not None else []
        parts += [self.preferences.steps] if self.preferences is not None else []
        if not parts:
            raise FeedbackError("fitting needs labels", got="no ratings and no preferences", fix="run 'rmgym label'")
        return TextBatch.concatenate(parts)


def _refuse_rows(wrong: npt.NDArray[np.bool_], values: npt.NDArray[np.generic], rule: str, fix: str) -> None:
    """Refuse the first row that is wrong, by its number."""
    if wrong.any():
        row = int(wrong.argmax())
        raise FeedbackError(rule, got=f"row {row}: {values[row].tolist()}", fix=fix)
