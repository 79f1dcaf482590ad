"""What a teacher says: a value per question, or that there is none, and on which scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Answers to ``N`` questions.

    Attributes:
        values: ratings, or probabilities that the left segment is better, ``float32 [N]``; NaN where none was given.
        skipped: where the teacher will not answer, ``bool [N]``; what has no value and is not skipped is pending. None
            for nowhere.
        levels: ratings are 1 to ``levels``; None for exact ratings and for comparisons.
        cuts: the ``levels - 1`` values at which a rating changes its level, ascending, where the teacher knows them.
            They are the teacher's scale: ratings cut elsewhere are never mixed with these.
        margins: how much better the better segment is, in units of summed standardised reward, ``float32 [N]``; None
            where not said.
        confidence: how sure the teacher is of each answer, ``float32 [N]`` in [0, 1]; None where not said.

    Raises:
        FeedbackError: the arrays are of other shapes or dtypes, or a value is impossible.
    """

    values: npt.NDArray[np.float32]
    skipped: npt.NDArray[np.bool_] | None = None
    levels: int | None = None
    cuts: tuple[float, ...] = ()
    margins: npt.NDArray[np.float32] | None = None
    confidence: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _check_array("values", self.values, "float32", self.values.shape[:1])
        if np.isinf(self.values).any():
            raise FeedbackError("an answer is a finite number", got=self.values, fix="pass NaN where there is none")
        for name, array, dtype in (
            ("skipped", self.skipped, "bool"),
            ("margins", self.margins, "float32"),
            ("confidence", self.confidence, "float32"),
        ):
            if array is not None:
                _check_array(name, array, dtype, self.values.shape)
        if self.skipped is not None and (self.skipped & self.answered).any():
            raise FeedbackError("what is skipped has no value", got=self.values, fix="pass NaN where skipped is True")
        if self.cuts and (len(self.cuts) + 1 != self.levels or list(self.cuts) != sorted(self.cuts)):
            got = f"{len(self.cuts)} for levels={self.levels}: {self.cuts}"
            raise FeedbackError("cuts are levels - 1 ascending values", got=got, fix="pass one fewer than levels")
        if self.margins is not None and (wrong := ~(self.margins >= 0) & self.answered).any():
            got = f"{self.margins[wrong][0]} in row {np.flatnonzero(wrong)[0]}"
            raise FeedbackError("a margin is at least 0", got=got, fix="say by the choice which segment is better")
        if self.confidence is not None and not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise FeedbackError("confidence is in [0, 1]", got=self.confidence, fix="pass probabilities")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Where there is a value, ``bool [N]``."""
        return ~np.isnan(self.values)

    @classmethod
    def pending(cls, count: int) -> Answers:
        """No answer yet to any of ``count`` questions."""
        return cls(values=np.full(count, np.nan, np.float32))


def _check_array(name: str, array: npt.NDArray[np.generic], dtype: str, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.ndim != 1 or array.shape != shape:
        raise FeedbackError(
            f"{name} of answers are {dtype} [N], one per question",
            got=f"{array.dtype} {list(array.shape)}",
            fix=f"pass a flat array of dtype {dtype}",
        )
