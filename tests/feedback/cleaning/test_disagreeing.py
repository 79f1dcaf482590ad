"""Who answers the other way round, or by chance: how often that is seen, and how often it is seen where it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from rmgym.feedback.cleaning.disagreeing import disagreeing
from rmgym.feedback.given import Given
from rmgym.feedback.teachers import FallibleTeacher, Habits, Teacher
from tests.feedback.cleaning.answering import LENGTH, Chance, compared_by, drawn_steps, honest, rated_by, shared_out

People = Mapping[str, Teacher]


def ratings(people: People, count: int, seed: int, by: int = 1) -> Given:
    steps, texts = drawn_steps(count, seed)
    return rated_by(people, steps, texts, shared_out(count, list(people), seed, by=by))


def comparisons(people: People, count: int, seed: int, by: int = 1) -> Given:
    steps, texts = drawn_steps(count * 2 * LENGTH, seed)
    starts = np.random.default_rng(seed).permutation(np.arange(0, len(texts), LENGTH))
    return compared_by(people, steps, texts, starts.reshape(-1, 2), shared_out(count, list(people), seed, by=by))


def among_good(other: Callable[[int], Teacher]) -> Callable[[int], People]:
    return lambda seed: {**honest(4, seed, own_scale=True, mistakes=0.1), "other": other(seed)}


def reversed_person(seed: int) -> Teacher:
    return FallibleTeacher(habits=Habits(own_scale=True, mistakes=0.1, adversarial=True), seed=1000 * seed + 500)


def outcomes(
    ask: Callable[..., Given], people: Callable[[int], People], count: int, seeds: int, by: int = 1
) -> Counter:
    """Over many seeds, how often who was set aside for what."""
    found = Counter[tuple[str, str]]()
    for seed in range(seeds):
        for finding in disagreeing(ask(people(seed), count, seed, by))[0]:
            found[str(finding.annotator), finding.what] += 1
    return found


@pytest.mark.parametrize(("ask", "each"), [(ratings, 50), (comparisons, 50)])
@pytest.mark.parametrize("by", [1, 3])
def test_one_who_is_reversed_is_found_and_nobody_else(ask: Callable[..., Given], each: int, by: int) -> None:
    seen = outcomes(ask, among_good(reversed_person), 5 * each // by, 4, by)
    assert seen["other", "reversed"] + seen["other", "by chance"] >= 3
    assert seen["other", "reversed"] >= 2
    assert sum(count for (name, _), count in seen.items() if name != "other") <= 1


@pytest.mark.parametrize(("ask", "each"), [(ratings, 60), (comparisons, 100)])
def test_one_who_draws_answers_is_found_with_enough_of_them(ask: Callable[..., Given], each: int) -> None:
    seen = outcomes(ask, among_good(Chance), 5 * each, 6)
    assert seen["other", "by chance"] >= 4
    assert sum(count for (name, _), count in seen.items() if name != "other") <= 1


@pytest.mark.parametrize("ask", [ratings, comparisons])
@pytest.mark.parametrize("by", [1, 2])
def test_honest_people_on_scales_of_their_own_are_let_be(ask: Callable[..., Given], by: int) -> None:
    seen = outcomes(ask, lambda seed: honest(4, seed, own_scale=True, mistakes=0.1), 100 // by, 12, by)
    assert seen.total() <= 1  # of 1 % of 12 runs


def test_of_two_who_contradict_each_other_a_note_says_so_and_both_stay() -> None:
    people = {**honest(1, 0, own_scale=True), "other": reversed_person(0)}
    findings, notes = disagreeing(ratings(people, 80, 0))
    assert findings == []
    assert len(notes) == 1
    assert notes[0].startswith("good 0 and other contradict each other")


def test_where_the_others_do_not_agree_nobody_is_judged() -> None:
    people = {"one": Chance(1), "two": Chance(2), "three": reversed_person(3)}
    assert disagreeing(ratings(people, 150, 0))[0] == []


def test_nothing_is_said_of_nobody_and_of_one() -> None:
    assert disagreeing(ratings(honest(1, 0), 20, 0)) == ([], [])
    assert disagreeing(ratings(honest(3, 0), 20, 0).without(range(21))) == ([], [])
