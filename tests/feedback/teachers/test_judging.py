"""A language model as a teacher: the contract, what it is measured on, and what its labels are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import rmgym
from rmgym.errors import FeedbackError, JudgeError, RunError
from rmgym.feedback import ladder
from rmgym.feedback.ask import ask
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions
from rmgym.feedback.teachers.contract import TeacherContract
from rmgym.feedback.teachers.judging import JudgeTeacher, JudgeTeacherOptions, Trial
from rmgym.feedback.teachers.panel import Panel
from rmgym.feedback.teachers.program import ProgramTeacher
from rmgym.feedback.teachers.scripted import ScriptedTeacher
from rmgym.judge.judge_options import AskingOptions, JudgeOptions
from rmgym.runs.loop import _about
from rmgym.text.batch import TextBatch
from rmgym.training import FitOptions, fit
from rmgym.transitions import Transitions
from tests.judge.fakes import FakeServer, by_height, heights, serving, step

STEPS = 900


def climb(episodes: int = 9, seed: int = 0) -> tuple[Transitions, TextBatch]:
    """Steps to random heights, which are their true rewards."""
    rng = np.random.default_rng(seed)
    height = rng.uniform(0.05, 1, STEPS).round(3)
    before = np.roll(height, 1)
    length = STEPS // episodes
    at = np.arange(STEPS)
    steps = Transitions.from_arrays(
        before[:, None],
        np.zeros(STEPS, np.int64),
        height[:, None],
        np.zeros(STEPS, np.bool_),
        at % length == length - 1,
        true_reward=height,
        episode=at // length,
        step=at % length,
    )
    texts = [step(after, earlier) for after, earlier in zip(height.tolist(), before.tolist(), strict=True)]
    return steps, replace(TextBatch.from_strings(texts), card_hash="0123456789abcdef")


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with serving(by_height(1.0)) as server:
        yield server


def teacher(fake: FakeServer, path: Path, **options: Any) -> JudgeTeacher:
    return JudgeTeacherOptions(
        **{"judge": fake.url, "answers": str(path / "answers.sqlite"), "pairs": 40, **options}
    ).teacher(ScriptedTeacher)


def height_in(text: str) -> float:
    """The height that a step leads to."""
    return float(text.rpartition("height: ")[2].split(". ")[0])


class TestJudge(TeacherContract):
    fake: ClassVar[FakeServer]
    folder: ClassVar[Path]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        cls.folder = tmp_path_factory.mktemp("answers")
        with serving(by_height(1.0)) as cls.fake:
            yield

    def make_teacher(self) -> JudgeTeacher:
        return teacher(self.fake, self.folder, pairs=20)

    def transitions(self) -> Transitions:
        return climb()[0]

    def texts(self) -> TextBatch:
        return climb()[1]

    def rating_questions(self) -> RatingQuestions:
        steps, texts = climb()
        return RatingQuestions(transitions=steps, texts=texts, rows=np.arange(0, 30, 3))


def questions(length: int = 1, count: int = 60) -> PreferenceQuestions:
    steps, texts = climb()
    rows = np.random.default_rng(1).permutation(STEPS // length)[: 2 * count].reshape(-1, 2) * length
    return PreferenceQuestions(transitions=steps, texts=texts, pairs=rows, length=length)


def test_choices_are_as_sure_as_the_judge_was_measured_to_be(fake: FakeServer, tmp_path: Path) -> None:
    fake.opinion = by_height(0.75)
    judge, asked = teacher(fake, tmp_path, pairs=100), questions()
    skill = judge.reliability("preference", asked.transitions, asked.texts, 1)
    assert (skill.pairs, skill.by) == (100, "scripted:reward")
    share = skill.right / skill.pairs
    answers = judge.compare(asked)
    assert answers.confidence is not None
    np.testing.assert_allclose(answers.confidence, np.maximum(share, 1 - share), atol=0.02)
    height = asked.transitions.true_reward
    right = (answers.values > 0.5) == (height[asked.pairs[:, 0]] > height[asked.pairs[:, 1]])
    assert 0.6 < right.mean() < 0.9


@pytest.mark.parametrize("kind", ["rating", "preference"])
def test_a_useless_judge_is_refused_with_its_numbers_and_leaves_nothing(
    fake: FakeServer, tmp_path: Path, kind: str
) -> None:
    fake.opinion = by_height(0.5, seed=2)
    steps, texts = climb()
    store = LabelStore(tmp_path / "labels.sqlite")
    plan = QuestionPlan(ratings=5, length=1) if kind == "rating" else QuestionPlan(ratings=0, preferences=5, length=1)
    with pytest.raises(JudgeError, match=r"better than chance[\s\S]*of 40 pairs in order \(95 % interval"):
        ask(store, teacher(fake, tmp_path), steps, texts, plan)
    assert not store.path.exists()
    ask(store, teacher(fake, tmp_path, accept_unreliable=True), steps, texts, plan)
    assert sum(store.info()["counts"][name] for name in ("ratings", "preferences")) == 5


def test_nothing_is_asked_twice_and_other_steps_are_measured_but_in_a_loop(fake: FakeServer, tmp_path: Path) -> None:
    first = teacher(fake, tmp_path).compare(questions())
    count = len(fake.bodies)
    assert count == 2 * (40 + 60)
    again = teacher(fake, tmp_path, max_tokens=1).compare(questions())  # nothing new is asked, so nothing is spent
    np.testing.assert_array_equal(again.values, first.values)
    assert len(fake.bodies) == count
    steps, texts = climb(seed=5)
    asked = replace(questions(count=3), transitions=steps, texts=texts)
    for _ in range(2):  # rounds of a loop, which keeps a file
        judge = replace(teacher(fake, tmp_path), measures=tmp_path / "measures.sqlite")
        judge.compare(questions())
        judge.compare(asked)
        assert len(fake.bodies) == count + 6
    teacher(fake, tmp_path).compare(asked)
    assert len(fake.bodies) == count + 6 + 2 * 40


def test_a_measure_is_of_the_steps_that_are_given(fake: FakeServer, tmp_path: Path) -> None:
    """A judge that is right about high steps, and wrong about low ones, of one card."""
    right = by_height(1.0)

    def opinion(prompt: str) -> Mapping[str, float]:
        chances = right(prompt)
        low = max(heights(prompt), default=1.0) < 0.5
        return {str(9 - int(digit)): chance for digit, chance in chances.items()} if low else chances

    fake.opinion = opinion
    steps, texts = climb()
    judge, low = teacher(fake, tmp_path), steps.true_reward < 0.5
    assert judge.measure("rating", steps[~low], texts[~low], 1).right == 40
    assert judge.measure("rating", steps[low], texts[low], 1).right == 0


def test_the_budget_stops_before_anything_is_stored(fake: FakeServer, tmp_path: Path) -> None:
    steps, texts = climb()
    store = LabelStore(tmp_path / "labels.sqlite")
    plan = QuestionPlan(ratings=0, preferences=30, length=1)
    with pytest.raises(JudgeError, match="max_tokens=3000"):
        ask(store, teacher(fake, tmp_path, max_tokens=3000), steps, texts, plan)
    assert not store.path.exists()
    count = len(fake.bodies)
    ask(store, teacher(fake, tmp_path), steps, texts, plan)
    assert len(fake.bodies) == 2 * (40 + 30)
    assert count > 0


def test_people_may_know_the_order(fake: FakeServer, tmp_path: Path) -> None:
    steps, texts = climb()
    people = LabelStore(tmp_path / "people.sqlite")
    ask(people, ScriptedTeacher(), steps, texts, QuestionPlan(ratings=60, preferences=15, length=1), annotator="ann")
    judge = teacher(fake, tmp_path, check=str(people.path))
    pairs = judge.pairs(steps, texts, 1)
    assert (len(pairs), pairs.by) == (30, "people.sqlite")  # 30 of the 60 steps are compared too
    sides = [tuple(side) for side in (*pairs.better, *pairs.worse)]
    assert len({*sides}) == len(sides)  # none is in two of them
    with pytest.raises(JudgeError, match="received: 0 by people"):
        judge.pairs(steps, texts, 2)  # of which nobody compared any
    with pytest.raises(FeedbackError, match="texts of the kind that it labels"):
        judge.pairs(steps, replace(texts, card_hash="another"), 1)
    heights = [
        [float(side[0].rpartition("height: ")[2].split(". ")[0]) for side in own] for own in (pairs.better, pairs.worse)
    ]
    assert all(better > worse for better, worse in zip(*heights, strict=True))
    assert judge.reliability("rating", steps, texts, 1).by == "people.sqlite"


def test_policies_of_graded_skill_may_be_the_order(fake: FakeServer, tmp_path: Path) -> None:
    steps, texts = climb()
    order = np.argsort(steps.true_reward, kind="stable")  # the worse policy took the lower steps
    graded = replace(
        steps[order], episode=steps.episode, step=steps.step, metadata={"sources": {"random": 0, "agent": 5}}
    )
    judge = teacher(fake, tmp_path, check="random<agent")
    pairs = judge.pairs(graded, texts[order], 2)
    assert (len(pairs), pairs.by, len(pairs.better[0])) == (40, "random < agent", 2)
    wrong = teacher(fake, tmp_path, check="agent<random").reliability
    with pytest.raises(JudgeError, match="0% of 40 pairs"):
        wrong("preference", graded, texts[order], 2)
    with pytest.raises(FeedbackError, match="policies of graded skill"):
        teacher(fake, tmp_path, check="random<expert").pairs(graded, texts[order], 2)


def test_a_function_of_ones_own_may_know_the_order(fake: FakeServer, tmp_path: Path) -> None:
    def depth(steps: Transitions) -> Any:
        return -steps.next_obs[:, 0]

    options = JudgeTeacherOptions(judge=fake.url, answers=str(tmp_path / "a.sqlite"), pairs=40)
    judge = options.teacher(lambda: ProgramTeacher(depth, name="depth"))
    with pytest.raises(JudgeError, match=r"0% of 40 pairs in order .*program:depth"):
        judge.compare(questions())


def test_what_it_does_not_answer_is_skipped(fake: FakeServer, tmp_path: Path) -> None:
    asked, opinion = questions(), by_height(1.0)
    silent = step(float(asked.transitions.next_obs[asked.pairs[0, 0], 0])).partition("Next state: ")[2][:13]

    def sometimes(prompt: str) -> Mapping[str, float]:
        return {"hm": 1.0} if f"{silent.removeprefix('height: ')} after" in prompt else opinion(prompt)

    fake.opinion = sometimes
    answers = teacher(fake, tmp_path).compare(asked)
    assert answers.skipped is not None
    assert answers.skipped[0]
    assert not answers.skipped.all()


def test_a_judge_that_errs_in_30_of_100_cases_teaches_nearly_as_much_as_one_that_never_does(tmp_path: Path) -> None:
    """Comparisons by each, a model without a language model that is fitted on them, and its order of other steps."""
    steps, texts = climb()
    unseen, others = climb(seed=7)
    ranks = dict[float, float]()
    for right in (1.0, 0.7):
        with serving(by_height(right)) as fake:
            judge = teacher(fake, tmp_path, pairs=100)
            labels = rmgym.label(steps, judge, ratings=0, preferences=150, length=1, texts=texts)
        fitted = fit("no-lm", labels, FitOptions(max_steps=300, validation=0), progress=False)
        ranks[right] = rmgym.metrics.spearman(fitted.model.predict(others).mean, unseen.true_reward)
    assert ranks[1.0] > 0.9
    assert ranks[0.7] > 0.9 * ranks[1.0]


def test_it_climbs_no_ladder_on_which_all_answers_are_sure(fake: FakeServer, tmp_path: Path) -> None:
    steps, texts = climb()
    store = LabelStore(tmp_path / "labels.sqlite")
    with pytest.raises(FeedbackError, match=r"sure answers[\s\S]*0\.\d"):
        ladder.climb(store, teacher(fake, tmp_path), steps, texts)
    assert not store.path.exists()
    with pytest.raises(RunError, match=r"whose answers are sure[\s\S]*llm:"):
        rmgym.loop(
            "CartPole-v1",
            "ppo",
            teacher(fake, tmp_path),
            labels=30,
            out=tmp_path / "loop",
            options={"kind": "ladder", "model": "no-lm"},
            progress=False,
        )


def test_in_a_panel_it_is_told_by_what_decides_its_answers(fake: FakeServer, tmp_path: Path) -> None:
    def about(**options: Any) -> object:
        judge = teacher(fake, tmp_path, **options)
        assert judge.opinions  # a client, which cannot be pickled
        return _about(Panel({"llm": judge, "scripted": ScriptedTeacher()}))

    assert about() == about(max_tokens=10**6, timeout=7.0)
    assert about() != about(levels=5)
    assert about() != about(seed=1)


def test_somebody_has_to_know_the_order(fake: FakeServer, tmp_path: Path) -> None:
    judge = JudgeTeacher(
        judge=JudgeOptions(judge=fake.url), trial=Trial(), asking=AskingOptions(answers=str(tmp_path / "a.sqlite"))
    )
    with pytest.raises(FeedbackError, match="knows the order"):
        judge.compare(questions())
    few = climb()[0][:30], climb()[1][:30]
    with pytest.raises(JudgeError, match="at least 20 pairs"):
        teacher(fake, tmp_path).reliability("preference", *few, 1)
