"""Collected steps taken again: the same seed and the same actions, and a look at each step whether it is the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rmgym.environments.collect import seeds_of
from rmgym.environments.introspect import spaces_of
from rmgym.environments.kinds import Env
from rmgym.environments.raw_observation import Raw
from rmgym.errors import RunError
from rmgym.transitions import Transitions
from rmgym.trees import Array, Space, Tree, Value, leaves, stack, take


def can_replay(env: Env, steps: Transitions) -> bool:
    """Whether steps say what they began with, and what they hold are the actions that this environment takes."""
    return bool(seeds_of(steps)) and not Raw(env).handed_on


def replay(env: Env, steps: Transitions) -> Iterator[tuple[int, bool]]:
    """Take steps again.

    Args:
        env: made as the one that they were collected in.
        steps: all of one call of :func:`rmgym.collect`, in order.

    Yields:
        The row of each step twice, while the environment is in the state before it (with False), and then in the one
        after it (with True).

    Raises:
        RunError: the environment does otherwise than it did.
    """
    (space, _), seeds, episodes = spaces_of(env), seeds_of(steps), steps.episode.tolist()
    for row, episode in enumerate(episodes):
        if row == 0 or episode != episodes[row - 1]:
            obs, _ = env.reset(seed=seeds.get(episode))
            _check(space, obs, steps.obs, row)
        yield row, False
        obs, *_ = env.step(_value(steps.action, row))
        _check(space, obs, steps.next_obs, row)
        yield row, True


def _value(tree: Tree, row: int) -> Value:
    """A single value of a batch."""
    if isinstance(tree, dict):
        return {key: _value(part, row) for key, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_value(part, row) for part in tree)
    return tree[row]


def _check(space: Space, obs: Value, recorded: Tree, row: int) -> None:
    now, then = leaves(stack(space, [obs])), leaves(take(recorded, slice(row, row + 1)))
    if now.keys() != then.keys() or not all(_same(now[path], then[path]) for path in now):
        fix = "collect them anew with this version of the environment, if its pictures are wanted"
        raise RunError("steps taken again are the same", got=f"another observation at row {row}", fix=fix)


def _same(first: Array, second: Array) -> bool:
    if object in (first.dtype, second.dtype):
        return repr(first.tolist()) == repr(second.tolist())
    return np.array_equal(first, second)
