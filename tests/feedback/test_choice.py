"""Questions about a learning agent's steps: in the shares asked for, new, and each for its reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmgym.errors import FeedbackError
from rmgym.feedback.choice import Chosen, QuestionMix, choose_segments, choose_steps
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
        steps, texts, 100, rated=None, predicted=predicted(values, np.ones(1000)), mix=QuestionMix(), rng=rng
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
        rated=say(np.arange(0, 50.0, 2)),
        predicted=predicted(values, np.ones(200)),
        mix=QuestionMix(),
        rng=np.random.default_rng(1),
    )
    assert sorted(values[chosen.ratings].tolist()) == list(range(1, 50, 2))  # each that is new, once


def test_the_unsure_ones_are_far_from_what_is_known_and_disputed() -> None:
    values, std = np.array([0.0, 1, 2, 3, 10, 11]), np.array([1.0, 1, 1, 1, 1, 5])
    mix = QuestionMix(terminated=0, uniform=0, largest=0)
    told = predicted(np.zeros(6), std)

    def ask(known: TextBatch | None, n: int = 1) -> list[float]:
        rng = np.random.default_rng(0)
        chosen = choose_steps(steps_of(values), say(values), n, rated=known, predicted=told, mix=mix, rng=rng)
        return values[chosen.ratings].tolist()

    assert ask(say(np.array([0.0]))) == [11]
    assert ask(say(np.array([0.0, 11]))) == [3]  # (10 - 11)^2 = 1 < (3 - 0)^2 = 9
    assert ask(say(np.array([0.0])), 2) == [11, 3]


def test_before_there_is_a_model_steps_are_chosen_by_coverage() -> None:
    values = np.concatenate([np.linspace(0, 1, 95), [50, -50, 100, 20, 70]])
    chosen = choose_steps(
        steps_of(values), say(values), 6, rated=None, predicted=None, mix=QuestionMix(), rng=np.random.default_rng(0)
    )
    assert chosen.reasons == ("coverage",) * 6
    assert {50, -50, 100, 20, 70} <= set(values[chosen.ratings].tolist())


@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 12), st.integers(0, 3))
def test_segments_stay_in_their_episode_and_do_not_overlap(size: int, n: int, length: int, seed: int) -> None:
    steps = steps_of(np.zeros(size * 7), length=7)
    chosen = choose_segments(steps, n, length, rng=np.random.default_rng(seed))
    starts = chosen.preferences.reshape(-1)
    rows = (starts[:, None] + np.arange(length)).reshape(-1)
    assert len(np.unique(rows)) == len(rows)
    assert (steps.episode[starts] == steps.episode[starts + length - 1]).all()
    assert len(chosen) == (0 if length > 7 else min(n, size * (7 // length) // 2) if 7 % length == 0 else len(chosen))
    again = Chosen.from_json(chosen.to_json())
    assert np.array_equal(again.preferences, chosen.preferences)
    assert (again.length, again.reasons) == (chosen.length, chosen.reasons)


def test_shares_that_are_none_are_refused() -> None:
    with pytest.raises(FeedbackError, match="shares of questions"):
        QuestionMix(uniform=0.8, largest=0.3)
    with pytest.raises(FeedbackError, match="shares of questions"):
        QuestionMix(terminated=-0.1)
