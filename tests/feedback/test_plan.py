"""How much is collected to ask about, where nobody says; and what is asked of it."""

import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.queries import select_segments, select_steps
from rmgym.text import textualizer


@pytest.mark.parametrize(
    ("asked", "steps", "reset_every"),
    [
        ({}, 4000, 25),
        ({"preferences": 10, "length": 10}, 4000, 25),
        ({"preferences": 100, "length": 50}, 15_000, 50),  # else no segment would fit into an episode
        ({"length": 50}, 4000, 25),  # nothing is compared
        ({"whole_episodes": True}, 4000, None),
        ({"whole_episodes": True, "preferences": 100, "length": 50}, 15_000, None),
        ({"steps": 300, "reset_every": 7}, 300, 7),
        ({"reset_every": 0}, 4000, None),
        ({"whole_episodes": True, "reset_every": 100}, 4000, 100),
    ],
)
def test_enough_is_collected(asked, steps, reset_every):
    plan = QuestionPlan(**asked)
    assert (plan.collect_steps, plan.collect_reset_every) == (steps, reset_every)


def test_what_a_plan_chooses_is_what_the_selections_choose():
    steps = collect("Pendulum-v1", 300, reset_every=25, progress=False)
    texts = textualizer("Pendulum-v1").batch(steps)
    plan = QuestionPlan(ratings=5, preferences=3, length=10, method="random", seed=4)
    np.testing.assert_array_equal(plan.rows(steps, texts), select_steps(steps, texts, 5, method="random", seed=4))
    np.testing.assert_array_equal(plan.pairs(steps, texts), select_segments(steps, 3, 10, method="random", seed=4))
    nothing = QuestionPlan(ratings=0, preferences=1).rows(steps, texts), QuestionPlan().pairs(steps, texts)
    assert [rows.shape for rows in nothing] == [(0,), (0, 2)]


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"ratings": 0}, "something is asked"),
        ({"ratings": 5, "preferences": -1}, "something is asked"),
        ({"length": 0}, "at least one step"),
        ({"method": "coverag"}, "did you mean 'coverage'"),
    ],
)
def test_plans_that_ask_nothing_are_explained(wrong, rule):
    with pytest.raises(FeedbackError, match=rule):
        QuestionPlan(**wrong)
