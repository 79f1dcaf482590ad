"""A program as a teacher: your own function says what a step is worth."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property

import numpy as np

from rmgym.errors import FeedbackError
from rmgym.feedback.step_function import Function, StepFunction
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions
from rmgym.feedback.teachers.base import TOLD_BY_SOURCE, Teacher
from rmgym.feedback.teachers.ties import compared


@dataclass(frozen=True)
class ProgramTeacher:
    """Rates steps by what a function says they are worth, and compares segments by the sums of that.

    How the function is called, and what it is not to give: :class:`rmgym.feedback.step_function.StepFunction`.

    Attributes:
        function: of ``steps``, all of those collected, ``[B]`` numbers; or, step by step, of parts of one (``obs``,
            ``action``, ``next_obs``, ``terminated``, ``truncated``), a number. Higher is better, in any unit.
        per_step: whether it is called step by step; by default its parameters' names tell.
        name: what it is called; by default module and name.
        tie_tolerance: two segments whose summed values differ by at most this much are tied.

    Raises:
        FeedbackError: it is no function, or its parameters do not tell how it is called.

    Example:
        >>> def comfort(obs, action):
        ...     return -abs(float(action[0]))
        >>> ProgramTeacher(comfort, name="comfort").source.partition("@")[0]
        'program:comfort'
    """

    function: Function = field(metadata={TOLD_BY_SOURCE: True})
    _: KW_ONLY
    per_step: bool | None = None
    name: str = ""
    tie_tolerance: float = 1e-6

    def __post_init__(self) -> None:
        self.steps  # noqa: B018  # which refuses what is not clear, before anybody is asked

    @cached_property
    def steps(self) -> StepFunction:
        """What steps are worth."""
        return StepFunction(self.function, per_step=self.per_step, name=self.name)

    @property
    def source(self) -> str:
        """``program:NAME@DIGEST``, of the function's code: one that was changed is another teacher."""
        return f"program:{self.steps.identity}"

    def rate(self, questions: RatingQuestions) -> Answers:
        """Rate steps by what they are worth, exactly.

        Raises:
            FeedbackError: the function fails, or gives anything but one finite number per step, or the same for all.
        """
        values = self.steps.values(questions.transitions, questions.rows)
        if np.ptp(values) == 0 and questions.alone:
            raise self._teaches_nothing("ratings differ between steps", f"{len(values)} times {values[0]:g}")
        return Answers(values=values.astype(np.float32))

    def compare(self, questions: PreferenceQuestions) -> Answers:
        """Compare segments by the sum of their steps' values: 1, 0, or 0.5 for a tie.

        Raises:
            FeedbackError: as :meth:`rate`, or all are ties.

        Warns:
            TiedPreferencesWarning: more than half of the comparisons are ties.
        """
        steps = questions.pairs[:, :, None] + np.arange(questions.length)
        rows, where = np.unique(steps, return_inverse=True)
        left, right = self.steps.values(questions.transitions, rows)[where.reshape(steps.shape)].sum(axis=2).T
        advice = "other segment lengths, or ratings"
        return compared(questions, (left, right), self.tie_tolerance, refusal=self._teaches_nothing, advice=advice)

    def _teaches_nothing(self, rule: str, got: str) -> FeedbackError:
        return FeedbackError(
            rule, got=f"{self.steps.name}: {got}", fix="collect more varied steps, or tell them apart there"
        )


def as_teacher(given: Teacher | Function, name: str = "") -> Teacher:
    """A teacher as it is, or one that asks a function.

    Args:
        given: a teacher or a function.
        name: what a function is called.

    Raises:
        FeedbackError: it is neither, or how the function is called is not clear.
    """
    if isinstance(given, type):
        got, fix = given.__qualname__, f"pass an object of it: {given.__qualname__}()"
        raise FeedbackError("a teacher is an object or a function, not a class", got=got, fix=fix)
    return given if isinstance(given, Teacher) else ProgramTeacher(given, name=name)
