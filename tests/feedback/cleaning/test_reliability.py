"""How much whose answer to a question counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest

from rmgym.feedback.cleaning.constant import ALPHA
from rmgym.feedback.cleaning.one_scale import standardised
from rmgym.feedback.cleaning.reliability import reliabilities
from rmgym.feedback.given import Given, value_of
from rmgym.feedback.tables import Answer, Query
from tests.feedback.cleaning.answering import drawn_steps, in_order, segment

Floats = npt.NDArray[np.float64]
NAMES = ("ann", "bob", "eve", "joe")
_, TEXTS = drawn_steps(2, 0)


def shared(table: Floats, kind: str) -> tuple[Given, Floats]:
    """Answers ``[questions, people]``, NaN where there is none; every second pair is asked the other way round."""
    queries, answers = dict[int, Query](), list[Answer]()
    segments = {row: segment(TEXTS, 0, 1) for row in range(2 * len(table))}
    for i, row in enumerate(table.tolist()):
        sides = (2 * i, 2 * i + 1) if i % 2 else (2 * i + 1, 2 * i)
        queries[i] = Query(id=i, kind=kind, left=sides[0], right=sides[1] if kind == "preference" else None)
        for name, value in zip(NAMES, row, strict=False):
            if not np.isnan(value):
                seen = value if i % 2 or kind == "rating" else 1 - value
                what = {"value": seen} if kind == "rating" else {"choice": seen}
                answers.append(Answer(query=i, annotator=name, source="s", **what))
    given = in_order(answers, queries, segments)
    return given, np.array([value_of(answer) for answer in given.answers])


def choices(rng: np.random.Generator, questions: int, right: tuple[float, ...]) -> Floats:
    truth = rng.integers(0, 2, questions)[:, None]
    return np.where(rng.random((questions, len(right))) < right, truth, 1 - truth).astype(np.float64)


def ratings(rng: np.random.Generator, questions: int, error: tuple[float, ...]) -> Floats:
    return rng.normal(size=(questions, 1)) + rng.normal(size=(questions, len(error))) * error


def by_name(given: Given, weights: Floats) -> dict[str, float]:
    return {answer.annotator: weight for answer, weight in zip(given.answers, weights.tolist(), strict=True)}


def test_a_choice_weighs_as_much_as_its_log_odds() -> None:
    given, values = shared(choices(np.random.default_rng(0), 300, (0.95, 0.95, 0.7, 0.6)), "preference")
    weights, notes = reliabilities(given, values)
    each = by_name(given, weights)
    odds = {name: np.log(p / (1 - p)) for name, p in zip(NAMES, (0.95, 0.95, 0.7, 0.6), strict=True)}
    for name in NAMES[1:]:
        assert each[name] / each["ann"] == pytest.approx(odds[name] / odds["ann"], abs=0.2)
    assert notes[0].startswith("choices of several people to one question count by how reliable these are: ann")


def test_a_rating_weighs_as_much_as_its_inverse_variance() -> None:
    given, values = shared(ratings(np.random.default_rng(0), 300, (0.5, 0.5, 1.0, 1.0)), "rating")
    each = by_name(given, reliabilities(given, values)[0])
    assert each["eve"] / each["ann"] == pytest.approx(0.25, abs=0.1)
    assert each["joe"] / each["bob"] == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("kind", ["rating", "preference"])
def test_weighted_answers_are_nearer_to_the_truth(kind: str) -> None:
    rng, gain = np.random.default_rng(1), list[float]()
    for _ in range(4):
        if kind == "rating":
            truth, table = 0.0, rng.normal(size=(200, 4)) * (0.3, 1.5, 1.5, 1.5)
        else:
            truth, table = 1.0, (rng.random((300, 4)) < (0.97, 0.7, 0.7, 0.7)).astype(np.float64)
        given, values = shared(table, kind)
        weights = by_name(given, reliabilities(given, values)[0])
        weight = np.array([weights[name] for name in NAMES])
        plain, weighted = table.mean(axis=1), table @ weight / weight.sum()
        gain.append(np.abs(plain - truth).mean() - np.abs(weighted - truth).mean())
    assert min(gain) > 0


@pytest.mark.parametrize("kind", ["rating", "preference"])
def test_people_who_are_alike_count_alike_but_for_the_stated_rate(kind: str) -> None:
    weighed = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        table = ratings(rng, 25, (0.7,) * 4) if kind == "rating" else choices(rng, 25, (0.8,) * 4)
        table[rng.random(table.shape) < 0.3] = np.nan
        given, values = shared(table, kind)
        weights, notes = reliabilities(given, values)
        assert (notes == []) == (weights == 1).all()
        weighed += notes != []
    assert binomtest(weighed, 80, ALPHA, alternative="greater").pvalue > 0.01


def test_a_scale_that_was_guessed_wrong_from_few_ratings_is_not_held_against_anybody() -> None:
    """Exact people on scales of their own: all that differs is what is left of their scales when standardised."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        table = ratings(rng, 30, (0.0,) * 4) * (1.0, 1.5, 2.0, 2.5) + (0.0, 1.0, 2.0, 3.0)
        table[rng.random(table.shape) < 0.25] = np.nan
        given, values = shared(table, "rating")
        names = np.array([answer.annotator for answer in given.answers])
        assert reliabilities(given, standardised(values, names)[0])[1] == []
    table[:, 3] = rng.normal(size=30)
    given, values = shared(table, "rating")
    names = np.array([answer.annotator for answer in given.answers])
    (note,) = reliabilities(given, standardised(values, names)[0])[1]
    assert note.endswith("joe 0.10")


def test_two_people_and_questions_of_one_person_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    for table in (ratings(rng, 100, (0.1, 3.0)), np.where(np.eye(4)[np.arange(100) % 4] > 0, 1.0, np.nan)):
        given, values = shared(table, "rating")
        assert reliabilities(given, values)[1] == []
