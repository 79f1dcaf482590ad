"""Questions about a learning agent's steps: in the shares asked for, new, and each for its reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmgym.errors import FeedbackError
from rmgym.feedback.choice import Chosen, QuestionMix, choose_segments, choose_steps
from rmgym.feedback.questions import keys_of
from rmgym.prediction import Prediction
from rmgym.text import TextBatch
from rmgym.transitions import Transitions


def steps_of(values: np.ndarray, terminated: np.ndarray | None = None, length: int = 10) -> Transitions:
    """Episodes of ten steps."""
    size = len(values)
    return Transitions.from_arrays(
        values[:, None],
        np.zeros(size),
        values[:, None],
        np.zeros(size, bool) if terminated is None else terminated,
        np.zeros(size, bool),
        episode=np.arange(size) // length,
        step=np.arange(size) % length,
    )


def say(values: np.ndarray) -> TextBatch:
    return TextBatch.from_strings([f"x is {value:.3f}" for value in values])


def predicted(mean: np.ndarray, std: np.ndarray) -> Prediction:
    return Prediction(mean.astype(np.float32), std.astype(np.float32))


def test_questions_are_asked_in_the_shares_of_the_mix() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=1000)
    steps, texts = steps_of(values, rng.random(1000) < 0.1), say(values)
    chosen = choose_steps(
        steps, texts, 100, asked=None, predicted=predicted(values, np.ones(1000)), mix=QuestionMix(), before={}, rng=rng
    )
    counts = {reason: chosen.reasons.count(reason) for reason in dict.fromkeys(chosen.reasons)}
    assert counts == {"terminated": 12, "uniform": 44, "largest": 22, "unsure": 22}
    assert len(set(chosen.ratings.tolist())) == len(chosen) == 100
    assert steps.terminated[chosen.ratings[:12]].all()
    largest = values[chosen.ratings[56:78]]
    assert largest.min() > np.quantile(values, 0.5)  # among the 400 largest of those that are left


def test_what_was_rated_before_is_not_asked_again() -> None:
    values = np.repeat(np.arange(50.0), 4)
    steps, texts = steps_of(values), say(values)
    chosen = choose_steps(
        steps,
        texts,
        100,
        asked=say(np.arange(0, 50.0, 2)),
        predicted=predicted(values, np.ones(200)),
        mix=QuestionMix(),
        before={},
        rng=np.random.default_rng(1),
    )
    assert sorted(values[chosen.ratings].tolist()) == list(range(1, 50, 2))  # each that is new, once


def test_the_unsure_ones_are_far_from_what_is_known_and_disputed() -> None:
    values, std = np.array([0.0, 1, 2, 3, 10, 11]), np.array([1.0, 1, 1, 1, 1, 5])
    mix = QuestionMix(terminated=0, uniform=0, largest=0, unsure=1)
    believed = predicted(np.zeros(6), std)

    def ask(known: TextBatch | None, n: int = 1) -> list[float]:
        rng = np.random.default_rng(0)
        chosen = choose_steps(
            steps_of(values), say(values), n, asked=known, predicted=believed, mix=mix, before={}, rng=rng
        )
        return values[chosen.ratings].tolist()

    assert ask(say(np.array([0.0]))) == [11]
    assert ask(say(np.array([0.0, 11]))) == [3]  # (10 - 11)^2 = 1 < (3 - 0)^2 = 9
    assert ask(say(np.array([0.0])), 2) == [11, 3]


def test_of_steps_that_ended_the_task_the_unsure_ones_are_asked_about() -> None:
    values, std = np.arange(100.0), np.full(100, 0.1)
    std[[40, 70]] = 10.0  # soft landings among crashes
    chosen = choose_steps(
        steps_of(values, np.arange(100) % 2 == 0),
        say(values),
        10,
        asked=say(np.array([-1.0])),
        predicted=predicted(values, std),
        mix=QuestionMix(terminated=0.2, uniform=0.8, largest=0, unsure=0),
        before={},
        rng=np.random.default_rng(0),
    )
    assert chosen.reasons.count("terminated") == 2
    assert set(chosen.ratings[:2].tolist()) == {40, 70}


def test_each_phrase_that_was_in_no_question_is_asked_about_first() -> None:
    how = ["goes on"] * 8 + ["is over", "ran out of time", "goes on", "is over"]

    def say_how(numbers: np.ndarray, ends: list[str]) -> TextBatch:
        size = len(ends)
        phrases = tuple(dict.fromkeys(ends))
        return TextBatch(
            templates=("x is {:.1f}, it {:s}",),
            template_index=np.zeros(size, np.int32),
            numbers=numbers,
            offsets=np.arange(size + 1),
            language="en",
            card_hash=None,
            phrases=phrases,
            words=np.array([phrases.index(each) for each in ends], np.int32),
        )

    values = np.arange(12.0)
    std = np.where(values == 3, 100.0, 0.1)
    believed = predicted(values, std)
    mix = QuestionMix(terminated=0, uniform=0, largest=0, unsure=1)

    def ask(n: int, known: list[str]) -> list[int]:
        asked = say_how(np.full(len(known), 50.0), known)
        rng = np.random.default_rng(0)
        texts = say_how(values, how)
        return choose_steps(
            steps_of(values), texts, n, asked=asked, predicted=believed, mix=mix, before={}, rng=rng
        ).ratings.tolist()

    assert ask(3, ["goes on"]) == [8, 9, 3]
    assert ask(1, ["goes on"]) == [8]
    assert ask(2, ["goes on", "is over"]) == [9, 3]
    assert ask(1, ["goes on", "is over", "ran out of time"]) == [3]


def test_before_there_is_a_model_steps_are_chosen_by_coverage() -> None:
    values = np.concatenate([np.linspace(0, 1, 95), [50, -50, 100, 20, 70]])
    chosen = choose_steps(
        steps_of(values),
        say(values),
        6,
        asked=None,
        predicted=None,
        mix=QuestionMix(),
        before={},
        rng=np.random.default_rng(0),
    )
    assert chosen.reasons == ("coverage",) * 6
    assert {50, -50, 100, 20, 70} <= set(values[chosen.ratings].tolist())


@given(st.integers(2, 200), st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(0, 5))
def test_small_rounds_add_up_to_the_shares(labels: int, ended: list[int], seed: int) -> None:
    """Each reason rounded in each round, the smallest was never asked for."""
    mix, before = QuestionMix(), dict[str, int]()
    rng = np.random.default_rng(seed)
    while (n := int(rng.integers(1, 6))) + sum(before.values()) <= labels:
        counts = mix.counts(n, before, 100)
        assert sum(counts.values()) == n
        before = {name: before.get(name, 0) + count for name, count in counts.items()}
    for name, share in (("terminated", 0.12), ("uniform", 0.44), ("largest", 0.22), ("unsure", 0.22)):
        assert abs(before.get(name, 0) - share * sum(before.values())) < 1.5
    for there in ended:
        assert mix.counts(20, {}, there).get("terminated", 0) <= there


def test_without_ended_steps_the_other_shares_grow() -> None:
    assert QuestionMix().counts(40, {}, 0) == {"uniform": 20, "largest": 10, "unsure": 10}


@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 12), st.integers(0, 3))
def test_segments_stay_in_their_episode_and_do_not_overlap(size: int, n: int, length: int, seed: int) -> None:
    values = np.arange(size * 7.0)
    steps, texts = steps_of(values, length=7), say(values)
    chosen = choose_segments(steps, texts, n, length, rng=np.random.default_rng(seed))
    starts = chosen.preferences.reshape(-1)
    rows = (starts[:, None] + np.arange(length)).reshape(-1)
    assert len(np.unique(rows)) == len(rows)
    assert (steps.episode[starts] == steps.episode[starts + length - 1]).all()
    least = 0 if length > 7 else size * ((7 - length + 1) // length) // 2  # wherever the first one starts
    assert min(n, least) <= len(chosen) <= n
    again = Chosen.from_json(chosen.to_json())
    assert np.array_equal(again.preferences, chosen.preferences)
    assert (again.length, again.reasons) == (chosen.length, chosen.reasons)


def test_equal_segments_and_pairs_that_were_compared_are_left_out() -> None:
    values = np.tile(np.arange(5.0), 40)  # each episode is one of two, over and over
    steps, texts = steps_of(values, length=5), say(values)
    first = choose_segments(steps, texts, 50, 1, rng=np.random.default_rng(0))
    assert len(first) == 2  # five different steps
    assert len(set(values[first.preferences.reshape(-1)].tolist())) == 4
    asked = set(keys_of(texts, first.preferences, 1))
    flipped = {(right, left) for left, right in asked}
    for before in (asked, flipped):
        again = choose_segments(steps, texts, 50, 1, asked=before, rng=np.random.default_rng(0))
        assert not len(again)


def test_shares_that_are_none_are_refused() -> None:
    with pytest.raises(FeedbackError, match="shares of questions"):
        QuestionMix(terminated=0, uniform=0, largest=0, unsure=0)
    with pytest.raises(FeedbackError, match="shares of questions"):
        QuestionMix(terminated=-0.1)


def test_comparisons_are_asked_for_beside_ratings_by_a_reason_of_their_own() -> None:
    values = np.random.default_rng(0).normal(size=200)
    steps, texts, rng = steps_of(values), say(values), np.random.default_rng(1)
    compared = choose_segments(steps, texts, 3, 4, rng=rng)
    rated = choose_steps(steps, texts, 5, asked=None, predicted=None, mix=QuestionMix(), before={}, rng=rng)
    both = Chosen.from_json(rated.and_compared(compared).to_json())
    assert both.ratings.tolist() == rated.ratings.tolist()
    assert both.preferences.tolist() == compared.preferences.tolist()
    assert (both.length, len(both)) == (4, 8)
    assert both.reasons == ("coverage",) * 5 + ("compared",) * 3
