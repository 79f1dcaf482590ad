"""A function as a teacher: it rates exactly, and compares by sums."""

from __future__ import annotations

import numpy as np
import pytest

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers import PreferenceQuestions, ProgramTeacher, RatingQuestions, ScriptedTeacher
from rmgym.feedback.teachers.contract import TeacherContract
from rmgym.feedback.teachers.program import as_teacher
from rmgym.feedback.teachers.ties import TiedPreferencesWarning
from rmgym.transitions import Transitions


def gain(steps):
    return steps.next_obs[:, 0] * np.where(steps.action == 1, 1.0, -1.0)


def gain_of_one(obs, action, next_obs):
    assert obs.shape == (1,)
    return next_obs[0] * (1.0 if action == 1 else -1.0)


class TestAllAtOnce(TeacherContract):
    def make_teacher(self):
        return ProgramTeacher(gain)


class TestStepByStep(TeacherContract):
    def make_teacher(self):
        return ProgramTeacher(gain_of_one)


class TestWithItsOwnDraws(TeacherContract):
    """What a function draws from global generators is not taken from those by which agents explore."""

    deterministic = False

    def make_teacher(self):
        return ProgramTeacher(lambda steps: steps.obs[:, 0] + np.random.random(len(steps)))


CONTRACT = TestAllAtOnce()
STEPS = CONTRACT.transitions()
ASKED = CONTRACT.rating_questions()


def rated(function, **options):
    return ProgramTeacher(function, **options).rate(ASKED).values


def test_both_ways_give_the_exact_values():
    expected = STEPS.next_obs[ASKED.rows, 0] * np.where(STEPS.action[ASKED.rows] == 1, 1.0, -1.0)
    np.testing.assert_allclose(rated(gain), expected, rtol=1e-6)
    np.testing.assert_allclose(rated(gain_of_one), expected, rtol=1e-6)
    assert ProgramTeacher(gain).rate(ASKED).levels is None


def test_segments_are_compared_by_the_sum_of_their_steps():
    questions = CONTRACT.preference_questions()
    worth = gain(STEPS)
    expected = [float(worth[a : a + 3].sum() > worth[b : b + 3].sum()) for a, b in questions.pairs.tolist()]
    assert 0 < sum(expected) < len(expected)
    for function in (gain, gain_of_one):
        assert ProgramTeacher(function).compare(questions).values.tolist() == expected


def test_only_what_is_asked_is_computed_step_by_step():
    seen = list[float]()

    def noting(obs, action):
        seen.append(float(obs[0]))
        return obs[0]

    ProgramTeacher(noting).rate(ASKED)
    assert seen == STEPS.obs[ASKED.rows, 0].tolist()


def test_what_tells_no_steps_apart_teaches_nothing():
    with pytest.raises(FeedbackError, match=r"(?s)8 times 1.*more varied steps"):
        rated(lambda steps: np.ones(len(steps)))


def test_ties():
    questions = CONTRACT.preference_questions()
    with pytest.raises(FeedbackError, match="4 comparisons, all tied"):
        ProgramTeacher(lambda steps: np.ones(len(steps))).compare(questions)
    with pytest.warns(TiedPreferencesWarning, match="3 of 4"):
        values = ProgramTeacher(lambda steps: np.arange(24) == 14).compare(questions).values
    assert values.tolist() == [0.5, 0.5, 1.0, 0.5]


def test_trees_are_taken_apart():
    obs = {"inside": np.arange(4.0), "outside": np.zeros((4, 2))}
    steps = Transitions.from_arrays(obs, np.zeros(4), obs)
    texts = CONTRACT.texts()[:4]
    asked = RatingQuestions(transitions=steps, texts=texts, rows=np.array([3, 1]))
    assert ProgramTeacher(lambda obs: obs["inside"] + obs["outside"].sum()).rate(asked).values.tolist() == [3, 1]
    pairs = PreferenceQuestions(transitions=steps, texts=texts, pairs=np.array([[0, 2]]), length=2)
    assert ProgramTeacher(lambda steps: steps.obs["inside"]).compare(pairs).values.tolist() == [0]


def test_teachers_and_functions():
    teacher = ScriptedTeacher()
    assert as_teacher(teacher) is teacher
    assert as_teacher(gain, "mine:gain").source.startswith("program:mine:gain@")
    with pytest.raises(FeedbackError, match=r"(?s)not a class.*ScriptedTeacher\(\)"):
        as_teacher(ScriptedTeacher)
    with pytest.raises(FeedbackError, match="told by a function"):
        as_teacher(3)
