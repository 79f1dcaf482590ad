"""Open questions by turns: the one that the model is least sure of, and the next one as chosen."""

from __future__ import annotations

import numpy as np

from rmgym.feedback.open_questions import in_turn
from rmgym.feedback.questions import Question
from rmgym.prediction import Prediction
from rmgym.text import TextBatch


def question(number: int, *values: float) -> Question:
    left, *right = (TextBatch.from_strings([f"height: {value:.2f}"]) for value in values)
    kind = "preference" if right else "rating"
    return Question(id=number, kind=kind, left=left, right=right[0] if right else None)


def predict(texts: TextBatch) -> Prediction:
    """Unsure of what is high."""
    heights = texts.numbers.astype(np.float32)
    return Prediction(mean=heights, std=np.where(heights > 5, 10, 0.1).astype(np.float32))


def test_what_tells_most_comes_by_turns_with_what_was_chosen() -> None:
    waiting = [question(i, value) for i, value in enumerate((1, 2, 3, 9, 4), 1)]
    order = in_turn(waiting, predict, [question(99, 1.0)])
    assert order[0] == 4  # unsure, and far from what was rated
    assert order[1] == 1  # the first one as chosen
    assert sorted(order) == [1, 2, 3, 4, 5]


def test_what_was_placed_beside_others_is_not_asked_first() -> None:
    waiting = [question(1, 1), question(2, 9), question(3, 8.9), question(4, 6)]
    assert in_turn(waiting, predict, [])[0] in (2, 3)
    assert in_turn(waiting, predict, [question(99, 9, 8.9)])[0] == 4


def test_comparisons_that_are_open_come_before_clear_ones_and_kinds_stay_where_they_are() -> None:
    waiting = [question(1, 1, 4), question(2, 3), question(3, 1, 2), question(4, 1, 1.1), question(5, 4)]
    order = in_turn(waiting, predict, [])
    assert [order[i] for i in (0, 2, 3)] == [4, 1, 3]
    assert sorted(order[i] for i in (1, 4)) == [2, 5]


def test_nothing_open_is_no_order() -> None:
    assert in_turn([], predict, []) == []
