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


def test_a_part_is_measured_beside_the_same_labels_without_it() -> None:
    from label_losses_table import differences, label_losses

    values = {("on", 50): (0.5, 0.7), ("on", 100): (0.9, 0.9), ("off", 50): (0.4, 0.8), ("off", 100): (0.8, 0.7)}
    cells = [
        {"env": "E", "arm": arm, "labels": n, "seed": seed, "r2": value, "spearman": value, "pairs": value}
        for (arm, n), of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]
    assert differences(cells, "E", "on", "off", "r2") == pytest.approx([(0.1 + 0.1) / 2, (-0.1 + 0.2) / 2])
    assert differences(cells[:2] + cells[4:6], "E", "on", "off", "r2") == pytest.approx([0.1, -0.1])
    rows = label_losses({"cells": cells, "beside": {"on": "off"}, "claims": []}).splitlines()
    assert rows[2].startswith("| E | on | off | 0.600; 0.900 | +0.075 [")
    assert rows[3].startswith("| E | off | – | 0.600; 0.750 | – |")


def test_people_who_are_wrong_at_times_answer_the_same_questions() -> None:
    from label_losses import PEOPLE, Arm, Steps, labelled

    from rmgym.environments.collect import collect
    from rmgym.text import textualizer

    steps = collect("Pendulum-v1", 300, reset_every=50, progress=False)
    pool = Steps(steps=steps, texts=textualizer("Pendulum-v1").batch(steps))

    def given(**arm: str) -> tuple[np.ndarray, np.ndarray]:
        labels = labelled(Arm(**arm), pool, 40, np.random.default_rng(0))  # type: ignore[arg-type]
        ratings, compared = labels.ratings, labels.preferences
        return (
            np.zeros(0) if ratings is None else ratings.values,
            np.zeros(0) if compared is None else compared.choice,
        )

    each, share = given(given="compared", people="each")[1], given(given="compared", people="share")[1]
    assert each.reshape(40, PEOPLE).mean(axis=1) == pytest.approx(share)
    assert 0 < np.mean((share > 0) & (share < 1)) < 1
    exact = given(given="compared")[1]
    assert set(exact.tolist()) <= {0, 1}
    assert np.mean(exact == np.round(share)) > 0.7
    ratings, choices = given(given="half")
    assert (len(ratings), len(choices)) == (20, 20)
    assert ratings == pytest.approx(given(given="exact")[0][:20])
    levels = given(given="levels")[0]
    assert np.bincount(levels.astype(int)).tolist() == [0] + [4] * 10
