"""Tasks that tell their transition table: their experts, and what a policy earns there, without playing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete
from scipy.sparse import csc_array, eye_array
from scipy.sparse.linalg import spsolve

from rmgym.environments.build import build_env
from rmgym.environments.introspect import spaces_of
from rmgym.errors import RunError
from rmgym.specs import EnvSpec
from rmgym.transitions import Transitions
from rmgym.trees import Array

TIED = 1e-9
"""Share of the largest worth in a state by which two actions count as equally good there."""
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
            table: Any = getattr(live.unwrapped, "P", None)
            observation, action = spaces_of(live)
            start = getattr(live.unwrapped, "initial_state_distrib", None)
            limit = None if live.spec is None else live.spec.max_episode_steps
        if not isinstance(observation, Discrete) or not isinstance(action, Discrete):
            return None
        if not _is_table(table, int(observation.n), int(action.n)):
            return None
        rows = [(s, a, *entry) for s, actions in table.items() for a, outs in actions.items() for entry in outs]
        state, acted, chance, after, reward, ended = (np.array(column) for column in zip(*rows, strict=True))
        return cls(
            states=len(table),
            actions=int(action.n),
            state=state,
            action=acted,
            chance=chance.astype(np.float64),
            after=after,
            reward=reward.astype(np.float64),
            ended=ended.astype(np.bool_),
            start=None if start is None else np.asarray(start, np.float64) / np.sum(start),
            limit=limit,
        )

    def explains(self, steps: Transitions) -> bool:
        """Whether steps that were taken are as the table has it: a wrapper, or the environment, may do otherwise."""
        happens = self.chance > 0
        listed = {
            (s, a, t, e): r
            for s, a, t, e, r in zip(
                self.state[happens].tolist(),
                self.action[happens].tolist(),
                self.after[happens].tolist(),
                self.ended[happens].tolist(),
                self.reward[happens].tolist(),
                strict=True,
            )
        }
        columns = (steps.obs, steps.action, steps.next_obs, steps.terminated)
        taken = zip(*(np.asarray(column).reshape(-1).tolist() for column in columns), strict=True)
        rewards = steps.true_reward.tolist()
        return all(step in listed and np.isclose(listed[step], r) for step, r in zip(taken, rewards, strict=True))

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

    def best(self, reward: Floats, *, gamma: float) -> tuple[Floats, Floats]:
        """What is best under a reward, by policy iteration (Sutton & Barto 2018, section 4.3), without the time limit.

        Args:
            reward: of each transition, ``[K]``.
            gamma: discount in [0, 1).

        Returns:
            Values of the states ``[states]``, and of what each action there is worth ``[states, actions]``.

        Raises:
            RunError: the discount is not below 1, or a reward is no finite number.
        """
        if not 0 <= gamma < 1:
            raise RunError("a discount is in [0, 1)", got=gamma, fix="pass gamma=0.99")
        if not np.isfinite(reward).all():
            raise RunError("rewards are finite", got=reward, fix="look at the environment's transition table")
        chosen, goes_on = np.zeros(self.states, np.int64), self.chance * ~self.ended
        while True:
            mine = chosen[self.state] == self.action
            moves = csc_array((goes_on[mine], (self.state[mine], self.after[mine])), shape=(self.states, self.states))
            paid = np.bincount(self.state[mine], (self.chance * reward)[mine], self.states)
            values = np.asarray(spsolve(csc_array(eye_array(self.states) - gamma * moves), paid), np.float64)
            worth = self._by_action(self.chance * (reward + gamma * values[self.after] * ~self.ended))
            better = worth.max(axis=1) > worth[np.arange(self.states), chosen] + TIED * np.abs(worth).max(axis=1)
            if not better.any():
                return worth.max(axis=1), worth
            chosen = np.where(better, worth.argmax(axis=1), chosen)

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
            raise RunError(rule, got=got, fix="play it")
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


def _is_table(table: object, states: int, actions: int) -> bool:
    """Whether something is a table by state and action of chances, next states, rewards and ends."""
    if not isinstance(table, Mapping) or set(table) != set(range(states)):
        return False
    return all(
        isinstance(outs, Mapping)
        and set(outs) == set(range(actions))
        and all(len(entry) == 4 and 0 <= entry[1] < states for entries in outs.values() for entry in entries)
        for outs in table.values()
    )


def tabular_value(
    env: str | EnvSpec,
    env_kwargs: Mapping[str, object] | None = None,
    *,
    gamma: float = 0.99,
) -> Callable[[Array], Floats]:
    """An expert whose judgement a scripted teacher can borrow: optimal state values, see :meth:`TransitionTable.best`.

    Args:
        env: id or spec of an environment with a transition table.
        env_kwargs: arguments of ``gymnasium.make``, for an id.
        gamma: discount in [0, 1).

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
    values, _ = table.best(table.reward, gamma=gamma)
    return lambda obs: values[np.asarray(obs, np.int64)]
