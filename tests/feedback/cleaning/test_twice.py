"""What one annotator answered twice."""

from __future__ import annotations

import pytest

from rmgym.feedback.cleaning.twice import given_twice
from rmgym.feedback.given import Given
from rmgym.feedback.tables import Answer, Query
from tests.feedback.cleaning.answering import drawn_steps, in_order, segment

_, TEXTS = drawn_steps(6, 0)
SEGMENTS = {row: segment(TEXTS, row, 1) for row in range(6)}


def compared(*choices: tuple[int, int, float], name: str = "ann") -> Given:
    """Choices between steps, each a question of its own."""
    queries = {
        i: Query(id=i, kind="preference", left=left, right=right) for i, (left, right, _) in enumerate(choices, 1)
    }
    answers = [Answer(query=i, annotator=name, source="s", choice=choice) for i, (*_, choice) in enumerate(choices, 1)]
    return in_order(answers, queries, SEGMENTS)


def rated(*values: float) -> Given:
    """Ratings of one step, each another question."""
    queries = {i: Query(id=i, kind="rating", left=2) for i in range(1, len(values) + 1)}
    answers = [Answer(query=i, annotator="ann", source="s", value=value) for i, value in enumerate(values, 1)]
    return in_order(answers, queries, SEGMENTS)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (compared((0, 1, 1.0), (0, 2, 1.0), (3, 2, 0.0)), []),
        (compared((0, 1, 1.0), (1, 0, 0.0)), [("duplicate", (1,))]),
        (compared((0, 1, 0.5), (1, 0, 0.5), (0, 1, 0.5)), [("duplicate", (1, 2))]),
        (compared((0, 1, 1.0), (1, 0, 1.0)), [("contradiction", (1, 2))]),
        (compared((0, 1, 1.0), (1, 0, 0.5)), [("contradiction", (1,))]),
        (compared((3, 3, 1.0), (4, 4, 0.5)), [("contradiction", (1,))]),
        (rated(4.0, 4.0), [("duplicate", (1,))]),
        (rated(4.0, 5.0), [("contradiction", (1,))]),
        (rated(4.0, 5.0, 5.0), [("contradiction", (1,)), ("duplicate", (2,))]),
    ],
)
def test_of_what_was_answered_twice_the_last_counts_and_opposites_cancel_out(
    given: Given, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    assert [(finding.what, finding.answers) for finding in given_twice(given)] == expected


def test_several_people_may_answer_one_question_in_any_way() -> None:
    answers = [
        Answer(query=1, annotator=name, source="s", choice=choice) for name, choice in (("ann", 1.0), ("bob", 0.0))
    ]
    given = in_order(answers, {1: Query(id=1, kind="preference", left=0, right=1)}, SEGMENTS)
    assert given_twice(given) == []
