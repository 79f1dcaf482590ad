"""What a teacher is asked: steps to rate, segments to compare, among all the steps collected with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.queries import Rows
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions


@dataclass(frozen=True, kw_only=True, eq=False)
class RatingQuestions:
    """How good are these ``N`` steps?

    Attributes:
        transitions: all ``B`` steps collected; the others tell what happened before and afterwards.
        texts: one text per collected step.
        rows: the steps to rate, ``int64 [N]``.
        cuts: where the levels of this annotator's earlier ratings end (:attr:`Answers.cuts`), empty where none are
            known: these ratings are on the same scale.
        earlier: how many steps this annotator has rated before; they are not asked about again.
        shared: whether others are asked about further steps at the same time, so that this annotator alone need not
            tell steps apart.

    Raises:
        FeedbackError: a step has no text, or a row is not among the steps.
    """

    transitions: Transitions
    texts: TextBatch
    rows: Rows
    cuts: tuple[float, ...] = ()
    earlier: int = 0
    shared: bool = False

    def __post_init__(self) -> None:
        _check(self.transitions, self.texts, self.rows, self.rows + 1)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def alone(self) -> bool:
        """Whether nothing else is known but the answers to these: equal ones would teach nothing."""
        return not (self.earlier or self.shared)

    @property
    def steps(self) -> Transitions:
        """The ``N`` steps to rate."""
        return self.transitions[self.rows]

    @property
    def step_texts(self) -> TextBatch:
        """Their texts."""
        return self.texts[self.rows]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreferenceQuestions:
    """Which of two segments is better, ``N`` times?

    Attributes:
        transitions: all ``B`` steps collected.
        texts: one text per collected step.
        pairs: first rows of the left and the right segment, ``int64 [N, 2]``.
        length: steps per segment.
        earlier: how many pairs this annotator has compared before; they are not asked about again.
        shared: whether others are asked about further pairs at the same time.

    Raises:
        FeedbackError: a step has no text, or a segment is empty or leaves the steps.
    """

    transitions: Transitions
    texts: TextBatch
    pairs: Rows
    length: int
    earlier: int = 0
    shared: bool = False

    def __post_init__(self) -> None:
        if self.length < 1:
            raise FeedbackError("a segment has at least one step", got=self.length, fix="pass length=25")
        _check(self.transitions, self.texts, self.pairs, self.pairs + self.length)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def alone(self) -> bool:
        """As for :class:`RatingQuestions`."""
        return not (self.earlier or self.shared)

    @property
    def left(self) -> Rows:
        """First row and one past the last row of each left segment, ``int64 [N, 2]``."""
        return self._spans(0)

    @property
    def right(self) -> Rows:
        """The same for the right segments."""
        return self._spans(1)

    def sums(self, values: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Sum a value of each collected step, ``[B]``, over the left and the right segments, ``float64 [N]`` each."""
        windows = np.arange(self.length)
        worth = values.astype(np.float64)
        left, right = (worth[self.pairs[:, side, None] + windows].sum(axis=1) for side in (0, 1))
        return left, right

    def _spans(self, side: int) -> Rows:
        first = self.pairs[:, side]
        return np.stack([first, first + self.length], axis=1)


def _check(transitions: Transitions, texts: TextBatch, first: Rows, end: Rows) -> None:
    if len(texts) != len(transitions):
        raise FeedbackError("every step has one text", got=(len(transitions), len(texts)), fix="pass all texts")
    if first.size and (first.min() < 0 or end.max() > len(transitions)):
        raise FeedbackError("questions are about the collected steps", got=first, fix="pass rows of these steps")
