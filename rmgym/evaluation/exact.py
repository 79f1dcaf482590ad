"""Where a task tells its transition table: what a learned reward does to whoever is best at it, without any agent."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.environments.build import build_env
from rmgym.environments.tabular import TIED, TransitionTable
from rmgym.metrics.distances import Table, starc_distance
from rmgym.specs import EnvSpec
from rmgym.transitions import Transitions
from rmgym.wrappers.source import Model, RewardSource

Floats = npt.NDArray[np.float64]
GAMMA = 0.99
"""Discount of agents to come, where a model is not read as a potential of another one."""


@dataclass(frozen=True, kw_only=True)
class ExactCheck:
    """A learned reward on all transitions of a task.

    Attributes:
        starc: distance from the true reward, 0 to 1 (:func:`rmgym.metrics.starc_distance`). EPIC and DARD are not
            told: they read transitions that cannot happen, such as those out of a state in which the task has ended,
            and nobody knows what the environment would have paid there.
        response: true return of the policy that is best under the learned reward; NaN, as the next two, where the
            environment does not tell where episodes begin, or cuts none.
        best: of the one that is best under the true reward.
        random: of uniformly random actions.
    """

    starc: float
    response: float
    best: float
    random: float

    @property
    def share(self) -> float:
        """What part of the way from random actions to the best the learned reward leads; NaN where there is none."""
        span = self.best - self.random
        return (self.response - self.random) / span if span > 0 else math.nan


def check_exactly(
    spec: EnvSpec, model: Model, *, gamma: float | None = None, taken: Transitions | None = None
) -> ExactCheck | str:
    """Compare a learned reward with the true one on all transitions, and find its best response.

    Args:
        spec: the task.
        model: the reward.
        gamma: discount of the agent, in [0, 1); by default the potential's own, or :data:`GAMMA`.
        taken: steps of the environment, by which its table is checked.

    Returns:
        What came of it; or why it cannot be told.

    Raises:
        RunError: the discount is not below 1.
    """
    if spec.horizon is not None:
        return "a fixed horizon pays after the end too, which no table tells"
    table = TransitionTable.of(spec)
    if table is None:
        return "the environment tells no transition table ('unwrapped.P') of single states and actions"
    if taken is not None and not table.explains(taken):
        return "steps do not go as the environment's transition table says"
    if not np.isfinite(table.reward).all():
        return "rewards of the environment's transition table are no finite numbers"
    with closing(build_env(spec)) as env:
        source, dtype = RewardSource(env, model, card=spec.card, language=spec.language), env.observation_space.dtype
    if source.textualizer.card.history:
        return "texts tell of earlier steps, and a table does not"
    steps = Transitions.from_arrays(
        table.state.astype(dtype),
        table.action,
        table.after.astype(dtype),
        table.ended,
        np.zeros_like(table.ended),
        true_reward=table.reward,
    )
    learned = source(steps, table.reward).learned
    gamma = gamma if gamma is not None else GAMMA if source.potential is None else source.potential.discount
    policies = [_greedy(table.best(reward, gamma=gamma)[1]) for reward in (learned, table.reward)]
    policies.append(np.full((table.states, table.actions), 1 / table.actions))
    playable = table.start is not None and table.limit is not None
    response, best, random = (table.earned(policy, table.reward) if playable else math.nan for policy in policies)
    chances, (one, other) = _dense(table, learned, table.reward)
    starc = starc_distance(one, other, chances, gamma=gamma)
    return ExactCheck(starc=starc, response=response, best=best, random=random)


def _greedy(worth: Floats) -> Floats:
    """Chances of the actions, ``[S, A]``: the best ones of each state, alike where they are equally good."""
    best = worth >= worth.max(axis=1, keepdims=True) - TIED * np.abs(worth).max(axis=1, keepdims=True)
    chosen: Floats = best / best.sum(axis=1, keepdims=True)
    return chosen


def _dense(table: TransitionTable, *of: Floats) -> tuple[Table, list[Table]]:
    """Chances and rewards ``[N, A, N]`` of what can happen to an episode that goes on.

    A state in which it has ended is another than the one that goes on, and leads to itself for nothing.
    """
    live = table.acted_in
    rows = np.flatnonzero(np.isin(table.state, live) & (table.chance > 0))
    after, ended = table.after[rows], table.ended[rows]
    ends = np.unique(after[ended])
    shape = (size := len(live) + len(ends), table.actions, size)
    to = np.where(ended, len(live) + np.searchsorted(ends, after), np.searchsorted(live, after))
    cell = np.ravel_multi_index((np.searchsorted(live, table.state[rows]), table.action[rows], to), shape)

    def summed(values: Floats) -> Table:
        return np.bincount(cell, values[rows], math.prod(shape)).astype(np.float64).reshape(shape)

    chances = summed(table.chance)
    rewards = [np.divide(summed(table.chance * each), chances, out=np.zeros(shape), where=chances > 0) for each in of]
    for end in range(len(live), size):
        chances[end, :, end] = 1
    return chances, rewards
