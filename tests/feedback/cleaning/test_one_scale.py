"""Ratings of several people on one scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest

from rmgym.feedback.cleaning.one_scale import DIFFER, on_one_scale, standardised
from rmgym.feedback.tables import Answer
from rmgym.metrics.ranking import pearson

Floats = npt.NDArray[np.float64]


def rated(people: dict[str, Floats], *, source: str = "human", levels: dict[str, int | None] | None = None):
    of = levels or {}
    return [
        Answer(query=1, annotator=name, source=source, value=float(value), levels=of.get(name, 10))
        for name, values in people.items()
        for value in values
    ]


def levels_of(worth: Floats, shift: float = 0.0, stretch: float = 1.0) -> Floats:
    return np.clip(np.round(5.5 + shift + 2 * stretch * worth), 1, 10)


def test_with_many_ratings_each_has_their_own_mean_and_spread_and_with_few_that_of_all() -> None:
    rng = np.random.default_rng(0)
    names = np.repeat(["ann", "bob", "few"], [400, 400, 2])
    values = np.concatenate([rng.normal(0, 1, 400), rng.normal(5, 3, 400), [5.0, 5.5]])
    scores, mean, spread = standardised(values, names)
    for name in ("ann", "bob"):
        own = scores[names == name]
        assert own.mean() == pytest.approx(0, abs=0.02)
        assert own.std() == pytest.approx(1, abs=0.02)
    assert 1 < mean < 5
    assert 1 < spread < 3
    assert np.ptp(scores[names == "few"]) < 0.5, "not as if 5 and 5.5 were the ends of a scale"


def test_alone_ones_own_mean_and_spread_count_and_by_hand_several() -> None:
    scores, mean, spread = standardised(np.array([1.0, 3.0]), np.array(["ann", "ann"]))
    assert (scores.tolist(), mean, spread) == ([-1, 1], 2, pytest.approx(1))
    # Two people, two ratings each, of variance 2: one log spread, log(2) / 2 + (1.9635 + log(1 / 2)) / 2 = 0.9818, and
    # 7.125 / 2 is the variance of each mean. Scatter 8 / 3.562 = 2.246, so between = 1.246 * 3.562 = 4.438.
    scores, mean, spread = standardised(np.array([-2.0, 0.0, 2.0, 4.0]), np.array(["a", "a", "b", "b"]))
    share = 4.438 / (4.438 + 3.562)
    assert (mean, spread) == (pytest.approx(1), pytest.approx(2.669, rel=1e-3))
    by_hand = np.array([-3 + 2 * share, -1 + 2 * share, 1 - 2 * share, 3 - 2 * share]) / 2.669
    assert scores == pytest.approx(by_hand, rel=1e-3)
    assert standardised(np.full(3, 4.0), np.array(["a", "a", "b"]))[0].tolist() == [0, 0, 0]


def test_people_who_use_the_levels_alike_are_taken_as_they_are_but_for_the_stated_rate() -> None:
    changed = 0
    for seed in range(300):
        worth = np.random.default_rng(seed).normal(size=(3, 25))
        answers = rated({name: levels_of(each) for name, each in zip("abc", worth, strict=True)})
        values, note = on_one_scale(answers, of_people=True)
        as_it_is = values.tolist() == [answer.value for answer in answers]
        assert as_it_is == (note == "")
        changed += not as_it_is
    assert binomtest(changed, 300, DIFFER, alternative="greater").pvalue > 0.01


def test_people_who_use_them_differently_are_put_on_one_scale_in_levels() -> None:
    worth = np.random.default_rng(0).normal(size=(3, 60))
    people = {"low": levels_of(worth[0], -3, 0.6), "wide": levels_of(worth[1]), "high": levels_of(worth[2], 3, 0.5)}
    values, note = on_one_scale(rated(people), of_people=True)
    raw = np.concatenate([*people.values()])
    assert "use the levels differently" in note
    assert pearson(values, worth.ravel()) > 0.9 > pearson(raw, worth.ravel()) + 0.1
    assert abs(values.mean() - raw.mean()) < 0.5
    assert on_one_scale(rated(people), of_people=False)[0].tolist() == raw.tolist()
    for name, own in people.items():
        assert on_one_scale(rated({name: own}), of_people=True)[0].tolist() == own.tolist(), "alone"


def test_people_on_other_counts_of_levels_are_compared_by_shares_of_their_scales() -> None:
    worth = np.random.default_rng(0).normal(size=(2, 80))
    five, ten = np.ceil(levels_of(worth[0]) / 2), levels_of(worth[1])
    values, note = on_one_scale(rated({"five": five, "ten": ten}, levels={"five": 5}), of_people=True)
    assert "standardised for each person" in note
    assert pearson(values, worth.ravel()) > 0.9
    assert abs(values.mean()) < 0.2


def test_a_panel_is_always_standardised_and_scripts_never() -> None:
    worth = np.random.default_rng(0).normal(size=(2, 50))
    people = {"a": worth[0], "b": 100 + 20 * worth[1]}
    for of_people in (True, False):
        panel, note = on_one_scale(rated(people, source="panel:x", levels={"a": None, "b": None}), of_people=of_people)
        assert note == ""
        assert pearson(panel, worth.ravel()) > 0.97
        scripted, _ = on_one_scale(rated(people, source="scripted:reward"), of_people=of_people)
        assert scripted == pytest.approx(np.concatenate([*people.values()]), rel=1e-6)
