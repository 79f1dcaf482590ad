"""What comparisons imply about their steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from rmgym.errors import FitError
from rmgym.feedback.labels import Labels, Preferences
from rmgym.metrics.ranking import spearman
from rmgym.text import TextBatch
from rmgym.training import FitOptions, fit
from rmgym.training.implied import MOST_PAIRS, MOST_STEPS, with_implied
from tests.training.small import SmallReward, both, make_preferences, make_ratings, make_texts, true_reward


def implied(labels: Labels) -> tuple[TextBatch, npt.NDArray[np.float32]]:
    ratings = with_implied(labels, np.arange(len(labels))).ratings
    assert ratings is not None
    return ratings.texts, ratings.values


def compare(steps: TextBatch, pairs: list[tuple[int, int]]) -> Labels:
    """Single steps, the left one better."""
    left, right = (np.array([[pair[side], pair[side] + 1] for pair in pairs]) for side in (0, 1))
    n, nothing = len(pairs), np.zeros(len(pairs), np.float32)
    return Labels(
        preferences=Preferences(
            steps=steps, left=left, right=right, choice=np.ones(n, np.float32), margin=nothing, groups=np.arange(n)
        )
    )


def linear_fit(texts: TextBatch, values: npt.NDArray[np.float32]) -> float:
    return float(np.corrcoef(values, true_reward(texts))[0, 1] ** 2)


def test_few_comparisons_of_segments_tell_what_their_steps_are_worth() -> None:
    texts, values = implied(make_preferences(60, lengths=(3, 5)))
    assert linear_fit(texts, values) > 0.8
    assert values.mean() == pytest.approx(0, abs=1e-5)
    assert values.std() == pytest.approx(1, abs=1e-4)


def test_a_chain_implies_the_order_and_distance_of_its_ends() -> None:
    steps = TextBatch(
        templates=("At {:.1f}.",),
        template_index=np.zeros(4, np.int32),
        numbers=np.array([0.0, 100.0, 200.0, 300.0]),
        offsets=np.arange(5, dtype=np.int64),
        card_hash="cafe",
    )
    _, values = implied(compare(steps, [(0, 1), (1, 2), (2, 3)]))
    assert values[0] > values[1] > values[2] > values[3]
    assert values[0] - values[3] > 2 * (values[0] - values[1])


def test_numbers_that_nothing_speaks_for_do_not_count() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(160, 6)).round(2)
    steps = TextBatch(
        templates=("A {:.2f}, b {:.2f}, c {:.2f}, d {:.2f}, e {:.2f}, f {:.2f}.",),
        template_index=np.zeros(160, np.int32),
        numbers=numbers.ravel(),
        offsets=np.arange(161, dtype=np.int64) * 6,
        card_hash="cafe",
    )
    worth = -np.square(numbers[:, 2])
    labels = compare(steps, [(i, i + 1) if worth[i] > worth[i + 1] else (i + 1, i) for i in range(0, 160, 2)])
    _, values = implied(labels)
    assert spearman(values.astype(np.float64), worth) > 0.9


def test_wrong_answers_flatten_it_and_do_not_turn_it_round() -> None:
    labels = make_preferences(120, lengths=(2,))
    pairs = labels.preferences
    assert pairs is not None
    wrong = np.random.default_rng(0).random(len(pairs)) < 0.2
    flipped = replace(labels, preferences=replace(pairs, choice=np.where(wrong, 1 - pairs.choice, pairs.choice)))
    assert linear_fit(*implied(flipped)) > 0.6


def test_ties_and_soft_answers_are_read() -> None:
    labels = make_preferences(60, lengths=(2,))
    pairs = labels.preferences
    assert pairs is not None
    soft = replace(labels, preferences=replace(pairs, choice=(0.5 + 0.8 * (pairs.choice - 0.5)).astype(np.float32)))
    assert linear_fit(*implied(soft)) > 0.6
    ties = replace(labels, preferences=replace(pairs, choice=np.full(60, 0.5, np.float32)))
    assert not implied(ties)[1].any()


def test_long_segments_are_looked_at_in_part() -> None:
    labels = make_preferences(30, lengths=(60,))
    texts, values = implied(labels)
    assert len(texts) == len(values) <= MOST_STEPS < 30 * 2 * 60
    assert linear_fit(texts, values) > 0.25


def test_many_comparisons_are_looked_at_closely_enough() -> None:
    """Where a reward comes and goes within a segment, few of its steps do not tell their sum."""
    rng = np.random.default_rng(0)
    phase, length = rng.uniform(0, 2 * np.pi, 400), 15
    angle = (phase[:, None] + rng.uniform(0.3, 0.6, (400, 1)) * np.arange(length)).reshape(-1)
    steps = TextBatch(
        templates=("At {:.4f}, {:.4f}.",),
        template_index=np.zeros(len(angle), np.int32),
        numbers=np.stack([np.cos(angle), np.sin(angle)], axis=1).round(4).ravel(),
        offsets=np.arange(len(angle) + 1, dtype=np.int64) * 2,
        card_hash="cafe",
    )
    worth = np.cos(angle)
    first = np.arange(0, len(angle), 2 * length)
    left, right = (np.stack([start, start + length], axis=1) for start in (first, first + length))
    sums = worth.reshape(200, 2, length).sum(axis=2)
    choice = (sums[:, 0] > sums[:, 1]).astype(np.float32)
    wrong = rng.random(200) < 0.3
    for given, least in ((choice, 0.9), (np.where(wrong, 1 - choice, choice).astype(np.float32), 0.5)):
        nothing = np.zeros(200, np.float32)
        pairs = Preferences(
            steps=steps, left=left, right=right, choice=given, margin=nothing, groups=np.arange(200, dtype=np.int64)
        )
        texts, values = implied(Labels(preferences=pairs))
        assert len(texts) == 2000
        assert np.corrcoef(values, texts.numbers[::2])[0, 1] ** 2 > least


def test_what_is_held_out_gets_no_rating() -> None:
    labels, given = make_preferences(20, lengths=(2,)), np.arange(5)
    assert labels.preferences is not None
    of_five = with_implied(labels, given)
    assert of_five.ratings is not None
    assert len(of_five.ratings) == 20
    assert of_five.ratings.texts.strings() == labels.preferences.steps[:20].strings()
    assert of_five.preferences is labels.preferences
    others = labels.preferences.choice.copy()
    others[5:] = 1 - others[5:]
    answered_wrongly = replace(labels, preferences=replace(labels.preferences, choice=others))
    again = with_implied(answered_wrongly, given)
    assert again.ratings is not None
    assert np.array_equal(again.ratings.values, of_five.ratings.values)


def test_ratings_and_too_many_comparisons_are_refused() -> None:
    with pytest.raises(FitError, match="comparisons alone"):
        with_implied(both(make_ratings(10), make_preferences(10)), np.arange(20))
    with pytest.raises(FitError, match=f"{MOST_PAIRS} comparisons at most"):
        with_implied(make_preferences(MOST_PAIRS + 1, lengths=(1,)), np.arange(MOST_PAIRS + 1))


def test_a_model_is_fitted_better_on_what_is_implied_too_in_as_many_steps() -> None:
    labels, unseen = make_preferences(40, lengths=(4,)), make_texts(500, seed=99)
    options = FitOptions(max_steps=150, batch_size=16, learning_rate=1e-2, validation=0.2, patience=None)
    scores = list[float]()
    for using in (True, False):
        result = fit(SmallReward.create(), labels, replace(options, implied=using), progress=False)
        assert result.model.fitted_on["preferences"] == 40
        assert result.model.fitted_on["ratings"] == 0
        assert (result.metrics["train"]["labels"], result.metrics["validation"]["labels"]) == (32, 8)
        assert result.metrics["train"]["accuracy"] > 0.7
        assert result.metrics["validation"]["r2"] is None
        scores.append(linear_fit(unseen, result.model.predict(unseen).mean))
    assert scores[0] > scores[1] + 0.05
    further = fit(result.model, make_preferences(60, lengths=(4,)), replace(options, implied=True), progress=False)
    assert linear_fit(unseen, further.model.predict(unseen).mean) > scores[1]
