"""Questions without a store, for tests of teachers; all that their texts say is which step they are of."""

import numpy as np

from rmgym.feedback.teachers import PreferenceQuestions, RatingQuestions, Teacher
from rmgym.text import TextBatch
from rmgym.transitions import Transitions


def numbered(transitions: Transitions) -> TextBatch:
    return TextBatch.from_strings([f"step {i}" for i in range(len(transitions))])


def rate(teacher: Teacher, transitions: Transitions, rows=None) -> np.ndarray:
    """A teacher's ratings of some steps, or of all."""
    rows = np.arange(len(transitions)) if rows is None else np.asarray(rows, np.int64)
    questions = RatingQuestions(transitions=transitions, texts=numbered(transitions), rows=rows)
    return teacher.rate(questions).values


def compare(teacher: Teacher, transitions: Transitions, pairs, length: int) -> np.ndarray:
    """A teacher's choices between segments that start at these rows."""
    questions = PreferenceQuestions(
        transitions=transitions, texts=numbered(transitions), pairs=np.array(pairs, np.int64), length=length
    )
    return teacher.compare(questions).values
