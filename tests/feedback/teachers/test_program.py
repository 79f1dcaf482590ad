"""A function as a teacher: how it is called is told by its parameters, and what it gives is checked."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers import PreferenceQuestions, ProgramTeacher, RatingQuestions, ScriptedTeacher
from rmgym.feedback.teachers.contract import TeacherContract
from rmgym.feedback.teachers.program import as_teacher
from rmgym.feedback.teachers.scripted import TiedPreferencesWarning
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


@pytest.mark.parametrize(
    ("function", "per_step", "expected"),
    [
        (lambda transitions: transitions.obs[:, 0], None, STEPS.obs[:, 0]),
        (lambda batch: batch.obs[:, 0], False, STEPS.obs[:, 0]),
        (lambda s: s[0], True, STEPS.obs[:, 0]),
        (lambda s, a: s[0] + a, True, STEPS.obs[:, 0] + STEPS.action),
        (lambda next_obs, obs: next_obs[0] - 2 * obs[0], None, STEPS.next_obs[:, 0] - 2 * STEPS.obs[:, 0]),
        (lambda obs, scale=3.0, *, next_obs: scale * next_obs[0], None, 3 * STEPS.next_obs[:, 0]),
        (lambda obs, terminated: obs[0] - 10 * terminated, None, STEPS.obs[:, 0] - 10 * STEPS.terminated),
        (functools.partial(lambda obs, scale: scale * obs[0], scale=2.0), None, 2 * STEPS.obs[:, 0]),
    ],
)
def test_how_a_function_is_called(function, per_step, expected):
    np.testing.assert_allclose(rated(function, per_step=per_step), expected[ASKED.rows], rtol=1e-6)


@pytest.mark.parametrize(
    "function", [lambda x: x, lambda obs, reward: 0.0, lambda steps, scale: 0.0, lambda: 0.0, lambda *parts: 0.0, max]
)
def test_what_is_not_clear_is_refused_before_anybody_is_asked(function):
    with pytest.raises(FeedbackError, match=r"(?s)all steps at once or the parts of one.*its only one steps"):
        ProgramTeacher(function)


@pytest.mark.parametrize(
    ("function", "rule", "fix"),
    [
        (lambda steps: steps.obs, r"24 steps, \[24\].*float64 \[24, 1\]", r"values\[:, 0\]"),
        (lambda steps: steps.obs[:3, 0], r"24 steps, \[24\].*float64 \[3\]", "whole columns"),
        (lambda steps: 1.0, r"float64 \[\]", "name its parameters obs"),
        (lambda steps: [None] * 24, "None", "whole columns"),
        (lambda steps: ["good"] * 24, "<U4", "whole columns"),
        (lambda obs: obs, r"a number for one step.*float64 \[1\]", r"float\(...\)"),
        (lambda obs: None, "a number for one step.*None", "return a number"),
        (lambda steps: np.where(steps.step == 3, np.nan, steps.obs[:, 0]), "nan for step 3 of episode 0", "return one"),
        (lambda obs: np.inf, "inf for step 0 of episode 0", "return one"),
        (lambda obs: 1e300, "1e.300 for step 0", "return one"),
        (lambda steps: steps.reward, "AttributeError: .*test_program.py, line", "correct the function"),
        (lambda obs: obs.fill(0), "read-only", "correct the function"),
        (lambda steps: np.ones(len(steps)), "8 times 1", "more varied steps"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(function, rule, fix):
    with pytest.raises(FeedbackError, match=f"(?s){rule}") as refused:
        rated(function)
    assert refused.value.fix
    assert re.search(fix, refused.value.fix)


def test_steps_that_nobody_asked_about_may_have_no_value():
    values = rated(lambda steps: np.where(np.arange(24) % 3 == 1, np.nan, steps.obs[:, 0]))
    assert np.isfinite(values).all()


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


def test_a_function_that_was_changed_is_another_teacher():
    def of(code):
        import linecache

        linecache.cache["<mine>"] = (len(code), None, code.splitlines(keepends=True), "<mine>")
        space = {"__name__": "mine"}
        exec(compile(code, "<mine>", "exec"), space)
        return ProgramTeacher(space["comfort"]).source

    first = of("def comfort(steps):\n    return steps.obs[:, 0]\n")
    assert first.startswith("program:mine:comfort@")
    assert of("def comfort(steps):  # as before\n\n    return steps.obs[:,0]\n") == first
    assert of("def comfort(steps):\n    return steps.obs[:, 1]\n") != first


def test_teachers_and_functions():
    teacher = ScriptedTeacher()
    assert as_teacher(teacher) is teacher
    assert as_teacher(gain, "mine:gain").source.startswith("program:mine:gain@")
    with pytest.raises(FeedbackError, match=r"(?s)not a class.*ScriptedTeacher\(\)"):
        as_teacher(ScriptedTeacher)
    with pytest.raises(FeedbackError, match="is a function"):
        as_teacher(3)
