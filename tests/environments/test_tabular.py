"""Optimal values of tables, by hand and by playing."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.environments.tabular import TransitionTable, tabular_value
from rmgym.errors import FeedbackError, RunError
from rmgym.feedback.teachers.scripted import ScriptedTeacher
from rmgym.specs import EnvSpec
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


def test_a_table_says_what_a_policy_earns_as_playing_does() -> None:
    table = TransitionTable.of(EnvSpec(id="FrozenLake-v1"))
    assert table is not None
    policy = np.random.default_rng(0).dirichlet(np.ones(4), 16)
    expected = table.earned(policy, table.reward)
    env, rng, returns = gym.make("FrozenLake-v1"), np.random.default_rng(1), []
    env.reset(seed=1)
    for _ in range(3000):
        state, total, over = env.reset()[0], 0.0, False
        while not over:
            state, reward, terminated, truncated, _ = env.step(int(rng.choice(4, p=policy[state])))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    assert expected == pytest.approx(np.mean(returns), abs=4 * np.std(returns) / 3000**0.5)


def test_the_best_policy_earns_most_and_a_time_limit_cuts() -> None:
    table = TransitionTable.of(EnvSpec(id="FrozenLake-v1", kwargs=FIRM))
    assert table is not None
    assert table.limit == 100
    worth = table.best(table.reward, gamma=0.9)[1]
    greedy = np.eye(4)[worth.argmax(axis=1)]
    assert table.earned(greedy, table.reward) == pytest.approx(1)
    assert replace(table, limit=5).earned(greedy, table.reward) == 0  # the goal is six steps away
    assert set(table.acted_in) == set(range(16)) - {5, 7, 11, 12, 15}
    with pytest.raises(RunError, match="somewhere and are cut"):
        replace(table, limit=None).earned(greedy, table.reward)
    assert TransitionTable.of(EnvSpec(id="CartPole-v1")) is None


def test_far_from_the_goal_the_best_is_still_the_best() -> None:
    corridor = TransitionTable(
        states=201,
        actions=2,
        state=np.repeat(np.arange(201), 2),
        action=np.tile([0, 1], 201),
        chance=np.ones(402),
        after=np.clip(np.repeat(np.arange(201), 2) + np.tile([-1, 1], 201), 0, 200),
        reward=(np.arange(402) == 2 * 199 + 1).astype(float),
        ended=np.arange(402) == 2 * 199 + 1,
        start=np.eye(201)[0],
        limit=400,
    )
    for gamma in (0.5, 0.9, 0.99):
        values, worth = corridor.best(corridor.reward, gamma=gamma)
        assert values[0] == pytest.approx(gamma**199)
        assert corridor.earned(np.eye(2)[worth.argmax(axis=1)], corridor.reward) == 1
    for wrong in (1.0, -0.1, float("nan")):
        with pytest.raises(RunError, match="discount"):
            corridor.best(corridor.reward, gamma=wrong)
    with pytest.raises(RunError, match="finite"):
        corridor.best(np.full(402, np.nan), gamma=0.9)


def test_a_table_of_something_else_is_none_and_steps_tell_whether_it_is_followed() -> None:
    class Square(gym.Env):
        observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)
        P = np.eye(2)

        def reset(self, *, seed=None, options=None):
            return 0, {}

    gym.register("Square-v0", Square)
    try:
        assert TransitionTable.of(EnvSpec(id="Square-v0")) is None
    finally:
        del gym.registry["Square-v0"]
    firm, slippery = (TransitionTable.of(EnvSpec(id="FrozenLake-v1", kwargs=k)) for k in (FIRM, {}))
    steps = collect("FrozenLake-v1", 300, progress=False)
    assert slippery is not None
    assert firm is not None
    assert slippery.explains(steps)
    assert not firm.explains(steps)
    assert not slippery.explains(replace(steps, true_reward=steps.true_reward - 1))
