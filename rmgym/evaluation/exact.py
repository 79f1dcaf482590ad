"""Where a task tells its transition table: what a learned reward does to whoever is best at it, without any agent."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.environments.build import build_env
from rmgym.environments.tabular import TransitionTable
from rmgym.metrics.distances import Table, dard_distance, epic_distance, starc_distance
from rmgym.specs import EnvSpec
from rmgym.transitions import Transitions
from rmgym.wrappers.source import Model, RewardSource

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MOST_SCORED = 200_000
"""Transitions, those that cannot happen too, that a model is asked about for EPIC and DARD."""
_TIED = 1e-6
"""Share of the largest worth by which two actions count as equally good."""
NO_TABLE = "the environment tells no transition table ('unwrapped.P')"


@dataclass(frozen=True, kw_only=True)
class ExactCheck:
    """A learned reward on all transitions of a task.

    Attributes:
        starc: distance from the true reward, 0 to 1 (:func:`rmgym.metrics.starc_distance`).
        epic: the same by EPIC; NaN where ``undefined`` says why.
        dard: the same by DARD.
        undefined: why these two are not defined; empty where they are.
        response: true return of the policy that is best under the learned reward; NaN, as the next two, where the
            environment does not tell where episodes begin, or cuts none.
        best: of the one that is best under the true reward.
        random: of uniformly random actions.
    """

    starc: float
    epic: float
    dard: float
    undefined: str
    response: float
    best: float
    random: float

    @property
    def share(self) -> float:
        """What part of the way from random actions to the best the learned reward leads; NaN where there is none."""
        span = self.best - self.random
        return (self.response - self.random) / span if span > 0 else math.nan


def check_exactly(spec: EnvSpec, model: Model, *, gamma: float = 0.99) -> ExactCheck | str:
    """Compare a learned reward with the true one on all transitions, and find its best response.

    Args:
        spec: the task.
        model: the reward.
        gamma: discount of the agent, below 1.

    Returns:
        What came of it; or why it cannot be told.
    """
    table = TransitionTable.of(spec)
    if table is None:
        return NO_TABLE
    every = _Every(spec, model, table)
    learned, true, chances = every.dense(every.learned_rewards), every.dense(table.reward), every.chances
    epic, dard, undefined = math.nan, math.nan, every.undefined(true)
    if not undefined:
        full = every.everywhere(true)
        epic, dard = epic_distance(*full, gamma=gamma), dard_distance(*full, chances, gamma=gamma)
        if math.isnan(epic) or math.isnan(dard):
            undefined = "one of the rewards is nothing but shaping"
    uniform = np.full((table.states, table.actions), 1 / table.actions)
    policies = [_greedy(table.best(reward, gamma=gamma)[1]) for reward in (every.learned_rewards, table.reward)]
    playable = table.start is not None and table.limit is not None
    response, best, random = (
        table.earned(policy, table.reward) if playable else math.nan for policy in (*policies, uniform)
    )
    return ExactCheck(
        starc=starc_distance(learned, true, chances, gamma=gamma),
        epic=epic,
        dard=dard,
        undefined=undefined,
        response=response,
        best=best,
        random=random,
    )


def _greedy(worth: Floats) -> Floats:
    """Chances of the actions, ``[S, A]``: the best ones of each state, alike where they are equally good."""
    best = worth >= worth.max(axis=1, keepdims=True) - _TIED * np.abs(worth).max()
    chosen: Floats = best / best.sum(axis=1, keepdims=True)
    return chosen


class _Every:
    """All transitions of a task as dense tables; a state in which it has ended is another than the one that goes on."""

    def __init__(self, spec: EnvSpec, model: Model, table: TransitionTable) -> None:
        self.table, self.live = table, table.acted_in
        self.ends = np.unique(table.after[table.ended & np.isin(table.state, self.live)])
        self.shape = (size := len(self.live) + len(self.ends), table.actions, size)
        self._rows = np.flatnonzero(np.isin(table.state, self.live) & (table.chance > 0))
        after, ended = table.after[self._rows], table.ended[self._rows]
        to = np.where(ended, len(self.live) + np.searchsorted(self.ends, after), np.searchsorted(self.live, after))
        at = np.searchsorted(self.live, table.state[self._rows])
        self._cell = np.ravel_multi_index((at, table.action[self._rows], to), self.shape)
        with closing(build_env(spec)) as env:
            self._dtype = env.observation_space.dtype
            self._source = RewardSource(env, model, card=spec.card, language=spec.language)
        self.chances = self._summed(table.chance)
        for end in range(len(self.live), size):
            self.chances[end, :, end] = 1
        self.learned_rewards = self._learned(table.state, table.action, table.after, table.ended, table.reward)

    def dense(self, reward: Floats) -> Table:
        """Rewards ``[N, A, N]`` of what can happen, of those of all rows ``[K]``; after an end nothing is paid."""
        total = self._summed(self.table.chance * reward)
        return np.divide(total, self.chances, out=np.zeros(self.shape), where=self.chances > 0)

    def undefined(self, true: Table) -> str:
        """Why EPIC and DARD, which read transitions that cannot happen, are not defined; empty where they are."""
        if (count := math.prod(self.shape)) > MOST_SCORED:
            return f"of {count:,} transitions most cannot happen, and {MOST_SCORED:,} are scored at most"
        if self._elsewhere(true) is None:
            return "the true reward depends on all of a transition, and is not known where nothing can happen"
        return ""

    def everywhere(self, true: Table) -> tuple[Table, Table]:
        """Learned and true reward ``[N, A, N]`` of all transitions."""
        going, size = len(self.live), self.shape[0]
        state, action, to = (axis.reshape(-1) for axis in np.indices((going, *self.shape[1:])))
        after, ended = np.concatenate([self.live, self.ends])[to], to >= going
        full = self._elsewhere(true)
        assert full is not None  # undefined() has seen to it
        learned = np.zeros(self.shape)
        flat = self._learned(self.live[state], action, after, ended, full[:going].reshape(-1))
        learned[:going] = flat.reshape(going, self.table.actions, size)
        return learned, full

    def _learned(
        self, state: Ints, action: Ints, after: Ints, ended: npt.NDArray[np.bool_], true: Floats
    ) -> npt.NDArray[np.float64]:
        """What the model says of some transitions, ``[K]``; of the control ``true`` the true rewards."""
        steps = Transitions.from_arrays(
            state.astype(self._dtype), action, after.astype(self._dtype), ended, np.zeros_like(ended), true_reward=true
        )
        return self._source(steps, true).learned

    def _summed(self, values: Floats) -> Table:
        summed = np.bincount(self._cell, values[self._rows], math.prod(self.shape)).astype(np.float64)
        return summed.reshape(self.shape)

    def _elsewhere(self, true: Table) -> Table | None:
        """The true reward ``[N, A, N]`` also where nothing can happen; None where nothing that happens tells it.

        It is told where it depends on state and action alone, or on the next state alone; one that nothing leads to is
        worth what most are.
        """
        going, full = len(self.live), np.zeros(self.shape)
        happens, paid = self.chances[:going] > 0, true[:going]
        lowest, highest = _range(paid, happens, axis=2)
        if np.array_equal(lowest, highest):
            full[:going] = lowest[:, :, None]
            return full
        lowest, highest = _range(paid, happens, axis=(0, 1))
        if not np.array_equal(lowest, highest):
            return None
        values, counts = np.unique(lowest, return_counts=True)
        full[:going] = np.where(happens.any(axis=(0, 1)), lowest, values[counts.argmax()])
        return full


def _range(values: Table, where: npt.NDArray[np.bool_], axis: int | tuple[int, ...]) -> tuple[Table, Table]:
    """Smallest and largest value that happens; 0 where none does."""
    lowest, highest = (np.where(where, values, sign * np.inf) for sign in (1, -1))
    none = ~where.any(axis=axis)
    return np.where(none, 0.0, lowest.min(axis=axis)), np.where(none, 0.0, highest.max(axis=axis))
