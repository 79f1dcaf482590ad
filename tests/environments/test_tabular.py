"""Optimal values of tables, by hand and by playing."""

import gymnasium as gym
import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.environments.tabular import tabular_value
from rmgym.errors import FeedbackError, RunError
from rmgym.feedback.teachers.scripted import ScriptedTeacher
from tests.feedback.asking import rate

FIRM = {"is_slippery": False}


def test_values_on_firm_ice_count_the_steps_to_the_goal():
    value = tabular_value("FrozenLake-v1", FIRM, gamma=0.9)
    # The goal is cell 15. From 14 it is one step away, from 0 six; 5 is a hole, from which nothing follows.
    assert value(np.array([14, 13, 0, 5])) == pytest.approx([1, 0.9, 0.9**5, 0])


def test_values_satisfy_bellmans_equation_on_slippery_ice():
    value = tabular_value("FrozenLake-v1", {"map_name": "8x8"})
    table = gym.make("FrozenLake-v1", map_name="8x8").unwrapped.P
    for state in range(64):
        worth = [
            sum(p * (r + 0.99 * value(np.array([s]))[0] * (not end)) for p, s, r, end in table[state][action])
            for action in range(4)
        ]
        assert max(worth) == pytest.approx(value(np.array([state]))[0], abs=1e-8)


def test_progress_is_the_gain_in_value_and_zero_on_the_best_path():
    steps = collect("FrozenLake-v1", 300, seed=0, env_kwargs=FIRM, progress=False)
    value = tabular_value("FrozenLake-v1", FIRM)
    rated = rate(ScriptedTeacher(target="progress", value=value), steps)
    for i in range(len(steps)):
        after = 0 if steps.terminated[i] else 0.99 * value(steps.next_obs[i])
        assert rated[i] == pytest.approx(steps.true_reward[i] + after - value(steps.obs[i]), abs=1e-6)
    right_from_start_then_down = (steps.obs == 0) & (steps.next_obs == 4)  # a shortest path leads down first
    assert right_from_start_then_down.any()
    assert rated[right_from_start_then_down] == pytest.approx(0, abs=1e-6)
    into_hole = steps.terminated & (steps.true_reward == 0)
    assert (rated[into_hole] < 0).all()


def test_what_has_no_table_is_refused():
    with pytest.raises(RunError, match="transition table"):
        tabular_value("CartPole-v1")


def test_progress_without_an_expert_is_refused():
    with pytest.raises(FeedbackError, match="expert's value function"):
        ScriptedTeacher(target="progress")
