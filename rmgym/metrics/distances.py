"""How far two rewards are apart as rewards: distances that shaping and positive factors leave at zero.

All are of tables: rewards ``[S, A, S]`` of a state, an action and the next state, and chances ``[S, A, S]`` of the next
state. Where a task can end, what follows an end is a state of its own that leads to itself and pays nothing, or a
reward that is constant until then would be worth nothing at all.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]
_TRIVIAL = 1e-9
"""Share of a reward's own size below which what is left of it after canonicalisation is rounding."""


def epic_distance(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    gamma: float,
    states: npt.ArrayLike | None = None,
    actions: npt.ArrayLike | None = None,
    coverage: npt.ArrayLike | None = None,
) -> float:
    """EPIC (Gleave et al. 2021, "Quantifying differences in reward functions", https://arxiv.org/abs/2006.13900).

    ``C(R)(s, a, s') = R(s, a, s') + E[gamma R(s', A, S') - R(s, A, S') - gamma R(S, A, S')]`` with independent ``S``,
    ``A``, ``S'``, and the Pearson distance ``sqrt((1 - rho) / 2)`` of both over the coverage (section 4). It reads
    rewards of transitions that never happen.

    Args:
        a: one reward, ``[S, A, S]``.
        b: the other.
        gamma: discount in [0, 1].
        states: weights of the states, ``[S]``; all alike by default.
        actions: weights of the actions, ``[A]``; all alike by default.
        coverage: weights of the transitions that are compared, ``[S, A, S]``; those of ``S``, ``A``, ``S'`` by default.

    Returns:
        From 0 (alike) to 1 (opposite); NaN where one is nothing but shaping over the coverage.
    """
    x, y = _tables(a, b)
    s, n = _weights(states, x.shape[0]), _weights(actions, x.shape[1])
    over = s[:, None, None] * n[:, None] * s if coverage is None else _shaped(coverage, x)

    def canonical(reward: Table) -> Table:
        mean = np.einsum("sat,a,t->s", reward, n, s)
        shaped: Table = reward + gamma * mean - mean[:, None, None] - gamma * (s @ mean)
        return shaped

    return _pearson_distance(canonical(x), canonical(y), over, x, y)


def dard_distance(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    chances: npt.ArrayLike,
    *,
    gamma: float,
    actions: npt.ArrayLike | None = None,
    coverage: npt.ArrayLike | None = None,
) -> float:
    """DARD (Wulfe et al. 2022, "Dynamics-aware comparison of learned reward functions", arXiv 2201.10081, section 4).

    Like EPIC, with ``S' ~ T(s, A)`` and ``S'' ~ T(s', A)`` in place of states drawn anywhere:
    ``C(R)(s, a, s') = R(s, a, s') + E[gamma R(s', A, S'') - R(s, A, S') - gamma R(S', A, S'')]``.

    Args:
        a: one reward, ``[S, A, S]``.
        b: the other.
        chances: of the next state, ``[S, A, S]``.
        gamma: discount in [0, 1].
        actions: weights of the actions, ``[A]``; all alike by default.
        coverage: weights of the transitions that are compared, ``[S, A, S]``; by default those that happen, from every
            state by every action.

    Returns:
        From 0 (alike) to 1 (opposite); NaN where one is nothing but shaping over the coverage.
    """
    x, y = _tables(a, b)
    t, n = _shaped(chances, x), _weights(actions, x.shape[1])
    over = t * n[:, None] if coverage is None else _shaped(coverage, x)

    def canonical(reward: Table) -> Table:
        mean = np.einsum("sat,sat,a->s", t, reward, n)
        across = sum(n[i] * (t[:, i] @ reward[:, i] @ t[:, i].T) for i in range(len(n)))  # of S' and S'', [s, s']
        shaped: Table = reward + gamma * mean - mean[:, None, None] - gamma * np.asarray(across)[:, None, :]
        return shaped

    return _pearson_distance(canonical(x), canonical(y), over, x, y)


def starc_distance(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    chances: npt.ArrayLike,
    *,
    gamma: float,
    policy: npt.ArrayLike | None = None,
) -> float:
    """STARC with values (Skalse et al. 2024, "STARC: A general framework for quantifying differences between reward
    functions", https://arxiv.org/abs/2309.15257): value-adjusted levelling, the Euclidean norm, and half its distance.

    ``C(R)(s, a) = E[R(s, a, S') - V(s) + gamma V(S')]`` with the values ``V`` of a policy, which leaves its advantages;
    each is divided by its norm. It bounds the regret of optimising one reward for the other, and reads no transition
    that cannot happen.

    Args:
        a: one reward, ``[S, A, S]``.
        b: the other.
        chances: of the next state, ``[S, A, S]``.
        gamma: discount in [0, 1).
        policy: chances of the actions by which states are valued, ``[S, A]``; all alike by default.

    Returns:
        From 0 (alike) to 1 (opposite); a reward that is nothing but shaping is 0.5 from every other, and 0 from its
        like.
    """
    x, y = _tables(a, b)
    t = _shaped(chances, x)
    acts = np.full(x.shape[:2], 1 / x.shape[1]) if policy is None else np.asarray(policy, np.float64)

    def standardised(reward: Table) -> Table:
        advantage = advantages(np.einsum("sat,sat->sa", t, reward), t, gamma=gamma, policy=acts)
        size = float(np.linalg.norm(advantage))
        return advantage / size if size > _TRIVIAL * np.linalg.norm(reward) else np.zeros_like(advantage)

    return float(np.linalg.norm(standardised(x) - standardised(y)) / 2)


def advantages(rewards: Table, chances: Table, *, gamma: float, policy: Table) -> Table:
    """What each action gains over a policy's, ``[S, A]``.

    Args:
        rewards: expected reward of each action, ``[S, A]``.
        chances: of the next state, ``[S, A, S]``.
        gamma: discount in [0, 1).
        policy: chances of the actions, ``[S, A]``.
    """
    moves = np.einsum("sa,sat->st", policy, chances)
    values = np.linalg.solve(np.eye(len(moves)) - gamma * moves, (policy * rewards).sum(axis=1))
    gained: Table = rewards + gamma * chances @ values - values[:, None]
    return gained


def _pearson_distance(x: Table, y: Table, weights: Table, *before: Table) -> float:
    """``sqrt((1 - rho) / 2)`` under weights; NaN where one varies no more than by rounding."""
    weights = weights / weights.sum()
    x, y = (each - (weights * each).sum() for each in (x, y))
    sizes = [math.sqrt((weights * each**2).sum()) for each in (x, y)]
    if any(size <= _TRIVIAL * np.abs(raw).max() for size, raw in zip(sizes, before, strict=True)):
        return math.nan
    apart = x / sizes[0] - y / sizes[1]  # its square is 2 - 2 rho, without the cancellation
    return math.sqrt((weights * apart**2).sum()) / 2


def _tables(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Table, Table]:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.ndim != 3 or x.shape != y.shape or x.shape[0] != x.shape[2]:
        raise ValueError(f"both rewards are tables [S, A, S] of one task; received {list(x.shape)} and {list(y.shape)}")
    return x, y


def _shaped(values: npt.ArrayLike, like: Table) -> Table:
    table = np.asarray(values, np.float64)
    if table.shape != like.shape:
        raise ValueError(f"chances and coverage are of the task's {list(like.shape)}; received {list(table.shape)}")
    return table


def _weights(values: npt.ArrayLike | None, count: int) -> Table:
    weights = np.ones(count) if values is None else np.asarray(values, np.float64)
    if weights.shape != (count,) or (weights < 0).any() or not weights.sum() > 0:
        raise ValueError(f"weights are {count} numbers of at least 0; received {values!r}")
    normal: Table = weights / weights.sum()
    return normal
