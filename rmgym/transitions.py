"""A batch of environment steps as arrays: what every other part of rmgym works on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rmgym.errors import RmgymError
from rmgym.storage.atomic import refuse_existing
from rmgym.storage.parquet import foreign_file, read, write
from rmgym.trees import Selection, Tree, as_tree, batch_size, concatenate, take

NOT_ABSORBING, ENTERS_ABSORBING, IN_ABSORBING = 0, 1, 2
"""Values of ``Transitions.absorbing``."""
Metadata: TypeAlias = Mapping[str, Any]
"""JSON-able facts by name, each read by who knows what it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Transitions:
    """``B`` steps ``(s, a, s')``, possibly from several episodes.

    Attributes:
        obs: observations before the step, ``[B, *obs_shape]``, in the environment's own dtype; of Dict and Tuple spaces
            a tree of such arrays (:mod:`rmgym.trees`).
        action: actions as the environment received them, ``[B, *action_shape]``, or a tree.
        next_obs: observations after the step, like ``obs``; at an episode's end the true final
            observation, never the first one of the next episode.
        terminated: the task ended here, ``bool [B]``.
        truncated: a time limit cut the episode here, ``bool [B]``. Never merged with ``terminated``.
        absorbing: ``int8 [B]``: 0, or under :class:`rmgym.FixedHorizonWrapper` 1 for the step that ends the task, and 2
            for those after it, where nothing happens any more.
        true_reward: the environment's own reward, ``float32 [B]``, NaN where unknown. No reward model reads it.
        episode: episode number of each step, ``int64 [B]``; splits and segments respect it.
        step: index of each step within its episode, ``int64 [B]``.
        past: the steps before each where they are not among these (a wrapper hands over single steps): a tuple, the
            latest first, of ``{"there": bool [B], "obs": tree, "action": tree}``; where ``there`` is False, before the
            episode's first step, the rest means nothing. ``()`` where whole episodes are given, or no text asks for it.
        metadata: JSON-able facts about the source (environment id, kwargs, card hash, seed).

    Raises:
        RmgymError: the arrays do not have one entry per step each.
    """

    obs: Tree
    action: Tree
    next_obs: Tree
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    absorbing: npt.NDArray[np.int8]
    true_reward: npt.NDArray[np.float32]
    episode: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    past: Tree = ()
    metadata: Metadata = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        sizes = {name: batch_size(getattr(self, name)) for name in ARRAY_FIELDS if name != "past" or self.past}
        if len(set(sizes.values())) != 1:
            raise RmgymError("every array of transitions has one entry per step", got=sizes, fix="pass equal lengths")

    def __len__(self) -> int:
        return len(self.terminated)

    def __getitem__(self, rows: Selection) -> Transitions:
        """Select rows by slice, indices or boolean mask; the result keeps the metadata."""
        return replace(self, **{name: take(getattr(self, name), rows) for name in ARRAY_FIELDS})

    @classmethod
    def from_arrays(
        cls,
        obs: Tree,
        action: Tree,
        next_obs: Tree,
        terminated: npt.ArrayLike | None = None,
        truncated: npt.ArrayLike | None = None,
        *,
        absorbing: npt.ArrayLike | None = None,
        true_reward: npt.ArrayLike | None = None,
        episode: npt.ArrayLike | None = None,
        step: npt.ArrayLike | None = None,
        past: Tree = (),
        metadata: Metadata | None = None,
    ) -> Transitions:
        """Build a batch from arrays (or trees) of leading length ``B``; what is not given is False, NaN, one episode.

        Raises:
            RmgymError: the arrays differ in length.
        """
        obs = as_tree(obs)
        size = max(batch_size(obs), 0)  # where its leaves disagree, the constructor says so

        def flags(given: npt.ArrayLike | None) -> npt.NDArray[np.bool_]:
            return np.zeros(size, np.bool_) if given is None else np.asarray(given, np.bool_)

        return cls(
            obs=obs,
            action=as_tree(action),
            next_obs=as_tree(next_obs),
            terminated=flags(terminated),
            truncated=flags(truncated),
            absorbing=np.zeros(size, np.int8) if absorbing is None else np.asarray(absorbing, np.int8),
            true_reward=np.asarray(np.full(size, np.nan) if true_reward is None else true_reward, np.float32),
            episode=np.zeros(size, np.int64) if episode is None else np.asarray(episode, np.int64),
            step=np.arange(size) if step is None else np.asarray(step, np.int64),
            past=past,
            metadata=dict(metadata or {}),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Transitions]) -> Transitions:
        """Join batches of one source; episode numbers are shifted so that they stay distinct.

        Raises:
            RmgymError: there is nothing to join.
        """
        if not parts:
            raise RmgymError("joining needs at least one batch of transitions", got=parts, fix="collect steps first")
        shift, episodes = 0, list[npt.NDArray[np.int64]]()
        for part in parts:
            episodes.append(part.episode + shift)
            shift += int(part.episode.max(initial=-1)) + 1
        joined: dict[str, Tree] = {n: concatenate([getattr(p, n) for p in parts]) for n in ARRAY_FIELDS}
        joined["episode"] = np.concatenate(episodes)
        return cls(**joined, metadata=parts[0].metadata)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write one Parquet file, atomically.

        Args:
            path: the file.
            overwrite: let it take the place of one that is there.

        Raises:
            RmgymError: there is such a file, the disk is full or not writable, or a dtype cannot be saved; what was at
                ``path`` is intact.
        """
        if not overwrite:
            refuse_existing(path, what="steps")
        return write(path, {name: getattr(self, name) for name in ARRAY_FIELDS}, self.metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Transitions:
        """Read what :meth:`save` wrote.

        Raises:
            RmgymError: the file is missing, damaged, or was not written by rmgym.
        """
        trees, metadata = read(path)
        if set(trees) != set(ARRAY_FIELDS):
            raise foreign_file(path, f"it holds {sorted(trees)}")
        for name, dtype in _DTYPES.items():
            if not (isinstance(column := trees[name], np.ndarray) and column.dtype == dtype and column.ndim == 1):
                raise foreign_file(path, f"{name!r} is no column of {dtype.__name__}")
        try:
            return cls(**trees, metadata=metadata)
        except RmgymError as error:
            raise foreign_file(path, f"{error.rule}, not {error.got}") from error


_DTYPES = {
    "terminated": np.bool_,
    "truncated": np.bool_,
    "absorbing": np.int8,
    "true_reward": np.float32,
    "episode": np.int64,
    "step": np.int64,
}
ARRAY_FIELDS = tuple(f.name for f in fields(Transitions) if f.name != "metadata")
"""Names of the fields that hold one entry per step."""
