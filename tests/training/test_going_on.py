"""A fitted model goes on from its weights, in its units, and stays as it is for those who use it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rmgym.errors import FitError
from rmgym.feedback.labels import Labels, Ratings
from rmgym.models import create_reward_model
from rmgym.models.neural import NeuralRewardModel
from rmgym.text import TextBatch
from rmgym.training import FitOptions, fit
from rmgym.training.fitting import fittable
from tests.training.small import SmallReward, make_preferences, make_ratings, make_texts, true_reward

FIRST = FitOptions(max_steps=100, batch_size=16, learning_rate=3e-2, validation=0, patience=None)
FURTHER = replace(FIRST, max_steps=10, learning_rate=3e-3)


def error(model: NeuralRewardModel) -> float:
    unseen = make_texts(500, seed=99)
    return float(np.square(model.predict(unseen).mean - true_reward(unseen)).mean())


def first(labels: Labels, count: int) -> Labels:
    ratings = labels.ratings
    assert ratings is not None
    part = slice(count)
    return Labels(ratings=Ratings(texts=ratings.texts[part], values=ratings.values[part], groups=ratings.groups[part]))


def test_it_goes_on_from_its_weights_in_its_units_and_stays_as_it_is() -> None:
    labels = make_ratings(200)
    before = fit(SmallReward.create(), first(labels, 60), FIRST, progress=False).model
    digest, weights = before.digest, {name: value.clone() for name, value in before.state_dict().items()}
    result = fit(before, labels, FURTHER, progress=False)
    assert result.model is not before
    assert before.digest == digest
    assert all(bool((before.state_dict()[name] == value).all()) for name, value in weights.items())
    assert result.model.digest != digest
    assert (float(result.model.offset), float(result.model.scale)) == (float(before.offset), float(before.scale))
    assert result.model.fitted_on["ratings"] == 200
    anew = fit(SmallReward.create(), labels, FURTHER, progress=False).model
    assert error(result.model) < error(before) < error(anew)


def test_the_units_of_ratings_are_new_to_a_model_of_preferences() -> None:
    labels = replace(make_ratings(50), preferences=make_preferences(40).preferences)
    before = fit(SmallReward.create(), make_preferences(40), FIRST, progress=False).model
    after = fit(before, labels, FURTHER, progress=False).model
    assert labels.ratings is not None
    assert float(after.offset) == pytest.approx(float(np.median(labels.ratings.values)), rel=1e-5)


def test_fewer_labels_than_before_are_refused() -> None:
    before = fit(SmallReward.create(), make_ratings(60), FIRST, progress=False).model
    with pytest.raises(FitError, match=r"59 ratings after 60 ratings"):
        fit(before, make_ratings(59), FURTHER, progress=False)
    with pytest.raises(FitError, match=r"70 preferences after 60 ratings"):
        fit(before, make_preferences(70), FURTHER, progress=False)


def said(*lines: str) -> Labels:
    texts = TextBatch.from_strings(list(lines))
    values = np.arange(len(lines), dtype=np.float32)
    return Labels(ratings=Ratings(texts=texts, values=values, groups=np.arange(len(lines))))


@pytest.mark.parametrize("new", ["Lamp: blue. Height: 0.70.", "Height: 0.70. Lamp: red."])
def test_phrases_and_templates_that_it_has_not_read_are_refused(new: str) -> None:
    old = ("Lamp: red. Height: 0.10.", "Lamp: red. Height: 0.20.", "Lamp: red. Height: 0.40.")
    model = fittable(create_reward_model("no-lm", seed=0, width=16, heads=3, roles=8), 0)
    before = fit(model, said(*old), FURTHER, progress=False).model
    assert before.has_read(said(*old, "Lamp: red. Height: 0.70.").texts)
    assert not before.has_read(said(*old, new).texts)
    fit(before, said(*old, "Lamp: red. Height: 0.70."), FURTHER, progress=False)
    with pytest.raises(FitError, match="templates or phrases"):
        fit(before, said(*old, new), FURTHER, progress=False)


@pytest.mark.parametrize("new", [99.0, -40.0])
def test_numbers_that_are_spread_otherwise_are_refused(new: float) -> None:
    lines = [f"Height: {0.1 * i:.2f}." for i in range(10)]
    model = fittable(create_reward_model("no-lm", seed=0, width=16, heads=3, roles=8), 0)
    before = fit(model, said(*lines), FURTHER, progress=False).model
    assert before.has_read(said(*lines, "Height: 1.20.").texts)
    assert not before.has_read(said(*lines, *(f"Height: {new + i:.2f}." for i in range(5))).texts)


def test_heads_go_without_the_labels_that_they_were_not_given_before_and_nothing_is_held_out() -> None:
    labels = make_ratings(200)
    before = fit(SmallReward.create(heads=3), first(labels, 60), replace(FIRST, seed=5), progress=False).model
    result = fit(before, labels, replace(FURTHER, seed=6, validation=0.2, leave_out=0.0), progress=False)
    options = result.model.fitted_on["options"]
    assert (options["seed"], options["leave_out"]) == (5, FIRST.leave_out)
    assert result.metrics["validation"] is None
    assert "goes on" in result.metrics["note"]
