"""Labels in one call, from Python."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rmgym
from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.store import LabelStore


@pytest.fixture(scope="module")
def steps():
    return collect("Pendulum-v1", 300, reset_every=25, progress=False)


@pytest.fixture(scope="module")
def torque(steps):
    texts = rmgym.textualizer("Pendulum-v1").batch(steps).strings()
    return dict(zip(texts, np.abs(steps.action[:, 0]).tolist(), strict=True))


def calm(steps):
    return -np.abs(steps.action[:, 0])


def test_a_function_rates_a_hundred_steps_by_default(steps, torque):
    ratings = rmgym.label(steps, calm).ratings
    assert len(ratings) == 100
    assert ratings.values.tolist() == [-torque[text] for text in ratings.texts.strings()]


def test_segments_are_compared_alone_or_beside_ratings(steps, torque):
    labels = rmgym.label(steps, calm, preferences=8, length=5)
    assert labels.ratings is None
    pairs = labels.preferences
    worth = [-torque[text] for text in pairs.steps.strings()]
    for left, right, choice in zip(pairs.left.tolist(), pairs.right.tolist(), pairs.choice.tolist(), strict=True):
        assert choice == float(sum(worth[slice(*left)]) > sum(worth[slice(*right)]))
    both = rmgym.label(steps, rmgym.ScriptedTeacher(), ratings=10, preferences=2, length=5)
    assert (len(both.ratings), len(both.preferences)) == (10, 2)


def test_answers_are_kept_where_a_database_is_named(steps, tmp_path):
    file = tmp_path / "labels.sqlite"
    first = rmgym.label(steps, calm, ratings=10, db=file)
    more = rmgym.label(steps, calm, ratings=15, db=file)
    assert len(first) == 10
    assert more.texts.strings()[:10] == first.texts.strings()
    (annotator,) = LabelStore(file).info()["annotators"]
    assert annotator.startswith("program:tests.feedback.test_labelling:calm@")
    assert len(rmgym.label(steps, lambda steps: steps.obs[:, 0], ratings=5, db=file, annotator="other")) == 5


def test_steps_of_no_environment_need_their_texts(steps):
    strange = replace(steps, metadata={})
    with pytest.raises(FeedbackError, match="texts="):
        rmgym.label(strange, calm)
    assert len(rmgym.label(strange, calm, ratings=5, texts=rmgym.textualizer("Pendulum-v1").batch(steps))) == 5
