"""Scores by hand, one model row per distinct text, and refusals."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.errors import ModelError, TextError
from rmgym.models import Prediction
from rmgym.scoring import Scorer
from rmgym.text import TextBatch, textualizer
from rmgym.text.distinct import distinct
from rmgym.transitions import Transitions
from tests.doubles import COUNTER, ToyReward


def counter_steps(rows: list[tuple[float, int, float, bool, bool]]) -> Transitions:
    """Steps (position, action, next position, terminated, truncated) of the counting environment."""
    before = np.array([[p, 0] for p, *_ in rows], np.float32).reshape(-1, 2)
    after = np.array([[q, 1] for _, _, q, _, _ in rows], np.float32).reshape(-1, 2)
    flags = [[r[3] for r in rows], [r[4] for r in rows]]
    return Transitions.from_arrays(before, np.array([r[1] for r in rows], np.int64), after, *flags)


STEPS = [(0, 2, 1, False, False), (1, 2, 2, False, False), (0, 2, 1, False, False), (0, 2, 1, False, True)]


def test_distinct_rows_by_hand() -> None:
    texts = TextBatch.from_strings(["a 1", "b", "a 2", "a 1", "b", "a 1.0", "a 1 2"])
    first, where = distinct(texts)
    assert first.tolist() == [0, 1, 2, 5, 6]
    assert where.tolist() == [0, 1, 2, 0, 1, 3, 4]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["x", "x 1", "x 2", "y 1", "x 1 2", "y 1 0", "y 0 1", "1 y", ""])))
def test_distinct_rows_give_the_texts_back(strings: list[str]) -> None:
    texts = TextBatch.from_strings(strings)
    first, where = distinct(texts)
    assert [strings[first[i]] for i in where] == strings
    assert len(first) == len(set(strings))
    assert first.tolist() == sorted(first.tolist())


def test_scores_are_the_models_and_equal_texts_are_scored_once() -> None:
    model, text = ToyReward(std=0.25), textualizer(gym.make(COUNTER))
    prediction = Scorer(model, text).score(counter_steps(STEPS))
    assert model.calls == [3]  # the third step is the first one again; the fourth was truncated, which is another text
    strings = text.batch(counter_steps(STEPS)).strings()
    by_hand = ToyReward(std=0.25).predict(strings)  # the road of plain strings
    np.testing.assert_array_equal(prediction.mean, by_hand.mean)
    np.testing.assert_array_equal(prediction.std, np.full(4, 0.25, np.float32))
    assert prediction.mean[0] == prediction.mean[2] != prediction.mean[3]
    assert prediction.mean.dtype == prediction.std.dtype == np.float32


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_scores_do_not_depend_on_batch_or_order(data: st.DataObject) -> None:
    step = st.tuples(st.integers(-3, 3), st.integers(0, 2), st.integers(-3, 3), st.booleans(), st.booleans())
    rows = data.draw(st.lists(step, min_size=1, max_size=12))
    scorer = Scorer(ToyReward(), textualizer(COUNTER))
    whole = scorer.score(counter_steps(rows)).mean
    one_by_one = np.concatenate([scorer.score(counter_steps([row])).mean for row in rows])
    order = data.draw(st.permutations(range(len(rows))))
    np.testing.assert_array_equal(whole, one_by_one)
    np.testing.assert_array_equal(whole[list(order)], scorer.score(counter_steps([rows[i] for i in order])).mean)


def test_no_steps_have_no_scores_and_ask_no_model() -> None:
    model = ToyReward()
    prediction = Scorer(model, textualizer(COUNTER)).score(counter_steps([]))
    assert (len(prediction), len(prediction.std), model.calls) == (0, 0, [])


class _Keeping(ToyReward):
    """Answers with an array that it keeps."""

    kept = np.array([1.0, 2.0], np.float32)

    def predict(self, texts: object) -> Prediction:
        return Prediction(self.kept, self.kept)


def test_scores_are_copies() -> None:
    prediction = Scorer(_Keeping(), textualizer(COUNTER)).score(counter_steps(STEPS[:2]))
    prediction.mean[:] += 100  # as SB3's bootstrap does
    prediction.std[:] += 100
    assert _Keeping.kept.tolist() == [1.0, 2.0]


def test_a_model_of_another_card_is_refused_and_both_are_named() -> None:
    text = textualizer(COUNTER)
    with pytest.raises(ModelError) as caught:
        Scorer(ToyReward(card_hash="feedfeedfeedfeed"), text)
    for said in ("feedfeedfeedfeed", text.card_hash, "'toy'", COUNTER, "fit it on this environment"):
        assert said in str(caught.value)


def test_a_model_of_another_language_is_refused() -> None:
    fitted = ToyReward(card_hash=textualizer(COUNTER, language="zh").card_hash)
    with pytest.raises(ModelError, match="language"):
        Scorer(fitted, textualizer(COUNTER))
    assert len(Scorer(fitted, textualizer(COUNTER, language="zh")).score(counter_steps(STEPS))) == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_reward_that_is_not_finite_is_refused_with_its_text(value: float) -> None:
    class Broken(ToyReward):
        def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
            return Prediction(np.full(len(texts), value, np.float32), np.zeros(len(texts), np.float32))

    with pytest.raises(ModelError, match=r"finite[\s\S]*State: value obs0"):
        Scorer(Broken(), textualizer(COUNTER)).score(counter_steps(STEPS))


def test_a_reward_that_is_not_finite_beside_known_ones_is_refused_with_its_text() -> None:
    class Breaking(ToyReward):
        def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
            said = super().predict(texts)
            return said if len(self.calls) == 1 else Prediction(said.mean * np.float32(np.nan), said.std)

    scorer = Scorer(Breaking(), textualizer(COUNTER))
    scorer.score(counter_steps(STEPS[:2]))
    with pytest.raises(ModelError, match=r"finite[\s\S]*The time limit"):
        scorer.score(counter_steps(STEPS))


def test_an_uncertainty_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ModelError, match="std nan"):
        Scorer(ToyReward(std=float("nan")), textualizer(COUNTER)).score(counter_steps(STEPS))


def test_a_wrong_number_of_rewards_is_refused() -> None:
    with pytest.raises(ModelError, match="one number per text"):
        Scorer(_Keeping(), textualizer(COUNTER)).score(counter_steps(STEPS))


def test_an_observation_with_nan_is_refused() -> None:
    with pytest.raises(TextError, match="finite"):
        Scorer(ToyReward(), textualizer(COUNTER)).score(counter_steps([(np.nan, 0, 1, False, False)]))
