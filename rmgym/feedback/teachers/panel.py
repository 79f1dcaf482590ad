"""Several teachers who share the questions out among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.queries import Rows
from rmgym.feedback.teachers.base import Teacher
from rmgym.feedback.teachers.fallible import FallibleTeacher
from rmgym.feedback.teachers.habits import Drawn, Habits
from rmgym.feedback.teachers.scripted import ScriptedTeacher
from rmgym.text.batch import TextBatch

PANEL = "panel:"
"""With which the source of answers begins that members of a panel gave, each on a scale of its own."""
_WHO = 5  # of the numbers drawn for a question


@dataclass(frozen=True)
class Panel:
    """Teachers who are asked together, each a part of the questions: scripts, functions and whoever answers at once.

    Each answers under its own name, on its own scale: their ratings are put on one by standardising those of each
    (:func:`rmgym.feedback.assemble.assemble`), so that shares are drawn, by the texts of the questions.

    Attributes:
        members: by name, which is the annotator's.
        seed: draws who is asked what.

    Raises:
        FeedbackError: there are no members.
    """

    members: Mapping[str, Teacher]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.members:
            raise FeedbackError("a panel has members", got="none", fix="name teachers: Panel({'ann': teacher})")

    @property
    def source(self) -> str:
        """The members', together: ``panel:fallible:reward``."""
        return PANEL + "+".join(sorted({teacher.source for teacher in self.members.values()}))

    def share(self, texts: TextBatch, starts: Rows, length: int) -> npt.NDArray[np.int64]:
        """Which member is asked each question, ``int64 [N]``: the same one whenever it is asked.

        Args:
            texts: one per collected step.
            starts: first rows of segments, ``int64 [N, 1]`` to rate, ``[N, 2]`` to compare.
            length: steps per segment.
        """
        chances = Drawn.of(texts, starts, length, self.seed).chances[:, _WHO]
        return (chances * len(self.members)).astype(np.int64)


def people(count: int, teacher: ScriptedTeacher, habits: Habits, *, seed: int = 0) -> FallibleTeacher | Panel:
    """One person who knows the truth and has habits, or a panel of some who have the same ones.

    Raises:
        FeedbackError: there are none.
    """
    if count == 1:
        return FallibleTeacher(teacher=teacher, habits=habits, seed=seed)
    members = {
        f"person {i + 1}": FallibleTeacher(teacher=teacher, habits=habits, seed=seed + 1000 * i) for i in range(count)
    }
    return Panel(members, seed)
