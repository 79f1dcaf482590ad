"""The seam between questions and whoever answers them: a script, a function, a table, a person, a language model."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions

TOLD_BY_SOURCE = "told_by_source"
"""In the metadata of a teacher's field: whose value :attr:`Teacher.source` tells from others already."""


@runtime_checkable
class Teacher(Protocol):
    """Says how good steps are.

    :func:`rmgym.feedback.ask.ask` chooses questions, hands them to a teacher, and stores the answers. One call holds
    all questions of one asking: a vectorised function is called once, and whoever must see all steps before rating any
    has them. What a teacher must keep, its tests inherit from
    :class:`rmgym.feedback.teachers.contract.TeacherContract`.

    An answer may be missing for two reasons. *Skipped*: the teacher will not answer, and is not asked again. *Pending*:
    it has not answered yet, as a person who is asked in their own time; the questions wait in the label store
    (:meth:`rmgym.LabelStore.pending`), and answers are recorded there when they are given.
    """

    @property
    def source(self) -> str:
        """How answers come about, stored with each: ``human``, ``scripted:reward``."""
        ...

    def rate(self, questions: RatingQuestions) -> Answers:
        """Rate steps: higher is better.

        Args:
            questions: ``N`` steps, at least one, and all other steps that were collected with them.

        Returns:
            ``N`` answers in the order of the questions, whose ``values`` are ratings in the teacher's own unit, or on
            its levels 1, 2, ... An answer does not depend on the order of the questions.

        Raises:
            FeedbackError: this teacher rates no steps, or cannot tell these apart.
        """
        ...

    def compare(self, questions: PreferenceQuestions) -> Answers:
        """Say which of two segments is better.

        Args:
            questions: ``N`` pairs of segments, at least one, and all steps that were collected with them.

        Returns:
            ``N`` answers in the order of the questions, whose ``values`` are the probability that the left segment is
            better: 1 left, 0 right, 0.5 tie, others soft. As for ratings, the order of the questions is nothing.

        Raises:
            FeedbackError: this teacher compares no segments, or cannot tell these apart.
        """
        ...
