"""What the benchmarks of heads and of unseen words measure with, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rmgym.text import TextBatch


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")


def rooms() -> TextBatch:
    """Three texts: a ball at 1.5, a key at 2.5, a ball at 3.5."""
    return TextBatch(
        templates=("thing: {:s}, distance: {:.1f}.",),
        template_index=np.zeros(3, np.int32),
        numbers=np.array([1.5, 2.5, 3.5]),
        offsets=np.arange(4),
        phrases=("ball", "key"),
        words=np.array([0, 1, 0], np.int32),
    )


def test_intervals_of_the_right_width_are_calibrated() -> None:
    from calibration import auroc, calibration

    true = np.random.default_rng(0).normal(size=20_000)
    right = calibration(np.zeros(20_000), np.ones(20_000), true)
    assert right["ece"] < 0.01
    assert right["within1"] == pytest.approx(0.683, abs=0.01)
    assert right["within2"] == pytest.approx(0.954, abs=0.01)
    narrow = calibration(np.zeros(20_000), np.full(20_000, 0.5), true)
    assert narrow["within2"] == right["within1"]  # two of its std are one of the truth's
    assert auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == 0.875  # of four pairs three are right and one is tied


def test_words_become_numbers_of_their_own() -> None:
    from rivals.one_hot import OneHot

    texts = rooms()
    one_hot = OneHot.of(texts[:2])
    assert one_hot.numbers == 1
    # The number, whether it is missing, the template, a ball, a key.
    assert one_hot.vectors(texts).tolist() == [[1.5, 0, 1, 1, 0], [2.5, 0, 1, 0, 1], [3.5, 0, 1, 1, 0]]
    assert one_hot(texts).numbers.tolist() == one_hot.vectors(texts).reshape(-1).tolist()
    unknown = OneHot.of(texts[:1]).vectors(texts[1:2])
    assert unknown.tolist() == [[2.5, 0, 1, 0]]  # no key was labelled


def test_other_words_stand_where_whole_words_stood() -> None:
    from wordings import Wording, reworded

    wording = Wording(texts=rooms(), values=np.arange(3, dtype=np.float32))
    other = reworded(wording, {"ball": "sphere", "key": "latchkey", "distance": "how far"})
    assert other.texts.strings()[0] == "thing: sphere, how far: 1.5."
    assert other.values is wording.values
    with pytest.raises(ValueError, match="no text holds"):
        reworded(wording, {"dist": "far"})
    with pytest.raises(ValueError, match="became the same"):
        reworded(wording, {"ball": "key"})


def test_moves_to_the_nearest_marked_cell_of_a_view() -> None:
    from rated_steps import moves_to, seen

    view = np.zeros((3, 7, 7), bool)
    view[0, 3, 4] = view[0, 0, 0] = True  # two cells ahead of (3, 6); and far away
    view[1, 5, 6] = True  # two cells to the right
    assert moves_to(view).tolist() == [2, 2, np.inf]
    assert seen(view).tolist() == [True, True, False]
