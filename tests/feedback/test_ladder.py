"""The ladder: each step in its place, by comparisons in the label store alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.ladder import climb, costs_within, ladder_of
from rmgym.feedback.questions import keys_of
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers import Answers, FallibleTeacher, Habits, PreferenceQuestions, ScriptedTeacher, Teacher
from rmgym.feedback.teachers.placing import Placed, PlacementQuestion, Placing, comparisons_for, search
from rmgym.metrics.ranking import spearman
from rmgym.text import TextBatch, textualizer
from rmgym.training.implied import with_implied
from rmgym.transitions import Transitions

Pendulum = tuple[Transitions, TextBatch]
NAME = ScriptedTeacher().source


@pytest.fixture(scope="module")
def pendulum() -> Pendulum:
    steps = collect("Pendulum-v1", 400, reset_every=20, progress=False)[::10]
    return steps, textualizer("Pendulum-v1").batch(steps)


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "labels.sqlite")


def digests(texts: TextBatch) -> list[str]:
    return [left for left, _ in keys_of(texts, np.arange(len(texts))[:, None], 1)]


class Comparing:
    """Compares, and cannot place; counts how often."""

    source = NAME

    def __init__(self) -> None:
        self.asked = 0

    def rate(self, questions: Any) -> Answers:
        raise NotImplementedError

    def compare(self, questions: PreferenceQuestions) -> Answers:
        self.asked += len(questions)
        return ScriptedTeacher().compare(questions)


@pytest.mark.parametrize("teacher", [ScriptedTeacher(), Comparing()])
def test_every_step_gets_to_its_place_in_whatever_parts(
    store: LabelStore, pendulum: Pendulum, teacher: Teacher
) -> None:
    steps, texts = pendulum
    for end in (1, 13, 13, 40):  # as rounds do, the second of which was killed and came again
        climb(store, teacher, steps[:end], texts[:end])
    order = np.argsort(steps.true_reward, kind="stable")
    assert ladder_of(store, NAME) == [digests(texts)[i] for i in order]
    pairs = store.labels().preferences
    assert pairs is not None
    assert set(pairs.choice.tolist()) == {0.0, 1.0}
    assert 2 * 38 < len(pairs) < 8 * 40
    worth = dict(zip(texts.strings(), steps.true_reward.tolist(), strict=True))
    for left, right, choice in zip(pairs.left[:, 0], pairs.right[:, 0], pairs.choice, strict=True):
        a, b = pairs.steps[[left, right]].strings()
        assert (worth[a] > worth[b]) == bool(choice)
    rated = with_implied(store.labels(), np.arange(len(pairs))).ratings
    assert rated is not None
    exact = np.array([worth[text] for text in rated.texts.strings()])
    assert spearman(rated.values.astype(np.float64), exact) > 0.99
    before = store.info()["counts"]
    climb(store, teacher, steps, texts)
    assert store.info()["counts"] == before


def test_steps_of_one_worth_share_a_rung(store: LabelStore, pendulum: Pendulum) -> None:
    steps, texts = pendulum
    steps = replace(steps, true_reward=np.repeat(np.arange(10, dtype=np.float32), 4))
    climb(store, ScriptedTeacher(), steps, texts)
    assert ladder_of(store, NAME) == digests(texts)[::4]
    climb(store, ScriptedTeacher(), steps, texts)
    pairs = store.labels().preferences
    assert pairs is not None
    assert (pairs.choice == 0.5).sum() == 30


def test_who_only_compares_pays_by_the_comparison(pendulum: Pendulum, store: LabelStore) -> None:
    steps, texts = pendulum
    assert isinstance(ScriptedTeacher(), Placing)
    assert not isinstance(Comparing(), Placing)
    assert costs_within(5, 0, ScriptedTeacher()) == [1] * 5
    assert costs_within(8, 0, Comparing()) == [1, 1, 2, 2]  # 3 for the fifth are too many
    assert [comparisons_for(rungs) for rungs in (0, 1, 2, 3, 4, 7, 8)] == [0, 1, 2, 2, 3, 3, 4]
    teacher = Comparing()
    climb(store, teacher, steps, texts)
    assert teacher.asked <= sum(costs_within(10_000, 0, teacher)[: len(steps)])


def test_people_place_by_habit(pendulum: Pendulum) -> None:
    steps, texts = pendulum
    rungs = np.argsort(steps.true_reward, kind="stable")[:-1]
    best = int(steps.true_reward.argmax())
    asked = PlacementQuestion(transitions=steps, texts=texts, item=best, rungs=rungs)
    assert search(ScriptedTeacher(), asked) == ScriptedTeacher().place(asked) == Placed(39)
    people = [FallibleTeacher(habits=Habits(mistakes=0.3, skips=0.2), seed=seed) for seed in range(400)]
    answers = [person.place(asked) for person in people]
    assert answers == [person.place(asked) for person in people]
    silent = [answer is None for answer in answers]
    assert np.mean(silent) == pytest.approx(0.2, abs=0.08)
    wrong = [answer.above for answer in answers if answer is not None and answer.above != 39]
    assert len(wrong) / (400 - sum(silent)) == pytest.approx(0.3, abs=0.1)
    assert np.mean(wrong) == pytest.approx(19, abs=4)


def test_a_rung_that_is_not_there_is_missed(store: LabelStore, pendulum: Pendulum) -> None:
    steps, texts = pendulum
    climb(store, ScriptedTeacher(), steps[:5], texts[:5])
    with pytest.raises(FeedbackError, match="every rung is among the steps"):
        climb(store, ScriptedTeacher(), steps[3:9], texts[3:9])
