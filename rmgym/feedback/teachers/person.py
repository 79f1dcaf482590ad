"""A person, who answers in their own time: the questions wait in the label store."""

from __future__ import annotations

from dataclasses import dataclass

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions

HUMAN = "human"
"""Source of a person's answers."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Answers nothing at once: whoever asks the person (the terminal, a page) takes questions from the label store.

    Attributes:
        levels: ratings are 1 to ``levels``, higher is better.

    Raises:
        FeedbackError: there are fewer than two levels.
    """

    levels: int = 10

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise FeedbackError("a person rates on at least 2 levels", got=self.levels, fix="pass --levels 10")

    @property
    def source(self) -> str:
        """``human``."""
        return HUMAN

    def rate(self, questions: RatingQuestions) -> Answers:
        """All pending."""
        return Answers.pending(len(questions))

    def compare(self, questions: PreferenceQuestions) -> Answers:
        """All pending."""
        return Answers.pending(len(questions))
