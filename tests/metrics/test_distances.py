"""Distances of rewards: what must not matter does not, what is known is met, on a real task too."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.metrics import dard_distance, epic_distance, starc_distance

GAMMA = 0.9
Tables = tuple[np.ndarray, np.ndarray]


def frozen_lake() -> Tables:
    """Chances and reward ``[17, 4, 17]`` of FrozenLake, with a state after the end."""
    table: dict[int, Any] = gym.make("FrozenLake-v1").unwrapped.P  # type: ignore[attr-defined]
    states, actions = len(table), len(table[0])
    chances = np.zeros((2 * states, actions, 2 * states))  # the later half: it has ended there
    for state, by_action in table.items():
        for action, outs in by_action.items():
            for chance, after, _, ended in outs:
                chances[state, action, after + states * bool(ended)] += chance
    for state in range(states, 2 * states):
        chances[state, :, state] = 1
    reward = np.zeros_like(chances)
    reward[:states, :, 2 * states - 1] = 1
    used = np.flatnonzero(chances.sum(axis=(0, 1)) > 4 * (np.arange(2 * states) >= states))
    return chances[np.ix_(used, range(actions), used)], reward[np.ix_(used, range(actions), used)]


def random_task(seed: int, states: int = 6, actions: int = 3) -> Tables:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(states, 0.5), (states, actions)), rng.normal(size=(states, actions, states))


def shaped(reward: np.ndarray, potential: np.ndarray, factor: float) -> np.ndarray:
    moved: np.ndarray = factor * (reward + GAMMA * potential - potential[:, None, None])
    return moved


def distances(a: np.ndarray, b: np.ndarray, chances: np.ndarray) -> list[float]:
    return [
        epic_distance(a, b, gamma=GAMMA),
        dard_distance(a, b, chances, gamma=GAMMA),
        starc_distance(a, b, chances, gamma=GAMMA),
    ]


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_shaping_and_factors_do_not_matter(seed: int, factor: float) -> None:
    for chances, reward in (random_task(seed), frozen_lake()):
        potential = np.random.default_rng(seed).normal(size=len(reward))
        like = shaped(reward, potential, factor)
        assert distances(reward, like, chances) == pytest.approx([0, 0, 0], abs=1e-6)
        assert distances(reward, -like, chances) == pytest.approx([1, 1, 1], abs=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_they_are_distances(seed: int) -> None:
    chances, a = random_task(seed)
    b, c = random_task(seed + 1)[1], random_task(seed + 2)[1]
    ab, ba, ac, cb = (distances(*pair, chances) for pair in ((a, b), (b, a), (a, c), (c, b)))
    assert ab == pytest.approx(ba)
    assert all(0 < d < 1 for d in ab)
    assert all(d <= e + f + 1e-9 for d, e, f in zip(ab, ac, cb, strict=True))


def test_expected_values_are_those_of_a_loop() -> None:
    chances, reward = random_task(0, states=4, actions=2)
    other = random_task(1, states=4, actions=2)[1]
    states, actions = range(4), range(2)

    def epic(r: np.ndarray, s: int, a: int, t: int) -> float:
        mean = np.mean
        return float(
            r[s, a, t]
            + mean(
                [GAMMA * r[t, b, u] - r[s, b, u] - GAMMA * r[v, b, u] for b in actions for u in states for v in states]
            )
        )

    def dard(r: np.ndarray, s: int, a: int, t: int) -> float:
        total = 0.0
        for b in actions:
            for u in states:
                for v in states:
                    chance = chances[s, b, u] * chances[t, b, v] / 2
                    total += chance * (GAMMA * r[t, b, v] - r[s, b, u] - GAMMA * r[u, b, v])
        return float(r[s, a, t] + total)

    every = [(s, a, t) for s in states for a in actions for t in states]
    for canonical, weights, measured in (
        (epic, np.ones(len(every)), epic_distance(reward, other, gamma=GAMMA)),
        (dard, np.array([chances[at] for at in every]), dard_distance(reward, other, chances, gamma=GAMMA)),
    ):
        pair = np.array([[canonical(r, *at) for at in every] for r in (reward, other)])
        cov = np.cov(pair, aweights=weights)
        rho = cov[0, 1] / math.sqrt(cov[0, 0] * cov[1, 1])
        assert measured == pytest.approx(math.sqrt((1 - rho) / 2))


def test_values_of_starc_are_those_of_its_policy() -> None:
    chances, reward = random_task(3)
    other = reward + 0.3 * random_task(4)[1]
    policy = np.random.default_rng(5).dirichlet(np.ones(3), 6)

    def advantage(r: np.ndarray) -> np.ndarray:
        expected = (chances * r).sum(axis=2)
        values = np.zeros(6)
        for _ in range(2000):
            values = (policy * (expected + GAMMA * chances @ values)).sum(axis=1)
        gained: np.ndarray = expected + GAMMA * chances @ values - values[:, None]
        return gained / np.linalg.norm(gained)

    measured = starc_distance(reward, other, chances, gamma=GAMMA, policy=policy)
    assert measured == pytest.approx(float(np.linalg.norm(advantage(reward) - advantage(other))) / 2)


def test_what_cannot_happen_matters_to_epic_alone() -> None:
    chances, reward = frozen_lake()
    elsewhere = np.where(chances > 0, reward, 5.0)
    assert starc_distance(reward, elsewhere, chances, gamma=GAMMA) == 0
    assert epic_distance(reward, elsewhere, gamma=GAMMA) > 0.1


def test_nothing_but_shaping_has_no_distance_or_half_of_one() -> None:
    chances, reward = random_task(0)
    nothing = shaped(np.zeros_like(reward), np.arange(6.0), 1)
    epic, dard, starc = distances(reward, nothing, chances)
    assert math.isnan(epic)
    assert math.isnan(dard)
    assert starc == pytest.approx(0.5)
    assert starc_distance(nothing, np.zeros_like(reward), chances, gamma=GAMMA) == 0
    until, lake = frozen_lake()
    pays = np.zeros_like(lake)
    pays[: len(pays) - 5] = 1  # until it ends: going on is worth something
    assert math.isfinite(epic_distance(pays, lake, gamma=GAMMA))
    assert starc_distance(pays, lake, until, gamma=GAMMA) > 0.5


def test_other_tables_are_refused() -> None:
    chances, reward = random_task(0)
    with pytest.raises(ValueError, match="tables"):
        epic_distance(reward, reward[:5], gamma=GAMMA)
    with pytest.raises(ValueError, match="chances and coverage"):
        starc_distance(reward, reward, chances[:, :2], gamma=GAMMA)
    with pytest.raises(ValueError, match="6 numbers"):
        epic_distance(reward, reward, gamma=GAMMA, states=np.ones(5))
