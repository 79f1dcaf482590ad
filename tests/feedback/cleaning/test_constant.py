"""Who gives one answer to everything, and who has reason to."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rmgym.feedback.cleaning.constant import constant, fewest
from rmgym.feedback.given import Given
from rmgym.feedback.tables import Answer, Query
from tests.feedback.cleaning.answering import drawn_steps, in_order, segment

_, TEXTS = drawn_steps(1, 0)


def rating(people: dict[str, list[float]]) -> Given:
    """Ratings, each of another question about one step."""
    answers = [
        Answer(query=0, annotator=name, source="s", value=value) for name, values in people.items() for value in values
    ]
    return in_order(answers, {0: Query(id=0, kind="rating", left=0)}, {0: segment(TEXTS, 0, 1)})


def names(people: dict[str, list[float]]) -> list[str | None]:
    return [finding.annotator for finding in constant(rating(people))]


def test_how_many_equal_answers_tell_depends_on_how_often_others_give_one() -> None:
    assert fewest(50, 100, 2) == 13  # of a share of at most 0.62
    assert fewest(95, 100, 2) > 150
    assert fewest(100, 100, 2) == math.inf
    half = [1.0, 2.0] * 50
    assert names({"ann": half, "bob": [3.0] * 13}) == ["bob"]
    assert names({"ann": half, "bob": [3.0] * 12}) == []
    assert names({"ann": [1.0] * 95 + [2.0] * 5, "bob": [1.0] * 100}) == []


def test_nobody_is_judged_alone_or_among_those_who_are_all_constant() -> None:
    assert names({"ann": [1.0] * 500}) == []
    assert names({"ann": [1.0] * 500, "bob": [2.0] * 500}) == []


def test_each_kind_of_answers_is_judged_by_itself() -> None:
    ratings = rating({"ann": [1.0, 2.0] * 20, "bob": [1.0, 2.0] * 20})
    choices = [
        Answer(query=1, annotator=name, source="s", choice=choice)
        for name, sides in (("ann", [1.0, 0.0] * 20), ("bob", [1.0] * 40))
        for choice in sides
    ]
    queries = {**ratings.queries, 1: Query(id=1, kind="preference", left=0, right=0)}
    given = in_order([*ratings.answers, *choices], queries, ratings.segments)
    [finding] = constant(given)
    assert finding.annotator == "bob"
    assert finding.answers == tuple(range(121, 161))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_who_answers_as_others_do_is_hardly_ever_taken_for_constant(share: float) -> None:
    rng, hits, trials = np.random.default_rng(0), 0, 150
    for _ in range(trials):
        sizes = rng.integers(5, 60, 4)
        people = {f"p{i}": (rng.random(n) < share).astype(float).tolist() for i, n in enumerate(sizes.tolist())}
        hits += bool(names(people))
    assert hits <= 0.01 * trials + 3 * math.sqrt(0.01 * trials)
