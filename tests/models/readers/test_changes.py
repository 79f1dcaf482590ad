"""What is read of numbers that a text says twice."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rmgym
from rmgym.feedback.labels import Labels, Ratings
from rmgym.models.readers.changes import number_names, repeated, with_changes
from rmgym.text.batch import TextBatch

STEP = "State: height: {:.1f}, left leg: {:s}, speed: {:.1f}. Next state: height: {:.1f}, speed: {:.1f}."
LONE = "Nothing moves at height: {:.1f}, speed: {:.1f}."


def batch(rows: list[list[float]]) -> TextBatch:
    """A text of each row, of a state alone or of a state and the next one."""
    counts = [len(row) for row in rows]
    return TextBatch(
        templates=(STEP, LONE),
        template_index=np.array([count == 2 for count in counts], np.int32),
        numbers=np.array([value for row in rows for value in row], np.float64),
        offsets=np.cumsum([0, *counts]),
        phrases=("in the air",),
        words=np.zeros(counts.count(4), np.int32),
    )


@pytest.mark.parametrize(
    ("template", "pairs"),
    [
        (STEP, ((2, 0), (3, 1))),
        (LONE, ()),
        ("height: {:.1f}, then height: {:.1f}", ()),  # another clause
        ("height: {:.1f}, height: {:.1f}, height: {:.1f}", ((1, 0), (2, 1))),
        ("where: {:.1f}, {:.1f}, {:.1f}", ()),  # numbers of a list have no words of their own
        ("高度: {:.1f}。 下一状态: 高度: {:.1f}", ((1, 0),)),
    ],
)
def test_a_number_was_there_before_with_the_same_clause(template: str, pairs: tuple[tuple[int, int], ...]) -> None:
    assert repeated(template) == pairs


def test_changes_have_names_of_their_own() -> None:
    names = number_names("height: {:.1f}, height: {:.1f}, height: {:.1f}")
    assert [name.before for name in names] == [0, 1, 2, -1, -2]
    assert len({*names}) == 5
    assert {name.clause for name in names} == {"height"}


NUMBER = st.floats(-99, 99).map(lambda x: round(x, 1) + 0.0)


ROW = st.one_of(st.lists(NUMBER, min_size=4, max_size=4), st.lists(NUMBER, min_size=2, max_size=2))


@given(st.lists(ROW, min_size=1, max_size=8))
def test_changes_stand_behind_what_a_text_says(rows: list[list[float]]) -> None:
    table, counts = with_changes(batch(rows))
    for row, read, count in zip(rows, table, counts, strict=True):
        expected = [*row, row[2] - row[0], row[3] - row[1]] if len(row) == 4 else row
        assert read[:count].tolist() == expected
        assert not read[count:].any()


def test_a_reward_for_progress_is_learned_from_few_labels() -> None:
    """Height changes by a thousandth of its range: told apart by its change, not by the two heights."""
    rng = np.random.default_rng(0)
    height = rng.uniform(-50, 50, 400)
    change = rng.normal(0, 0.5, 400).round(1)
    texts = batch([[round(h, 1), 0.0, round(round(h, 1) + c, 1), 0.0] for h, c in zip(height, change, strict=True)])
    ratings = Ratings(texts=texts[:100], values=change[:100].astype(np.float32), groups=np.arange(100))
    how = rmgym.FitOptions(max_steps=200, validation=0)
    model = rmgym.fit("no-lm", Labels(ratings=ratings), how, progress=False).model
    error = model.predict(texts[100:]).mean - change[100:]
    assert 1 - (error**2).mean() / change[100:].var() > 0.9


def test_text_of_a_step_names_what_changes() -> None:
    with gym.make("LunarLander-v3") as env:
        (template,) = rmgym.textualizer(env).batch(rmgym.collect("LunarLander-v3", 3, seed=0, progress=False)).templates
    assert repeated(template) == tuple((i + 6, i) for i in range(6))
