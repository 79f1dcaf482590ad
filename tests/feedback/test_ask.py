"""Asking: one road for scripts, functions, people and models."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.ask import ask
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers import Answers, Person, PreferenceQuestions, RatingQuestions, ScriptedTeacher
from rmgym.feedback.teachers.values import in_ended_episode
from rmgym.text import textualizer


@pytest.fixture(scope="module")
def pendulum():
    steps = collect("Pendulum-v1", 300, reset_every=25, progress=False)
    return steps, textualizer("Pendulum-v1").batch(steps)


@pytest.fixture
def store(tmp_path):
    return LabelStore(tmp_path / "labels.sqlite")


@dataclass(frozen=True)
class Judge:
    """Rates by the reward, skips good steps, leaves bad ones for later, and is half sure of a soft choice."""

    source: str = "judge"

    def rate(self, questions: RatingQuestions) -> Answers:
        reward = questions.steps.true_reward
        skipped, later = reward > -1, reward < -6
        return Answers(values=np.where(skipped | later, np.nan, reward).astype(np.float32), skipped=skipped)

    def compare(self, questions: PreferenceQuestions) -> Answers:
        left, right = questions.sums(questions.transitions.true_reward)
        choice = np.where(left > right, 0.75, 0.25).astype(np.float32)
        size = len(questions)
        return Answers(
            values=choice, margins=np.abs(left - right).astype(np.float32), confidence=np.full(size, 0.5, np.float32)
        )


PLAN = QuestionPlan(ratings=40, preferences=6, length=5)


def test_answers_skips_and_what_is_pending(store, pendulum):
    steps, texts = pendulum
    pending = ask(store, Judge(), steps, texts, PLAN, annotator="ann")
    reward = steps.true_reward[PLAN.rows(steps, texts)]
    given = reward[(reward <= -1) & (reward >= -6)]
    labels = store.labels()
    assert 0 < len(given) < 40
    assert labels.ratings.values.tolist() == given.tolist()
    assert store.info()["counts"]["skipped"] == (reward > -1).sum() > 0
    assert [question.id for question in store.pending("ann")] == pending
    assert len(pending) == (reward < -6).sum() > 0
    sums = [
        [steps.true_reward[first : first + 5].astype(np.float64).sum() for first in pair]
        for pair in PLAN.pairs(steps, texts).tolist()
    ]
    assert labels.preferences.choice.tolist() == [0.75 if left > right else 0.25 for left, right in sums]
    assert labels.preferences.margin == pytest.approx([abs(left - right) for left, right in sums])


def test_a_person_finds_the_questions_in_the_store(store, pendulum):
    person = Person(levels=5)
    pending = ask(store, person, *pendulum, PLAN, annotator="ann")
    assert [question.id for question in store.pending("ann")] == pending
    assert len(pending) == 46
    store.rate(pending[0], 4, annotator="ann", source=person.source, levels=5)
    assert ask(store, person, *pendulum, PLAN, annotator="ann") == pending, "what they answered is not taken back"
    assert store.progress("ann") == (1, 46)


def test_everything_is_asked_by_default_as_by_the_command(store, pendulum):
    assert ask(store, ScriptedTeacher(), *pendulum) == []
    counts = store.info()["counts"]
    assert (counts["ratings"], counts["preferences"]) == (100, 0)
    assert store.info()["annotators"] == ["scripted:reward"]


def test_outcomes_are_asked_of_episodes_that_ended(store):
    steps = collect("CartPole-v1", 150, progress=False)
    ended = in_ended_episode(steps)
    assert not ended.all(), "the last one was cut"
    texts = textualizer("CartPole-v1").batch(steps)
    plan = QuestionPlan(ratings=int(ended.sum()), whole_episodes=True)
    ask(store, ScriptedTeacher(target="outcome"), steps, texts, plan)
    assert set(store.labels().texts.strings()) == set(texts[ended].strings())


def test_what_a_teacher_cannot_label_is_not_asked(store):
    steps = collect("CartPole-v1", 100, progress=False)
    with pytest.raises(FeedbackError, match="target='outcome'"):
        ask(store, ScriptedTeacher(), steps, textualizer("CartPole-v1").batch(steps), QuestionPlan(ratings=5))
    assert not store.path.exists()


def test_a_teacher_answers_every_question(store, pendulum):
    class Short(Judge):
        def rate(self, questions):
            return Answers.pending(len(questions) - 1)

    with pytest.raises(FeedbackError, match="39 answers to 40 questions"):
        ask(store, Short(), *pendulum, PLAN)
    assert not store.path.exists()


def test_cut_points_belong_to_the_annotator_not_to_one_call(store, pendulum):
    """A 3 of one asking and a 3 of another mean the same, or are not kept side by side."""
    other = collect("Pendulum-v1", 300, seed=1, reset_every=25, progress=False)
    other_texts = textualizer("Pendulum-v1").batch(other)
    teacher, plan = ScriptedTeacher(levels=5), QuestionPlan(ratings=20)
    ask(store, teacher, *pendulum, plan)
    before = store.labels().ratings.values.tolist()
    with pytest.raises(FeedbackError, match="one scale") as refused:
        ask(store, teacher, other, other_texts, plan)
    assert "cuts" in refused.value.fix
    assert store.labels().ratings.values.tolist() == before

    ask(store, teacher, other, other_texts, plan, annotator="another")
    with pytest.raises(FeedbackError, match="different scales"):
        store.labels()

    rows = plan.rows(*pendulum)
    cuts = teacher.rate(RatingQuestions(transitions=pendulum[0], texts=pendulum[1], rows=rows)).cuts
    ask(store, replace(teacher, cuts=cuts), other, other_texts, plan, annotator="another")
    labels = store.labels()
    assert len(labels) == 40
    reward = np.concatenate([pendulum[0].true_reward[rows], other.true_reward[plan.rows(other, other_texts)]])
    by_level = [reward[labels.ratings.values == level] for level in range(1, 6)]
    for low, high, cut in zip(by_level[:-1], by_level[1:], cuts, strict=True):
        assert low.max() < cut <= high.min()
