"""Preferences that run in a circle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from rmgym.feedback.cleaning.cycles import cycles
from rmgym.feedback.given import Given
from rmgym.feedback.tables import Answer, Query
from tests.feedback.cleaning.answering import drawn_steps, in_order, segment

_, TEXTS = drawn_steps(40, 0)
SEGMENTS = {row: segment(TEXTS, row, 1) for row in range(40)}


def preferring(*pairs: tuple[int, int], confidence: dict[int, float] | None = None) -> Given:
    """Somebody for each pair says that its first step is better; every other question asks with the worse one left."""
    queries, answers = dict[int, Query](), list[Answer]()
    for i, (better, worse) in enumerate(pairs, 1):
        left, right = (better, worse) if i % 2 else (worse, better)
        queries[i] = Query(id=i, kind="preference", left=left, right=right)
        sure = (confidence or {}).get(i)
        answers.append(
            Answer(query=i, annotator=f"person {i}", source="s", choice=float(left == better), confidence=sure)
        )
    return in_order(answers, queries, SEGMENTS)


def set_aside(given: Given) -> list[int]:
    return [answer for finding in cycles(given) for answer in finding.answers]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (preferring((0, 1), (1, 2), (0, 2)), []),
        (preferring((0, 1), (1, 2), (2, 0)), [3]),  # the latest
        (preferring((0, 1), (1, 2), (2, 0), confidence={2: 0.6}), [2]),  # the least sure
        (preferring((0, 1), (1, 2), (2, 0), (2, 0)), [2]),  # one that fewer bear out, of two votes against one each
        (preferring((2, 0), (0, 1), (1, 2), (0, 3), (3, 2), (0, 4), (4, 2)), [1]),  # that contradicts most chains
        (preferring((0, 1), (1, 0)), []),  # two people, one vote each: a tie, and no cycle
        (preferring((0, 1), (1, 2), (2, 0), (5, 6), (6, 7), (7, 5)), [3, 6]),
        (preferring((3, 3)), []),
    ],
)
def test_the_fewest_and_weakest_are_set_aside(given: Given, expected: list[int]) -> None:
    assert set_aside(given) == expected


def test_all_answers_to_a_question_vote_and_go_together() -> None:
    given = preferring((0, 1), (0, 1), (1, 2), (1, 2), (2, 0), (2, 0), (0, 2))  # two votes against one, at the end
    assert set_aside(given) == [5, 6, 7]


def right(order: list[int], pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs, each with the one first that comes first in an order."""
    return [(a, b) if order.index(a) < order.index(b) else (b, a) for a, b in pairs]


PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda p: p[0] != p[1]), max_size=40)


@settings(max_examples=60, deadline=None)
@drawn(order=st.permutations(range(10)), pairs=PAIRS)
def test_what_has_an_order_stays_as_it_is(order: list[int], pairs: list[tuple[int, int]]) -> None:
    assert set_aside(preferring(*right(order, pairs))) == []


@settings(max_examples=60, deadline=None)
@drawn(pairs=PAIRS)
def test_what_is_left_has_no_cycle_and_nothing_is_set_aside_in_vain(pairs: list[tuple[int, int]]) -> None:
    pairs = list({tuple(sorted(pair)): pair for pair in pairs}.values())
    given = preferring(*pairs)
    aside = set(set_aside(given))
    assert cycles(given.without(aside)) == []
    for one in aside:
        assert cycles(given.without(aside - {one})) != []


def test_few_wrong_answers_among_many_are_the_ones_that_are_found() -> None:
    rng, wrong, found_wrong, removed = np.random.default_rng(0), 0, 0, 0
    for _ in range(10):
        drawn_pairs = {tuple(sorted(rng.choice(30, 2, replace=False).tolist())) for _ in range(200)}
        pairs = [(a, b) for a, b in sorted(drawn_pairs)]
        turned = set(rng.choice(len(pairs), 10, replace=False).tolist())
        given = preferring(*[(b, a) if i in turned else (a, b) for i, (a, b) in enumerate(pairs)])
        aside = {i - 1 for i in set_aside(given)}
        wrong, removed, found_wrong = wrong + 10, removed + len(aside), found_wrong + len(aside & turned)
    assert found_wrong / removed > 0.8
    assert found_wrong / wrong > 0.6
