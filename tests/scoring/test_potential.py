"""A potential: what its rewards add up to, by hand, and what its model is asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmgym import collect
from rmgym.errors import ModelError
from rmgym.scoring import Scorer
from rmgym.scoring.potential import Potential, arrivals, as_states, states_hash
from rmgym.text import textualizer
from rmgym.transitions import Transitions
from tests.doubles import COUNTER, ToyReward

GOAL = Potential(discount=0.9, least=-1.0, most=3.0, reaches=True)
FALL = replace(GOAL, reaches=False)


@dataclass(frozen=True)
class OfStates(ToyReward):
    """Says what states are worth."""

    potential: Potential = GOAL

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "fitted_on": self.potential.facts}


def episode(length: int, *, terminated: bool) -> Transitions:
    last = np.arange(length) == length - 1
    zeros = np.zeros(length)
    return Transitions.from_arrays(zeros, zeros, zeros, last & terminated, last & (not terminated))


@given(st.lists(st.floats(-1, 3), min_size=2, max_size=12), st.booleans(), st.booleans())
def test_rewards_of_an_episode_add_up_to_what_its_end_is_worth(
    worth: list[float], terminated: bool, reaches: bool
) -> None:
    potential, states = replace(GOAL, reaches=reaches), np.array(worth)  # states[t] is where step t begins
    steps = episode(len(worth) - 1, terminated=terminated)
    rewards = potential.rewards(np.concatenate([states[1:], states[:-1]]), steps)
    later = potential.discount ** np.arange(len(steps) + 1)
    assert potential.discounts(steps).tolist() == later[:-1].tolist()
    first, last = (states[[0, -1]] + 1) / 4  # between the worst and the best
    expected = later[-1] * last - first  # the state goes on to be worth something
    if terminated:
        expected = later[-2] * last - first
    if not reaches:  # each step that goes on has its share of the best
        expected += (later[:-1] * (1 - potential.discount))[: len(steps) - terminated].sum()
    assert (later[:-1] * rewards).sum() == pytest.approx(expected, abs=1e-9)


def test_success_is_what_no_potential_changes() -> None:
    steps, worth = episode(3, terminated=True), np.array([0.0, 1.0, 3.0, -1.0, 0.0, 1.0])
    assert GOAL.success(worth, steps).tolist() == [0, 0, 1]
    assert FALL.success(worth, steps).tolist() == pytest.approx([0.1, 0.1, 1])
    beyond = np.array([0.0, 1.0, 9.0, -5.0, 0.0, 1.0])  # a model says more than it was ever told
    assert GOAL.success(beyond, steps).tolist() == [0, 0, 1]
    assert GOAL.rewards(beyond, steps).tolist() == GOAL.rewards(worth, steps).tolist()
    shaping = GOAL.rewards(worth, steps) - GOAL.success(worth, steps)
    assert shaping.tolist() == pytest.approx([0.9 / 4 - 0, 0.9 / 2 - 1 / 4, -1 / 2])
    assert (FALL.rewards(worth, steps) - FALL.success(worth, steps)).tolist() == pytest.approx(shaping.tolist())


def test_a_goal_is_told_from_a_fall_by_what_was_rated_best() -> None:
    steps = collect(COUNTER, 60, seed=0, progress=False)
    texts = textualizer(gym.make(COUNTER)).batch(arrivals(steps, gym.make(COUNTER).action_space))
    ends = np.where(steps.terminated, 5.0, np.linspace(0, 1, 60))
    assert Potential.between(texts, ends, 0.9) == Potential(discount=0.9, least=0.0, most=5.0, reaches=True)
    late = np.where(steps.terminated, 0.6, np.linspace(0, 1, 60) ** 2)  # a goal that was reached late is one too
    assert Potential.between(texts, late, 0.9).reaches
    assert Potential.between(texts[~steps.terminated], -ends[~steps.terminated], 0.9).reaches  # nobody has come to it
    assert not Potential.between(texts, -ends, 0.9).reaches
    assert Potential.between(texts, -ends, 0.9).zero == pytest.approx(0, abs=0.1)


def test_a_state_is_the_same_however_it_was_reached() -> None:
    env = gym.make(COUNTER)
    env.action_space.seed(3)
    drawn = [env.action_space.sample() for _ in range(4)]
    env.action_space.seed(3)
    steps = Transitions.from_arrays(
        np.zeros((4, 2), np.float32),
        np.array([0, 1, 2, 2]),
        np.ones((4, 2), np.float32),
        [False, False, False, True],
        [False, False, True, True],
    )
    strings = textualizer(env).batch(arrivals(steps, env.action_space)).strings()
    assert strings[0] == strings[1] == strings[2] != strings[3]
    assert "terminated" in strings[3]
    assert "time limit" not in "".join(strings)
    assert [env.action_space.sample() for _ in range(4)] == drawn  # whoever draws from it is not disturbed


@pytest.mark.parametrize("potential", [GOAL, FALL])
def test_a_scorer_rewards_what_a_step_gained(potential: Potential) -> None:
    env, model = gym.make(COUNTER), OfStates(potential=potential, std=0.5)
    text, steps = textualizer(env), collect(COUNTER, 100, seed=0, progress=False)
    assert steps.terminated.any()
    assert steps.truncated.any()
    here = replace(steps, next_obs=steps.obs, terminated=np.zeros(100, np.bool_))
    after, before = (ToyReward().predict(text.batch(arrivals(s, env.action_space))).mean for s in (steps, here))
    after, before = np.clip(after, -1, 3), np.clip(before, -1, 3)
    zero, keeps = potential.zero, np.where(steps.terminated, 1, 0.9)
    scorer = Scorer(model, text)
    scored = scorer.score(steps)
    np.testing.assert_allclose(scored.mean, (keeps * (after - zero) - (before - zero)) / 4, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scored.std, 0.125)
    success = scorer.success(steps)
    assert success is not None
    np.testing.assert_allclose(success[steps.terminated], (after[steps.terminated] + 1) / 4, rtol=1e-6)
    assert Scorer(ToyReward(), text).success(steps) is None


def test_the_absorbing_state_of_a_fixed_horizon_is_refused() -> None:
    steps = replace(episode(2, terminated=False), absorbing=np.array([0, 2], np.int8))
    with pytest.raises(ModelError, match="task that ends"):
        GOAL.states(steps, gym.spaces.Discrete(3))


def test_a_model_tells_of_it_also_from_behind_a_server() -> None:
    facts = OfStates().describe()
    assert Potential.of(OfStates()) == GOAL

    class Remote(ToyReward):
        def describe(self) -> dict[str, Any]:
            return {"model": "remote", "served": facts}

    assert Potential.of(Remote()) == GOAL
    assert Potential.of(ToyReward()) is None


@pytest.mark.parametrize("wrong", [{"discount": "0.9"}, {"least": float("nan")}, {"more": 1.0}])
def test_what_is_no_potential_is_refused(wrong: dict[str, Any]) -> None:
    class Wrong(ToyReward):
        def describe(self) -> dict[str, Any]:
            return {"fitted_on": {"potential": {**GOAL.facts["potential"], **wrong}}}

    with pytest.raises(ModelError, match="read as a potential"):
        Potential.of(Wrong())


def test_models_of_states_and_of_steps_read_nothing_of_each_other() -> None:
    text = textualizer(gym.make(COUNTER))
    states, steps = states_hash(text.card_hash), text.card_hash
    assert as_states(text.batch(collect(COUNTER, 3, seed=0, progress=False))).card_hash == states
    Scorer(OfStates(card_hash=states), text)
    Scorer(ToyReward(card_hash=steps), text)
    with pytest.raises(ModelError, match="about states"):
        Scorer(ToyReward(card_hash=states), text)
    with pytest.raises(ModelError, match="fitted on texts"):
        Scorer(OfStates(card_hash=steps), text)
