"""Scores of numbered steps: read once, the same as without the table, and forgotten when the model changes."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rmgym
from rmgym.cards import EnvCard, LeftOut
from rmgym.errors import TextError
from rmgym.scoring import Scorer
from rmgym.scoring.lookup import ScoreTable
from rmgym.text import textualizer
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import Transitions
from tests.doubles import COUNTER, ToyReward

LAKE = textualizer("FrozenLake-v1")
ROW = st.tuples(st.integers(0, 15), st.integers(0, 3), st.integers(0, 15), st.booleans(), st.booleans())


def steps_of(rows: list[tuple[int, int, int, bool, bool]]) -> Transitions:
    return Transitions.from_arrays(*(np.array(column) for column in zip(*rows, strict=True)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(ROW, min_size=1, max_size=8), min_size=1, max_size=5))
def test_scores_are_those_of_the_texts_and_every_step_is_read_once(batches):
    model, scorer = ToyReward(std=0.5), Scorer(ToyReward(std=0.5), LAKE)
    seen = set()
    for rows in batches:
        prediction = scorer.score(steps_of(rows))
        by_hand = model.predict(LAKE.batch(steps_of(rows)).strings())
        np.testing.assert_array_equal(prediction.mean, by_hand.mean)
        np.testing.assert_array_equal(prediction.std, by_hand.std)
        seen |= set(rows)
    assert sum(scorer.model.calls) == len(seen)


def test_changing_what_was_returned_changes_no_later_score():
    scorer, rows = Scorer(ToyReward(), LAKE), steps_of([(0, 1, 4, False, False), (4, 2, 5, True, False)])
    first = scorer.score(rows)
    kept = first.mean.copy()
    first.mean[:] = 99
    np.testing.assert_array_equal(scorer.score(rows).mean, kept)


def test_a_model_that_was_fitted_on_is_asked_again():
    model = rmgym.create_reward_model("seq2seq", preset="small", seed=0)
    model.prepare(LAKE.batch(steps_of([(0, 1, 4, False, False)])))
    scorer, rows = Scorer(model, LAKE), steps_of([(0, 1, 4, False, False), (4, 2, 5, True, False)])
    before, digest = scorer.score(rows).mean, model.digest
    model.offset += 3.0
    assert model.digest != digest
    np.testing.assert_allclose(scorer.score(rows).mean, before + 3.0, atol=1e-5)


def test_spaces_that_start_elsewhere_and_axes_that_sb3_adds():
    state, action = gym.spaces.Discrete(3, start=-1), gym.spaces.Discrete(2, start=5)
    table = ScoreTable(state, action)
    steps = Transitions.from_arrays(np.array([-1, 1, 0]), np.array([[5], [6], [5]]), np.array([1, -1, 0]))
    # ((s * 2 + a) * 3 + s') * 4 with s, a, s' counted from zero
    assert table.cells(steps).tolist() == [(0 * 3 + 2) * 4, (5 * 3 + 0) * 4, (2 * 3 + 1) * 4]


def test_a_state_outside_its_space_is_refused_as_ever():
    with pytest.raises(TextError, match="in its space"):
        Scorer(ToyReward(), LAKE).score(steps_of([(16, 0, 0, False, False)]))


def test_other_spaces_and_huge_ones_have_no_table():
    assert ScoreTable.of(textualizer(gym.make(COUNTER))) is None
    card = EnvCard(id="Long-v0", task={"en": "Walk."}, left_out=LeftOut(observation=[""], action=[""]))
    assert ScoreTable.of(Textualizer(card, gym.spaces.Discrete(100_000), gym.spaces.Discrete(2))) is None


def test_a_step_is_read_together_with_the_one_that_time_cuts():
    model = rmgym.create_reward_model("minilm", width=16, roles=8).eval()
    scorer, calls = Scorer(model, LAKE), []
    predict = model.predict
    model.predict = lambda texts: calls.append(len(texts)) or predict(texts)
    first = scorer.score(steps_of([(0, 1, 4, False, False)])).mean
    cut = scorer.score(steps_of([(0, 1, 4, False, True)])).mean
    assert calls == [2]
    alone = predict(LAKE.batch(steps_of([(0, 1, 4, False, False), (0, 1, 4, False, True)]))).mean
    np.testing.assert_allclose(np.concatenate([first, cut]), alone, atol=1e-6)
