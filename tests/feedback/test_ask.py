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
from rmgym.feedback.teachers.values import in_whole_episode
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
    assert ask(store, person, *pendulum, PLAN, annotator="ann") == pending[1:], "what they answered is not asked again"
    assert store.progress("ann") == (1, 46)


def test_everything_is_asked_by_default_as_by_the_command(store, pendulum):
    assert ask(store, ScriptedTeacher(), *pendulum) == []
    counts = store.info()["counts"]
    assert (counts["ratings"], counts["preferences"]) == (100, 0)
    assert store.info()["annotators"] == ["scripted:reward"]


def test_outcomes_are_asked_of_episodes_that_ended(store):
    steps = collect("CartPole-v1", 150, progress=False)
    ended = in_whole_episode(steps)
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
    """A 3 of one asking and a 3 of another mean the same."""
    other = collect("Pendulum-v1", 300, seed=1, reset_every=25, progress=False)
    other_texts = textualizer("Pendulum-v1").batch(other)
    teacher, plan = ScriptedTeacher(levels=5), QuestionPlan(ratings=20)
    ask(store, teacher, *pendulum, plan)
    before = store.labels().ratings.values.tolist()
    ask(store, teacher, other, other_texts, plan)
    labels = store.labels()
    assert labels.ratings.values[:20].tolist() == before
    reward = np.concatenate(
        [pendulum[0].true_reward[plan.rows(*pendulum)], other.true_reward[plan.rows(other, other_texts)]]
    )
    first = reward[:20].astype(np.float64)
    cuts = first.min() + np.ptp(first) * np.arange(1, 5) / 5  # fifths of the range that was rated first
    assert labels.ratings.values.tolist() == [1 + (value >= cuts).sum() for value in reward]


def test_what_an_annotator_rated_on_one_scale_goes_on_there_or_elsewhere(store, pendulum):
    ask(store, ScriptedTeacher(levels=5), *pendulum, QuestionPlan(ratings=20))
    before = store.info()
    for teacher in (
        ScriptedTeacher(levels=10),
        ScriptedTeacher(),
        ScriptedTeacher(levels=5, cuts=(-8.0, -4.0, -2.0, -1.0)),
        ScriptedTeacher(levels=5, target="outcome"),
    ):
        with pytest.raises(FeedbackError, match="one scale") as refused:
            ask(store, teacher, *pendulum, QuestionPlan(ratings=25), annotator="scripted:reward")
        assert "--annotator" in refused.value.fix
    assert store.info() == before, "no question is left behind"


def test_asking_again_asks_for_what_is_new_alone(store, pendulum):
    """Also where what is new differs in nothing: a single step, a pair that is tied."""
    asked = list[int]()

    class Counting(ScriptedTeacher):
        def rate(self, questions):
            asked.append(len(questions))
            return super().rate(questions)

        def compare(self, questions):
            asked.append(len(questions))
            return super().compare(questions)

    teacher = Counting(levels=10, tie_tolerance=0.5)
    ask(store, teacher, *pendulum, PLAN)
    first = store.labels()
    for ratings, preferences in ((41, 6), (41, 6), (41, 7)):
        ask(store, teacher, *pendulum, replace(PLAN, ratings=ratings, preferences=preferences))
    assert asked == [40, 6, 1, 1]
    labels = store.labels()
    assert (len(labels.ratings), len(labels.preferences)) == (41, 7)
    np.testing.assert_array_equal(labels.ratings.values[:40], first.ratings.values)


def test_more_steps_ask_no_text_twice(store, pendulum):
    more = collect("Pendulum-v1", 450, reset_every=25, progress=False)
    others, plan = textualizer("Pendulum-v1").batch(more), QuestionPlan(ratings=200, method="random")
    wanted = [text for texts in (pendulum, (more, others)) for text in texts[1][plan.rows(*texts)].strings()]
    assert len(set(wanted)) < 400, "some are chosen both times"
    for steps, texts in (pendulum, (more, others)):
        ask(store, ScriptedTeacher(levels=10), steps, texts, plan)
    ratings = store.labels().ratings
    assert sorted(ratings.texts.strings()) == sorted(set(wanted))
    episode = dict(zip(others.strings(), more.episode.tolist(), strict=True))
    theirs = np.array([episode[text] for text in ratings.texts.strings()])
    assert np.array_equal(ratings.groups[:, None] == ratings.groups, theirs[:, None] == theirs)


def test_a_pair_is_known_with_its_sides_exchanged(store, pendulum):
    steps, texts = pendulum
    pairs = PLAN.pairs(steps, texts)
    ids = store.add_preference_queries(steps, texts, pairs[:, ::-1], PLAN.length)
    plan = replace(PLAN, ratings=0)
    assert ask(store, Person(), steps, texts, plan, annotator="ann") == ids
    ask(store, ScriptedTeacher(), steps, texts, plan)
    worth = [steps.true_reward[row : row + 5].astype(np.float64).sum() for row in pairs[:, ::-1].ravel().tolist()]
    expected = [float(left > right) for left, right in zip(worth[::2], worth[1::2], strict=True)]
    assert store.labels("scripted:reward").preferences.choice.tolist() == expected


def test_no_text_is_asked_about_twice_where_texts_repeat(store):
    steps = collect("FrozenLake-v1", 600, progress=False)
    texts = textualizer("FrozenLake-v1").batch(steps)
    plan = QuestionPlan(ratings=20, preferences=20, length=1)
    pending = ask(store, Person(), steps, texts, plan, annotator="ann")
    assert len(set(pending)) == 40
    for question in store.pending("ann"):
        assert question.right is None or question.left.strings() != question.right.strings()


def test_other_discounts_are_other_teachers():
    assert ScriptedTeacher(target="outcome").source == "scripted:outcome"
    assert ScriptedTeacher(target="outcome", gamma=0.9).source == "scripted:outcome(gamma=0.9)"
    assert ScriptedTeacher(gamma=0.9).source == "scripted:reward", "which discounts nothing"
