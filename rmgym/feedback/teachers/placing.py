"""Placing: where does a step stand among others that are in order already? One answer says as much as several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from rmgym.errors import FeedbackError
from rmgym.feedback.queries import Rows
from rmgym.feedback.teachers.asking import PreferenceQuestions
from rmgym.feedback.teachers.base import Teacher
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacementQuestion:
    """Where on the ladder does a step belong?

    Attributes:
        transitions: steps, among them this one and the rungs.
        texts: one per step.
        item: its row.
        rungs: rows of the steps that were placed before, worst first, ``int64 [M]``.
    """

    transitions: Transitions
    texts: TextBatch
    item: int
    rungs: Rows

    def beside(self, rung: int) -> PreferenceQuestions:
        """Is the step better than this rung?"""
        pairs = np.array([[self.item, self.rungs[rung]]], np.int64)
        return PreferenceQuestions(  # one of many, so that a tie alone says something
            transitions=self.transitions, texts=self.texts, pairs=pairs, length=1, shared=True
        )


@dataclass(frozen=True)
class Placed:
    """The answer: the step is better than so many rungs; or as good as the next one, if tied."""

    above: int
    tied: bool = False


@runtime_checkable
class Placing(Protocol):
    """What a teacher may do beside rating and comparing: place a step at one look."""

    def place(self, question: PlacementQuestion) -> Placed | None:
        """Where it belongs; None where the teacher does not say."""
        ...


def search(teacher: Teacher, question: PlacementQuestion) -> Placed | None:
    """Place a step by comparisons with the middle of what is left: at most :func:`comparisons_for` the rungs.

    Raises:
        FeedbackError: an answer is not sure, which a place does not show.
    """
    low, high = 0, len(question.rungs)
    while low < high:
        middle = (low + high) // 2
        choice = float(teacher.compare(question.beside(middle)).values[0])
        if np.isnan(choice):
            return None
        if choice not in (0.0, 0.5, 1.0):
            raise FeedbackError("a ladder is one of sure answers", got=f"{choice:.3g}", fix="rate, or compare segments")
        if choice == 0.5:
            return Placed(middle, tied=True)
        low, high = (middle + 1, high) if choice > 0.5 else (low, middle)
    return Placed(low)


def comparisons_for(rungs: int) -> int:
    """How many comparisons place a step among so many rungs, at most."""
    return rungs.bit_length()
