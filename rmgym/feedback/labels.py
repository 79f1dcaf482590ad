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
        groups: episode of each step, ``int64 [N]``; training and validation never share one.
    """

    texts: TextBatch
    values: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.texts) == len(self.values) == len(self.groups):
            sizes = (len(self.texts), len(self.values), len(self.groups))
            raise FeedbackError("ratings have one value and one group per text", got=sizes, fix="pass equal lengths")
        if not np.isfinite(self.values).all():
            raise FeedbackError("every rating is a finite number", got=self.values, fix="remove the others")

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
    """

    steps: TextBatch
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    choice: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        for side in (self.left, self.right):
            if (side[:, 1] <= side[:, 0]).any():
                raise FeedbackError("a segment has at least one step", got=side, fix="remove zero-length segments")
        if ((self.choice < 0) | (self.choice > 1)).any():
            raise FeedbackError("a choice is a probability", got=self.choice, fix="use 1 left, 0 right, 0.5 tie")

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
