"""Experts whose judgement a scripted teacher can borrow."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.errors import HarnessError
from rmgym.feedback.teachers import Value
from rmgym.harness.collect import make_env


def tabular_value(
    env_id: str, env_kwargs: Mapping[str, Any] | None = None, *, gamma: float = 0.99, tolerance: float = 1e-10
) -> Value:
    """Optimal state values by value iteration (Sutton & Barto 2018, section 4.4), without the time limit.

    Args:
        env_id: an environment that tells its transition table ``unwrapped.P`` (FrozenLake, CliffWalking, Taxi).
        env_kwargs: arguments of ``gymnasium.make``.
        gamma: discount in [0, 1).
        tolerance: largest change of the last iteration.

    Returns:
        A function from states ``int [B]`` to values ``float64 [B]``.

    Raises:
        HarnessError: the environment does not tell its transition table.
    """
    with closing(make_env(env_id, env_kwargs)) as env:
        table = getattr(env.unwrapped, "P", None)
    if table is None:
        raise HarnessError(
            "optimal values are computed from a transition table", got=env_id, fix="use target='outcome' or 'reward'"
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
