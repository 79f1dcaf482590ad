"""Experts whose judgement a scripted teacher can borrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing

import numpy as np
import numpy.typing as npt

from rmgym.environments.build import build_env
from rmgym.errors import RunError
from rmgym.specs import EnvSpec
from rmgym.trees import Array


def tabular_value(
    env: str | EnvSpec,
    env_kwargs: Mapping[str, object] | None = None,
    *,
    gamma: float = 0.99,
    tolerance: float = 1e-10,
) -> Callable[[Array], npt.NDArray[np.float64]]:
    """Optimal state values by value iteration (Sutton & Barto 2018, section 4.4), without the time limit.

    Args:
        env: id or spec of an environment with a transition table ``unwrapped.P`` (FrozenLake, CliffWalking, Taxi).
        env_kwargs: arguments of ``gymnasium.make``, for an id.
        gamma: discount in [0, 1).
        tolerance: largest change of the last iteration.

    Returns:
        A function from states ``int [B]`` to values ``float64 [B]``.

    Raises:
        RunError: the environment does not tell its transition table.
    """
    spec = EnvSpec(id=env, kwargs=env_kwargs or {}) if isinstance(env, str) else env.evaluated
    with closing(build_env(spec)) as live:
        table = getattr(live.unwrapped, "P", None)
    if table is None:
        raise RunError(
            "optimal values are computed from a transition table", got=spec.id, fix="use target='outcome' or 'reward'"
        )
    rows = [
        (state, action, *entry)
        for state, actions in table.items()
        for action, outs in actions.items()
        for entry in outs
    ]
    state, action, chance, after, reward, ended = (np.array(column) for column in zip(*rows, strict=True))
    values: npt.NDArray[np.float64] = np.zeros(len(table))
    actions = int(action.max()) + 1
    while True:
        worth = chance * (reward + gamma * values[after] * ~ended)
        best = np.bincount(state * actions + action, worth, len(table) * actions).reshape(-1, actions).max(axis=1)
        if np.abs(best - values).max() <= tolerance:
            break
        values = best
    return lambda obs: best[np.asarray(obs, np.int64)]
