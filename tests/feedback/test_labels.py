"""Labels made by hand: what cannot be meant is refused, by its row."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rmgym.errors import FeedbackError
from rmgym.feedback.labels import Preferences, Ratings
from rmgym.text import TextBatch

TEXTS = TextBatch.from_strings([f"position {i}" for i in range(6)])
PAIRS = Preferences(
    steps=TEXTS,
    left=np.array([[0, 2], [2, 4], [4, 6]]),
    right=np.array([[2, 4], [4, 6], [0, 1]]),
    choice=np.array([1, 0, 0.5], np.float32),
    margin=np.array([0, 2.5, 0], np.float32),
    groups=np.array([0, 0, 1]),
)


def span(row: int, first: int, end: int) -> np.ndarray:
    changed = PAIRS.left.copy()
    changed[row] = first, end
    return changed


@pytest.mark.parametrize(
    ("change", "rule", "got"),
    [
        ({"left": span(1, -2, 4)}, "a left segment is", "row 1: [-2, 4]"),
        ({"right": span(2, 3, 3)}, "a right segment is", "row 2: [3, 3]"),
        ({"right": span(0, 5, 2)}, "a right segment is", "row 0: [5, 2]"),
        ({"left": span(2, 4, 7)}, "of the 6 steps", "row 2: [4, 7]"),
        ({"left": PAIRS.left.astype(float)}, "rows of steps", "float64"),
        ({"left": PAIRS.left[:, 0]}, "two spans", "'left': (3,)"),
        ({"choice": PAIRS.choice[:2]}, "one choice", "'choice': (2,)"),
        ({"margin": PAIRS.margin[:1]}, "margin", "'margin': (1,)"),
        ({"groups": PAIRS.groups[:2]}, "group", "'groups': (2,)"),
        ({"choice": np.array([1, 1.5, 0], np.float32)}, "a probability", "row 1: 1.5"),
        ({"choice": np.array([1, 0, np.nan], np.float32)}, "a probability", "row 2: nan"),
        ({"margin": np.array([0, -2.5, 0], np.float32)}, "a margin is", "row 1: -2.5"),
        ({"margin": np.array([np.inf, 0, 0], np.float32)}, "a margin is", "row 0: inf"),
    ],
)
def test_preferences_that_cannot_be_meant_are_refused_by_their_row(change: dict[str, Any], rule: str, got: str) -> None:
    with pytest.raises(FeedbackError) as refused:
        replace(PAIRS, **change)
    assert rule in refused.value.rule
    assert got in str(refused.value)
    assert refused.value.fix


def test_ratings_that_cannot_be_meant_are_refused_by_their_row() -> None:
    values, groups = np.arange(6, dtype=np.float32), np.arange(6)
    ratings = Ratings(texts=TEXTS, values=values, groups=groups)
    with pytest.raises(FeedbackError, match="row 4: inf"):
        replace(ratings, values=np.where(values == 4, np.inf, values))
    for change in ({"values": values[:5]}, {"groups": groups[:, None]}, {"values": values[:, None]}):
        with pytest.raises(FeedbackError, match="one value and one group per text"):
            replace(ratings, **change)
