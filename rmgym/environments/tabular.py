"""Tasks that tell their transition table: their experts, and what a policy earns there, without playing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.environments.build import build_env
from rmgym.errors import RunError
from rmgym.specs import EnvSpec
from rmgym.trees import Array

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TransitionTable:
    """All that can happen in a task with few states (FrozenLake, CliffWalking, Taxi), ``K`` transitions.

    Attributes:
        states: how many.
        actions: how many.
        state: where a transition begins, ``int64 [K]``.
        action: by which, ``int64 [K]``.
        chance: of this one, given state and action, ``float64 [K]``.
        after: where it leads, ``int64 [K]``.
        reward: the true one, ``float64 [K]``.
        ended: whether the task ends with it, ``bool [K]``.
        start: chances of the first state, ``float64 [states]``; None where the environment does not tell.
        limit: steps after which an episode is cut; None for none.
    """

    states: int
    actions: int
    state: Ints
    action: Ints
    chance: Floats
    after: Ints
    reward: Floats
    ended: npt.NDArray[np.bool_]
    start: Floats | None
    limit: int | None

    @classmethod
    def of(cls, spec: EnvSpec) -> TransitionTable | None:
        """The table of an environment, in ``unwrapped.P``; None where it tells none."""
        with closing(build_env(spec)) as live:
            table = getattr(live.unwrapped, "P", None)
            start = getattr(live.unwrapped, "initial_state_distrib", None)
            limit = spec.horizon or (None if live.spec is None else live.spec.max_episode_steps)
        if table is None:
            return None
        rows = [(s, a, *entry) for s, actions in table.items() for a, outs in actions.items() for entry in outs]
        state, action, chance, after, reward, ended = (np.array(column) for column in zip(*rows, strict=True))
        return cls(
            states=len(table),
            actions=int(action.max()) + 1,
            state=state,
            action=action,
            chance=chance,
            after=after,
            reward=reward.astype(np.float64),
            ended=ended.astype(np.bool_),
            start=None if start is None else np.asarray(start, np.float64) / np.sum(start),
            limit=limit,
        )

    @property
    def acted_in(self) -> Ints:
        """States in which an episode can go on, ``[L]``: where it begins, and what does not end it leads to."""
        going = ~self.ended & (self.chance > 0)
        seen = np.zeros(self.states, np.bool_) if self.start is None else self.start > 0
        if self.start is None:
            seen[self.after[going]] = True
        while not np.array_equal(seen, grown := self._followed(seen, going)):
            seen = grown
        return np.flatnonzero(seen)

    def _followed(self, seen: npt.NDArray[np.bool_], going: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        grown = seen.copy()
        grown[self.after[going & seen[self.state]]] = True
        return grown

    def best(self, reward: Floats, *, gamma: float, tolerance: float = 1e-10) -> tuple[Floats, Floats]:
        """What is best under a reward, by value iteration (Sutton & Barto 2018, section 4.4), without the time limit.

        Args:
            reward: of each transition, ``[K]``.
            gamma: discount in [0, 1).
            tolerance: largest change of the last iteration, as a share of the largest reward.

        Returns:
            Values of the states ``[states]``, and of what each action there is worth ``[states, actions]``.
        """
        values, small = np.zeros(self.states), tolerance * max(float(np.abs(reward).max()), 1e-300)
        while True:
            worth = self._by_action(self.chance * (reward + gamma * values[self.after] * ~self.ended))
            if np.abs(worth.max(axis=1) - values).max() <= small:
                return worth.max(axis=1), worth
            values = worth.max(axis=1)

    def earned(self, policy: Floats, reward: Floats) -> float:
        """Expected undiscounted return of an episode, within the time limit.

        Args:
            policy: chances of the actions, ``[states, actions]``.
            reward: of each transition, ``[K]``.

        Raises:
            RunError: the environment does not tell where episodes begin, or when they are cut.
        """
        if self.start is None or self.limit is None:
            rule = "a return is known where episodes begin somewhere and are cut after some steps"
            got = "no 'initial_state_distrib'" if self.start is None else "no time limit"
            raise RunError(rule, got=got, fix="pass fixed_horizon=, or play it")
        moves = policy[self.state, self.action] * self.chance
        here, total = self.start, 0.0
        for _ in range(self.limit):
            flow = here[self.state] * moves
            total += float(flow @ reward)
            here = np.bincount(self.after, flow * ~self.ended, self.states).astype(np.float64)
        return total

    def _by_action(self, values: Floats) -> Floats:
        """Sums of ``[K]`` by state and action, ``[states, actions]``."""
        cell = self.state * self.actions + self.action
        summed = np.bincount(cell, values, self.states * self.actions).astype(np.float64)
        return summed.reshape(self.states, self.actions)


def tabular_value(
    env: str | EnvSpec,
    env_kwargs: Mapping[str, object] | None = None,
    *,
    gamma: float = 0.99,
    tolerance: float = 1e-10,
) -> Callable[[Array], Floats]:
    """An expert whose judgement a scripted teacher can borrow: optimal state values, see :meth:`TransitionTable.best`.

    Args:
        env: id or spec of an environment with a transition table.
        env_kwargs: arguments of ``gymnasium.make``, for an id.
        gamma: discount in [0, 1).
        tolerance: see :meth:`TransitionTable.best`.

    Returns:
        A function from states ``int [B]`` to values ``float64 [B]``.

    Raises:
        RunError: the environment does not tell its transition table.
    """
    spec = EnvSpec(id=env, kwargs=env_kwargs or {}) if isinstance(env, str) else env.evaluated
    table = TransitionTable.of(spec)
    if table is None:
        raise RunError(
            "optimal values are computed from a transition table", got=spec.id, fix="use target='outcome' or 'reward'"
        )
    values, _ = table.best(table.reward, gamma=gamma, tolerance=tolerance)
    return lambda obs: values[np.asarray(obs, np.int64)]
