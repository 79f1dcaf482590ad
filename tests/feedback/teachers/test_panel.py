"""Teachers who share the questions out among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.ask import ask
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers import FallibleTeacher, Habits, Panel, Person, ProgramTeacher, ScriptedTeacher, Teacher
from rmgym.feedback.teachers.panel import People
from rmgym.metrics.ranking import spearman
from rmgym.text import TextBatch, textualizer
from rmgym.transitions import Transitions

Pendulum = tuple[Transitions, TextBatch]
PLAN = QuestionPlan(ratings=120, preferences=40, length=5)


@pytest.fixture(scope="module")
def pendulum() -> Pendulum:
    steps = collect("Pendulum-v1", 900, reset_every=25, progress=False)
    return steps, textualizer("Pendulum-v1").batch(steps)


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "labels.sqlite")


def three() -> Panel:
    panel = People(own_scale=True, people=3, seed=5).knowing(ScriptedTeacher())
    assert isinstance(panel, Panel)
    return panel


def test_each_question_goes_to_one_of_them_and_always_the_same_one(store: LabelStore, pendulum: Pendulum) -> None:
    steps, texts = pendulum
    assert ask(store, three(), steps, texts, PLAN) == []
    counts = store.info()["counts"]
    assert (counts["ratings"], counts["preferences"]) == (120, 40)
    assert store.info()["annotators"] == ["person 1", "person 2", "person 3"]
    of_each = {name: store.answers(name) for name in store.info()["annotators"]}
    assert all(30 <= len(answers) <= 80 for answers in of_each.values())
    assert {answer.source for answers in of_each.values() for answer in answers} == {"panel:fallible:reward"}
    assert len({tuple(answers[0].cuts or ()) for answers in of_each.values()}) == 3
    ask(store, three(), steps, texts, PLAN)
    assert store.info()["counts"] == counts
    order = np.random.default_rng(0).permutation(500)[:, None]
    who = three().share(texts, np.arange(900)[:, None], 1)
    assert three().share(texts, order, 1).tolist() == who[order[:, 0]].tolist()
    assert (np.abs(np.bincount(who) - 300) < 60).all()


def test_what_they_say_on_scales_of_their_own_is_put_on_one(store: LabelStore, pendulum: Pendulum) -> None:
    steps, texts = pendulum
    ask(store, three(), steps, texts, PLAN)
    labels = store.labels()
    assert labels.ratings is not None
    assert labels.preferences is not None
    worth = dict(zip(texts.strings(), steps.true_reward.tolist(), strict=True))
    exact = np.array([worth[text] for text in labels.ratings.texts.strings()])
    assert spearman(labels.ratings.values.astype(np.float64), exact) > 0.9
    for name in store.info()["annotators"]:
        own = store.labels(name).ratings
        assert own is not None
        assert own.values.mean() == pytest.approx(0, abs=1e-5)
        assert own.values.std() == pytest.approx(1, abs=1e-5)


def test_a_script_and_a_function_are_mixed_in_a_panel_and_only_there(store: LabelStore, pendulum: Pendulum) -> None:
    steps, texts = pendulum

    def height(steps: Transitions) -> npt.NDArray[np.float32]:
        worth: npt.NDArray[np.float32] = 100 * steps.next_obs[:, 0]
        return worth

    members: dict[str, Teacher] = {"script": ScriptedTeacher(levels=5), "mine": ProgramTeacher(height, name="height")}
    ask(store, Panel(members), steps, texts, QuestionPlan(ratings=60))
    assert store.info()["annotators"] == ["mine", "script"]
    ratings = store.labels().ratings
    assert ratings is not None
    assert len(ratings) == 60
    assert np.abs(ratings.values).max() < 5
    ask(store, ScriptedTeacher(levels=5), steps, texts, QuestionPlan(ratings=30))
    with pytest.raises(FeedbackError, match="not mixed"):
        store.labels()


def test_one_who_cannot_answer_leaves_no_question_behind(store: LabelStore, pendulum: Pendulum) -> None:
    steps, texts = pendulum
    exact = FallibleTeacher(habits=Habits(mistakes=0.1))
    with pytest.raises(FeedbackError, match="levels"):
        ask(store, Panel({"able": ScriptedTeacher(), "unable": exact}), steps, texts, QuestionPlan(ratings=60))
    assert not store.path.exists()


def test_one_who_answers_later_leaves_its_share_pending(store: LabelStore, pendulum: Pendulum) -> None:
    steps, texts = pendulum
    panel = Panel({"script": ScriptedTeacher(), "ann": Person()})
    pending = ask(store, panel, steps, texts, QuestionPlan(ratings=60))
    assert len(pending) + store.info()["counts"]["ratings"] == 60
    assert 15 < len(pending) < 45


def test_nobody_and_names_for_many_are_refused(store: LabelStore, pendulum: Pendulum) -> None:
    steps, texts = pendulum
    with pytest.raises(FeedbackError, match="has members"):
        Panel({})
    with pytest.raises(FeedbackError, match="somebody answers"):
        People(people=0)
    with pytest.raises(FeedbackError, match="names of their own"):
        ask(store, three(), steps, texts, PLAN, annotator="ann")
    one = People(mistakes=0.1, seed=4).knowing(ScriptedTeacher(levels=5))
    assert one == FallibleTeacher(teacher=ScriptedTeacher(levels=5), habits=Habits(mistakes=0.1), seed=4)
