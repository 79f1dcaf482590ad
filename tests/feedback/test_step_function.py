"""A function of the user's own: how it is called is told by its parameters, and what it gives is checked."""

from __future__ import annotations

import functools
import linecache
import re

import numpy as np
import pytest

from rmgym.errors import FeedbackError
from rmgym.feedback.step_function import StepFunction
from rmgym.feedback.teachers.contract import TeacherContract

STEPS = TeacherContract().transitions()
ROWS = TeacherContract().rating_questions().rows


def rated(function, **options):
    return StepFunction(function, **options).values(STEPS, ROWS)


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
    np.testing.assert_allclose(rated(function, per_step=per_step), expected[ROWS], rtol=1e-6)


@pytest.mark.parametrize(
    "function", [lambda x: x, lambda obs, reward: 0.0, lambda steps, scale: 0.0, lambda: 0.0, lambda *parts: 0.0, max]
)
def test_what_is_not_clear_is_refused_before_anybody_is_asked(function):
    with pytest.raises(FeedbackError, match=r"(?s)all steps at once or the parts of one.*its only one steps"):
        StepFunction(function)


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
        (lambda steps: steps.reward, "AttributeError: .*test_step_function.py, line", "correct the function"),
        (lambda obs: obs.fill(0), "read-only", "correct the function"),
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


def test_a_function_that_was_changed_is_another_one():
    def of(code):
        linecache.cache["<mine>"] = (len(code), None, code.splitlines(keepends=True), "<mine>")
        space = {"__name__": "mine"}
        exec(compile(code, "<mine>", "exec"), space)
        return StepFunction(space["comfort"]).identity

    first = of("def comfort(steps):\n    return steps.obs[:, 0]\n")
    assert first.startswith("mine:comfort@")
    assert of("def comfort(steps):  # as before\n\n    return steps.obs[:,0]\n") == first
    assert of("def comfort(steps):\n    return steps.obs[:, 1]\n") != first
