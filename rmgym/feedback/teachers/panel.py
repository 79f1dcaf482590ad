"""Several teachers who share the questions out among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

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
BOTH = "ask for both: ratings=50, preferences=50"
"""What :func:`check_habits` says to do where a plan is asked."""
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


def check_habits(teacher: Teacher | Panel, *, rated: bool, compared: int, fix: str) -> None:
    """Refuse habits, of a teacher or of some of a panel, that change no answer to what is asked.

    Args:
        teacher: who is asked.
        rated: whether steps are rated.
        compared: steps of the segments that are compared, 0 where none are.
        fix: what to ask for so that they have an effect.

    Raises:
        FeedbackError: there are such.
    """
    members = teacher.members.values() if isinstance(teacher, Panel) else [teacher]
    idle = [m.habits.without_effect(rated=rated, compared=compared) for m in members if isinstance(m, FallibleTeacher)]
    if names := sorted({name for each in idle for name in each}):
        asked = [*(["ratings"] if rated else []), *([f"comparisons of length {compared}"] if compared else [])]
        got = f"{', '.join(names)}, and {' and '.join(asked)} alone are asked for"
        raise FeedbackError("habits have an effect on what is asked", got=got, fix=f"leave them out, or {fix}")


@dataclass(frozen=True, kw_only=True)
class People(Habits):
    """Habits, how many people have them, and the seed of what they draw: what is asked for by name and value.

    Attributes:
        people: how many.
        seed: of the first.

    Raises:
        FeedbackError: there are none, or as for :class:`Habits`.
    """

    people: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.people < 1:
            raise FeedbackError("somebody answers", got=f"people={self.people}", fix="pass people=1 or more")

    def knowing(self, teacher: ScriptedTeacher) -> FallibleTeacher | Panel:
        """One person with these habits who knows what a scripted teacher knows, or a panel of them."""
        habits = Habits(**{field.name: getattr(self, field.name) for field in fields(Habits)})
        each = [FallibleTeacher(teacher=teacher, habits=habits, seed=self.seed + 1000 * i) for i in range(self.people)]
        return Panel({f"person {i}": one for i, one in enumerate(each, 1)}, self.seed) if each[1:] else each[0]
