"""Labels of one text that say two things are counted."""

from __future__ import annotations

import numpy as np

from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.text import TextBatch
from rmgym.training import FitOptions, fit
from rmgym.training.contradictions import contradictions
from tests.training.small import SmallReward


def ratings(strings: list[str], values: list[float]) -> Ratings:
    texts = TextBatch.from_strings(strings)
    return Ratings(texts=texts, values=np.array(values, np.float32), groups=np.arange(len(values)))


def test_ratings_of_one_text_by_hand() -> None:
    rated = ratings(["x 1", "x 2", "x 1", "x 3", "x 2", "x 1"], [1, 2, 1, 5, 3, 4])
    assert contradictions(Labels(ratings=rated)) == 5, "three of x 1, two of x 2"
    assert contradictions(Labels(ratings=ratings(["x 20000000", "x 20000001"], [1, 2]))) == 0
    assert contradictions(Labels()) == 0


def test_comparisons_of_equal_segments_by_hand() -> None:
    steps = TextBatch.from_strings(["a", "b", "a", "b", "c", "a", "b"])
    spans = {
        "left": np.array([[0, 2], [0, 2], [2, 4], [4, 5], [0, 1]]),
        "right": np.array([[2, 4], [3, 5], [3, 5], [0, 1], [1, 2]]),
    }

    def counted(choice: list[float]) -> int:
        values = np.array(choice, np.float32)
        compared = Preferences(steps=steps, **spans, choice=values, margin=values * 0, groups=np.arange(5))
        return contradictions(Labels(preferences=compared))

    assert counted([0.5, 1, 1, 0, 1]) == 0
    assert counted([1, 1, 1, 0, 1]) == 1, "ab before ab"
    assert counted([0.5, 1, 0, 0, 1]) == 2, "ab before bc, and after it"


def test_a_fit_says_how_many() -> None:
    rated = ratings(["x 1", "x 2", "x 1", "x 3"], [1, 2, 3, 5])
    options = FitOptions(max_steps=1, validation=0)
    result = fit(SmallReward.create(), Labels(ratings=rated), options, progress=False)
    assert result.metrics["contradictions"] == 2
