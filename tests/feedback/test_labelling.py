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


def test_a_table_of_ratings_of_these_steps(steps, tmp_path):
    table = {"row": [4, "9", 2.0, 7], "rating": [1.5, "3", None, -2]}
    ratings = rmgym.label(steps, table).ratings
    texts = rmgym.textualizer("Pendulum-v1").batch(steps).strings()
    assert dict(zip(ratings.texts.strings(), ratings.values.tolist(), strict=True)) == {
        texts[4]: 1.5,
        texts[9]: 3,
        texts[7]: -2,
    }
    (tmp_path / "t.csv").write_text("row,rating\n4,1\n5,2\n", encoding="utf-8")
    assert rmgym.label(
        steps, tmp_path / "t.csv", db=tmp_path / "l.sqlite", annotator="ann"
    ).ratings.values.tolist() == [1, 2]
    assert LabelStore(tmp_path / "l.sqlite").info()["annotators"] == ["ann"]


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"row": [300], "rating": [1]}, "row 1: 300 is no step from 0 to 299"),
        ({"row": [1, 1.5], "rating": [1, 1]}, "row 2: 1.5 is no step"),
        ({"row": [1, 2, 1], "rating": [1, 1, 2]}, "row 3: step 1 is rated twice"),
        ({"row": [1], "rating": ["good"]}, "row 1: a rating is a number, not 'good'"),
        ({"row": [1]}, "has a column 'rating'"),
        ({"row": [1], "rating": [None]}, "fitting needs labels"),
        (3, "a data frame"),
    ],
)
def test_ratings_that_cannot_be_are_refused_by_row(steps, table, rule):
    with pytest.raises(FeedbackError, match=rule):
        rmgym.label(steps, table)


def test_a_table_is_not_asked(steps):
    with pytest.raises(FeedbackError, match="says itself which steps"):
        rmgym.label(steps, {"row": [1], "rating": [1]}, ratings=3)


def test_steps_that_read_the_same_have_one_rating():
    steps = collect("FrozenLake-v1", 300, progress=False)
    texts = rmgym.textualizer("FrozenLake-v1").batch(steps).strings()
    first = next(i for i, text in enumerate(texts) if texts.count(text) > 1)
    again = texts.index(texts[first], first + 1)
    assert len(rmgym.label(steps, {"row": [first, again], "rating": [2, 2]})) == 1
    with pytest.raises(FeedbackError, match=f"step {again} reads as step {first} does, which is rated 2"):
        rmgym.label(steps, {"row": [first, again], "rating": [2, 3]})
