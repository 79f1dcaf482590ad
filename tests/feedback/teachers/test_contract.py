"""The teacher's contract holds for every built-in teacher, and catches those who break it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers import Answers, Person, PreferenceQuestions, RatingQuestions, ScriptedTeacher
from rmgym.feedback.teachers.contract import TeacherContract


class TestReward(TeacherContract):
    def make_teacher(self):
        return ScriptedTeacher()


class TestLevels(TeacherContract):
    def make_teacher(self):
        return ScriptedTeacher(levels=5, edges="quantile")


class TestGivenCuts(TeacherContract):
    def make_teacher(self):
        return ScriptedTeacher(levels=3, cuts=(-0.5, 0.5))


class TestOutcome(TeacherContract):
    def make_teacher(self):
        return ScriptedTeacher(target="outcome", levels=4)


class TestProgress(TeacherContract):
    def make_teacher(self):
        return ScriptedTeacher(target="progress", value=lambda obs: obs[:, 0] ** 2)


class TestPerson(TeacherContract):
    def make_teacher(self):
        return Person()


@dataclass(frozen=True)
class Reader:
    """Reads the position out of the text, skips what it calls unclear, leaves one for later, and is unsure of ties."""

    source: str = "reader"

    def rate(self, questions: RatingQuestions) -> Answers:
        positions = questions.step_texts.numbers[::2].astype(np.float32)
        skipped = np.abs(positions) < 0.5
        positions[skipped | (positions == positions.max())] = np.nan
        return Answers(values=positions, skipped=skipped)

    def compare(self, questions: PreferenceQuestions) -> Answers:
        left, right = questions.sums(questions.texts.numbers[::2])
        choice = 1 / (1 + np.exp(right - left))
        return Answers(
            values=choice.astype(np.float32),
            margins=np.abs(left - right).astype(np.float32),
            confidence=np.abs(2 * choice - 1).astype(np.float32),
        )


class TestReader(TeacherContract):
    def make_teacher(self):
        return Reader()


@dataclass(frozen=True)
class OnlyRates:
    source: str = "only rates"

    def rate(self, questions: RatingQuestions) -> Answers:
        return Answers(values=questions.steps.obs[:, 0].astype(np.float32))

    def compare(self, questions: PreferenceQuestions) -> Answers:
        raise FeedbackError("this teacher rates single steps", fix="ask for ratings")


class TestOnlyRates(TeacherContract):
    compares = False

    def make_teacher(self):
        return OnlyRates()


class Broken(OnlyRates):
    """Keeps no rule; a test says which."""

    calls = 0

    def __init__(self, fault: str) -> None:
        super().__init__(fault)

    def rate(self, questions: RatingQuestions) -> Answers:
        values = super().rate(questions).values
        if self.source == "order":
            return Answers(values=values + np.arange(len(values), dtype=np.float32))
        if self.source == "count":
            return Answers(values=values[1:])
        if self.source == "levels":
            return Answers(values=values, levels=3)
        if self.source == "memory":
            type(self).calls += 1
            return Answers(values=values + type(self).calls)
        if self.source == "random":
            np.random.random()
        if self.source == "writes":
            questions.transitions.obs[:] = 0
        return Answers(values=values)


@pytest.mark.parametrize(
    ("fault", "test", "rule"),
    [
        ("order", "test_order", "order of the questions"),
        ("count", "test_ratings", "one answer per question"),
        ("levels", "test_ratings", "whole numbers from 1 to 3"),
        ("memory", "test_deterministic", "earlier questions"),
        ("random", "test_random_state", "NumPy's random state"),
        ("writes", "test_pure", "leaves transitions.obs"),
    ],
)
def test_a_broken_rule_is_named(fault, test, rule):
    class Contract(TeacherContract):
        compares = False

        def make_teacher(self):
            return Broken(fault)

    with pytest.raises(AssertionError, match=rule):
        getattr(Contract(), test)()


def test_a_teacher_that_should_refuse_and_does_not_is_named(tmp_path: Path):
    class Contract(TeacherContract):
        rates = False

        def make_teacher(self):
            return ScriptedTeacher()

    with pytest.raises(AssertionError, match="does not rate says so"):
        Contract().test_ratings()


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"values": np.zeros(2)}, "float32"),
        ({"values": np.zeros((2, 1), np.float32)}, "one per question"),
        ({"values": np.array([np.inf], np.float32)}, "finite"),
        ({"values": np.zeros(2, np.float32), "skipped": np.array([True, False])}, "skipped has no value"),
        ({"values": np.zeros(2, np.float32), "skipped": np.zeros(3, np.bool_)}, "skipped of answers"),
        ({"values": np.ones(2, np.float32), "levels": 3, "cuts": (0.5,)}, "levels - 1"),
        ({"values": np.ones(2, np.float32), "levels": 3, "cuts": (0.5, 0.1)}, "ascending"),
        ({"values": np.ones(1, np.float32), "confidence": np.array([1.5], np.float32)}, "confidence is in"),
    ],
)
def test_answers_that_cannot_be_are_explained(wrong, rule):
    with pytest.raises(FeedbackError, match=rule):
        Answers(**wrong)


def test_questions_that_cannot_be_are_explained():
    contract = TestReward()
    steps, texts = contract.transitions(), contract.texts()
    for rows in ([24], [-1]):
        with pytest.raises(FeedbackError, match="the collected steps"):
            RatingQuestions(transitions=steps, texts=texts, rows=np.array(rows))
    with pytest.raises(FeedbackError, match="one text"):
        RatingQuestions(transitions=steps, texts=texts[:3], rows=np.array([0]))
    for pairs, length, rule in (([[0, 22]], 3, "the collected steps"), ([[0, 3]], 0, "at least one step")):
        with pytest.raises(FeedbackError, match=rule):
            PreferenceQuestions(transitions=steps, texts=texts, pairs=np.array(pairs), length=length)
