"""Steps that were recorded elsewhere: episodes as Minari has them, checked against the environment's spaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol, TypeAlias, cast

import gymnasium as gym
import numpy as np

from rmgym.cards import find_env_card
from rmgym.environments.build import build_env
from rmgym.environments.collect import origin
from rmgym.environments.introspect import facts_of, spaces_of
from rmgym.environments.minari_datasets import MinariDataset, minari_dataset, refuse_other_dataset
from rmgym.errors import RunError, nearest
from rmgym.specs import EnvSpec
from rmgym.transitions import Transitions
from rmgym.trees import Array, Space, Tree, Value, is_ragged, of_batch, stack, take

_NEEDED = ("observations", "actions", "terminations", "truncations")
_TAKEN = (*_NEEDED, "rewards", "infos", "id")
_RULE = "an episode of T steps has T actions, rewards, terminations and truncations, and T + 1 observations"


class Episode(Protocol):
    """One episode, as :class:`minari.EpisodeData` is."""

    observations: Value
    actions: Value
    rewards: Value
    terminations: Value
    truncations: Value


Trajectories: TypeAlias = "str | MinariDataset | Iterable[Mapping[str, Value] | Episode]"
"""A dataset of Minari or its id, or episodes, each of arrays by name."""


def transitions_of(
    trajectories: Trajectories,
    env: str | EnvSpec,
    *,
    steps: int | None = None,
    env_kwargs: Mapping[str, object] | None = None,
) -> Transitions:
    """Steps that were recorded elsewhere, as :func:`rmgym.collect` would give them.

    Args:
        trajectories: a dataset of Minari or its id; or episodes, each a dictionary with ``observations`` (one more than
            there are steps: the last one is what came of the last step), ``actions``, ``terminations``, ``truncations``
            and, where they are known, ``rewards``. Batches of Dict and Tuple spaces are dictionaries and tuples of
            arrays, or lists of single values.
        env: a registered environment id, or a spec (then ``env_kwargs`` are the spec's): where they were recorded.
        steps: take so many from the beginning; None for all.
        env_kwargs: arguments of the environment.

    Returns:
        The steps, the true reward NaN where it is not known, with the ``metadata`` of :func:`rmgym.collect`. They have
        no seed, so that nothing can be drawn of them.

    Raises:
        RunError: there are no steps, an array is missing or of another length than its episode, an episode ends before
            its last step, a value is not of the environment's space, or a dataset is of another environment.

    Example:
        >>> import numpy as np
        >>> episode = {
        ...     "observations": np.zeros((3, 4), np.float32),
        ...     "actions": np.array([0, 1]),
        ...     "rewards": np.ones(2),
        ...     "terminations": np.array([False, True]),
        ...     "truncations": np.array([False, False]),
        ... }
        >>> len(transitions_of([episode], "CartPole-v1"))
        2
    """
    spec = EnvSpec(id=env, kwargs=env_kwargs or {}) if isinstance(env, str) else env
    if spec.horizon is not None:
        fix = "leave it out, or collect the steps anew"
        raise RunError("recorded episodes are as they were", got=f"a fixed horizon of {spec.horizon}", fix=fix)
    if steps is not None and steps < 1:
        raise RunError("steps is at least 1", got=steps, fix="pass steps=1 or more")
    name = trajectories if isinstance(trajectories, str) else getattr(trajectories, "id", "trajectories")
    given = minari_dataset(trajectories) if isinstance(trajectories, str) else trajectories
    card = find_env_card(spec.id, spec.card)
    with closing(build_env(spec)) as live:
        if isinstance(given, MinariDataset):
            refuse_other_dataset(given, live)
            given = given.iterate_episodes()
        spaces, facts = spaces_of(live), facts_of(live, {} if card is None else card.facts)
    parts, count = list[Transitions](), 0
    for number, episode in enumerate(given):
        parts.append(_steps(episode, spaces, f"episode {number}"))
        count += len(parts[-1])
        if steps is not None and count >= steps:
            break
    if not parts:
        raise RunError("there are steps to take over", got="no episodes", fix="pass at least one")
    metadata = {**origin(spec, card, facts), "seed": None, "reset_every": None, "sources": {str(name): 0}}
    return replace(Transitions.concatenate(parts)[slice(steps)], metadata=metadata)


def _steps(episode: Mapping[str, Value] | Episode, spaces: tuple[Space, Space], name: str) -> Transitions:
    """The steps of one episode.

    Raises:
        RunError: see :func:`transitions_of`.
    """
    arrays = _arrays(episode, name)
    ended, cut = (_flags(arrays[key], f"{name}, {key}") for key in ("terminations", "truncations"))
    length = len(ended)
    if len(cut) != length or not length:
        raise RunError(_RULE, got=f"{name}: {length} terminations, {len(cut)} truncations", fix="pass one per step")
    if (ended | cut)[:-1].any():
        row = int(np.flatnonzero(ended | cut)[0])
        got = f"{name}, which ends at step {row} of {length} (counted from 0)"
        raise RunError("an episode ends at its last step, if it does", got=got, fix="split it there")
    obs = _batch(spaces[0], arrays["observations"], length + 1, f"{name}, observations")
    acted = _batch(spaces[1], arrays["actions"], length, f"{name}, actions")
    rewards = None if arrays.get("rewards") is None else _rewards(arrays["rewards"], length, f"{name}, rewards")
    before, after = take(obs, slice(0, -1)), take(obs, slice(1, None))
    return Transitions.from_arrays(before, acted, after, ended, cut, true_reward=rewards)


def _arrays(episode: Mapping[str, Value] | Episode, name: str) -> Mapping[str, Value]:
    if isinstance(episode, Mapping):
        for key in episode:
            if key not in _TAKEN:
                raise RunError(f"{name} has keys that are read", got=str(key), fix=nearest(str(key), _TAKEN))
        arrays: Mapping[str, Value] = episode
    else:
        arrays = {key: getattr(episode, key) for key in _TAKEN if hasattr(episode, key)}
    missing = [key for key in _NEEDED if arrays.get(key) is None]
    if missing:
        fix = "a step that ends the task is terminated, one that a time limit ends is truncated; neither can be guessed"
        raise RunError(_RULE, got=f"{name} without {', '.join(missing)}", fix=fix)
    return arrays


def _flags(given: Value, name: str) -> Array:
    flags = _array(given, name)
    if flags.ndim != 1 or not (flags.dtype == bool or (flags.dtype.kind in "iuf" and np.isin(flags, (0, 1)).all())):
        raise RunError("whether a step ends the episode is True or False", got=f"{name}: {flags!r:.80}", fix=_RULE)
    return flags.astype(np.bool_)


def _rewards(given: Value, length: int, name: str) -> Array:
    rewards = _array(given, name)
    if rewards.shape != (length,) or rewards.dtype.kind not in "biuf" or not np.isfinite(rewards).all():
        got, fix = f"{name}: {rewards.dtype} {list(rewards.shape)}", "leave them out where they are not known"
        raise RunError(f"there is one finite reward for each of {length} steps", got=got, fix=fix)
    return rewards


def _batch(space: Space, given: Value, count: int, name: str) -> Tree:
    """So many values of a space.

    Raises:
        RunError: there are more or fewer, or they are of another space.
    """
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        if isinstance(given, list):
            given = stack(space, cast("Sequence[Value]", given))
        parts = space.spaces if isinstance(space, gym.spaces.Dict) else dict(enumerate(space.spaces))
        inner: Value = dict(enumerate(given)) if isinstance(given, tuple) else given
        if not isinstance(inner, Mapping) or inner.keys() != parts.keys():
            got = f"{name}: {[*inner] if isinstance(inner, Mapping) else type(given).__name__}"
            raise RunError(f"values of {space} have its parts", got=got, fix=f"pass arrays for {[*parts]}")
        batches = {key: _batch(part, inner[key], count, f"{name}[{key!r}]") for key, part in parts.items()}
        return batches if isinstance(space, gym.spaces.Dict) else tuple(batches.values())
    if is_ragged(space):
        if len(given) != count:
            raise RunError(_RULE, got=f"{name}: {len(given)}, not {count}", fix="pass as many as there are steps")
        return of_batch(space, given)
    return _numbers(space, _array(given, name), count, name)


def _array(given: Value, name: str) -> Array:
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:  # lists of several lengths
        raise RunError(_RULE, got=f"{name}: {error}", fix="pass arrays") from error


def _numbers(space: Space, given: Array, count: int, name: str) -> Array:
    """An array of values of a space, in its dtype."""
    shape, whole = (count, *(space.shape or ())), np.dtype(space.dtype).kind in "biu"
    if given.shape != shape:
        fix = "pass the observation after the last step too" if given.shape == (count - 1, *shape[1:]) else _RULE
        raise RunError(f"values of {space} are of its shape", got=f"{name}: {given.shape}, not {shape}", fix=fix)
    fits = given.dtype.kind in ("biu" if whole else "iuf") and bool(np.isfinite(given).all())
    array = given.astype(space.dtype) if fits else given
    if fits and not isinstance(space, gym.spaces.Box):
        fits = all(space.contains(value) for value in np.unique(array, axis=0))
    if not fits or (whole and not np.array_equal(array, given)):
        span = f" from {given.min()} to {given.max()}" if given.dtype.kind in "biuf" else ""
        got = f"{name}: {given.dtype}{span}"
        raise RunError(f"values are of {space}", got=got, fix="pass what the environment itself shows and takes")
    return array
