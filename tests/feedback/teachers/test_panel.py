"""Teachers who share the questions out among them."""

from __future__ import annotations

from dataclasses import replace
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
from rmgym.feedback.teachers.panel import People, check_habits
from rmgym.feedback.teachers.ties import TiedPreferencesWarning
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


def test_members_whose_share_is_all_alike_answer_and_all_together_are_refused(
    store: LabelStore, pendulum: Pendulum
) -> None:
    steps, texts = pendulum
    sparse = replace(steps, true_reward=(steps.true_reward > np.quantile(steps.true_reward, 0.97)).astype(np.float32))
    plan = QuestionPlan(ratings=60, preferences=12, length=5)
    many = People(own_scale=True, people=30, seed=1).knowing(ScriptedTeacher())
    with pytest.warns(TiedPreferencesWarning, match="11 of 12"):  # of all of them, in one line
        ask(store, many, sparse, texts, plan)
    assert store.info()["counts"]["ratings"] == 60
    assert any(len({a.value for a in store.answers(name)} - {None}) == 1 for name in store.info()["annotators"])
    none = replace(steps, true_reward=np.zeros_like(steps.true_reward))
    alike = Panel({"ann": ScriptedTeacher(levels=5), "bob": ScriptedTeacher(levels=5)})
    for plan, rule in (
        (QuestionPlan(ratings=60), "ratings differ between steps"),
        (QuestionPlan(ratings=0, preferences=12, length=5), "some segments are better"),
    ):
        with pytest.raises(FeedbackError, match=rule):
            ask(LabelStore(store.path.with_name("none.sqlite")), alike, none, texts, plan)
    assert not store.path.with_name("none.sqlite").exists()


def test_habits_without_an_effect_are_refused_where_it_is_clear_what_is_asked() -> None:
    panel = People(rationality=2, own_scale=True, people=2).knowing(ScriptedTeacher())
    check_habits(panel, rated=True, compared=5, fix="")
    check_habits(ScriptedTeacher(), rated=True, compared=0, fix="")
    with pytest.raises(FeedbackError, match="rationality, and ratings alone") as refused:
        check_habits(panel, rated=True, compared=0, fix="ask more")
    assert refused.value.fix == "leave them out, or ask more"
    with pytest.raises(FeedbackError, match="own_scale, and comparisons of length 5 alone"):
        check_habits(panel, rated=False, compared=5, fix="")


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
