"""A batch of environment steps as arrays: what every other part of rmgym works on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.errors import RmgymError

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Transitions:
    """``B`` steps ``(s, a, s')``, possibly from several episodes.

    Attributes:
        obs: observations before the step, ``[B, *obs_shape]``, in the environment's own dtype.
        action: actions as the environment received them, ``[B, *action_shape]``.
        next_obs: observations after the step, ``[B, *obs_shape]``; at an episode's end the true final
            observation, never the first one of the next episode.
        terminated: the task ended here, ``bool [B]``.
        truncated: a time limit cut the episode here, ``bool [B]``. Never merged with ``terminated``.
        true_reward: the environment's own reward, ``float32 [B]``, NaN where unknown. No reward model reads it.
        episode: episode number of each step, ``int64 [B]``; splits and segments respect it.
        step: index of each step within its episode, ``int64 [B]``.
        metadata: JSON-able facts about the source (environment id, kwargs, card hash, seed).

    Raises:
        RmgymError: the arrays do not have one entry per step each.
    """

    obs: Array
    action: Array
    next_obs: Array
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    true_reward: npt.NDArray[np.float32]
    episode: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        sizes = {name: len(getattr(self, name)) for name in ARRAY_FIELDS}
        if len(set(sizes.values())) != 1:
            raise RmgymError("every array of transitions has one entry per step", got=sizes, fix="pass equal lengths")

    def __len__(self) -> int:
        return len(self.terminated)

    def __getitem__(self, rows: slice | Sequence[int] | npt.NDArray[Any]) -> Transitions:
        """Select rows by slice, indices or boolean mask; the result keeps the metadata."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ARRAY_FIELDS})

    @classmethod
    def from_arrays(
        cls,
        obs: npt.ArrayLike,
        action: npt.ArrayLike,
        next_obs: npt.ArrayLike,
        terminated: npt.ArrayLike | None = None,
        truncated: npt.ArrayLike | None = None,
        *,
        true_reward: npt.ArrayLike | None = None,
        episode: npt.ArrayLike | None = None,
        step: npt.ArrayLike | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Transitions:
        """Build a batch from arrays of leading length ``B``; what is not given is False, NaN, one episode or empty.

        Raises:
            RmgymError: the arrays differ in length.
        """
        obs = np.asarray(obs)
        size = len(obs)

        def flags(given: npt.ArrayLike | None) -> npt.NDArray[np.bool_]:
            return np.zeros(size, np.bool_) if given is None else np.asarray(given, np.bool_)

        return cls(
            obs=obs,
            action=np.asarray(action),
            next_obs=np.asarray(next_obs),
            terminated=flags(terminated),
            truncated=flags(truncated),
            true_reward=np.asarray(np.full(size, np.nan) if true_reward is None else true_reward, np.float32),
            episode=np.zeros(size, np.int64) if episode is None else np.asarray(episode, np.int64),
            step=np.arange(size) if step is None else np.asarray(step, np.int64),
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
        joined: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ARRAY_FIELDS}
        joined["episode"] = np.concatenate(episodes)
        return cls(**joined, metadata=parts[0].metadata)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one Parquet file (atomically: a temporary file, then a rename).

        Raises:
            RmgymError: the disk is full or not writable, or a dtype cannot be saved; what was at ``path`` is intact.
        """
        import pyarrow.parquet as pq

        table, target = self._table(), Path(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                pq.write_table(table, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            raise RmgymError(
                "transitions are saved to a writable folder with enough space",
                got=f"{target}: {error}",
                fix="free space or save elsewhere; what was there before is intact",
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return target

    def _table(self) -> Any:
        """A ``pyarrow.Table`` with one column per array; shapes and metadata are in its schema's metadata."""
        import pyarrow as pa

        columns: dict[str, Any] = {}
        shapes: dict[str, list[int]] = {}
        for name in ARRAY_FIELDS:
            array: Array = getattr(self, name)
            if array.dtype.kind not in "biuf" or not array.dtype.isnative or 0 in array.shape[1:]:
                raise RmgymError(
                    "saved transitions hold booleans, integers and floats in native byte order",
                    got=f"{name}: {array.dtype} {list(array.shape)}",
                    fix="wrap the environment so that it returns such arrays",
                )
            shapes[name] = list(array.shape[1:])
            flat = pa.array(np.ascontiguousarray(array).reshape(-1))
            width = int(np.prod(array.shape[1:], dtype=int))
            columns[name] = flat if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
        about = json.dumps({"shapes": shapes, "metadata": dict(self.metadata)})
        return pa.table(columns).replace_schema_metadata({"rmgym": about})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Transitions:
        """Read what :meth:`save` wrote.

        Raises:
            RmgymError: the file is missing, damaged, or was not written by rmgym.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path) as file:  # read_table would take key=value folders of the path for columns
                table = file.read()
            about = json.loads((table.schema.metadata or {})[b"rmgym"])
            arrays: dict[str, Array] = {}
            for name in ARRAY_FIELDS:
                column = table[name].combine_chunks()
                shape = about["shapes"][name]
                values = column.flatten() if shape else column
                arrays[name] = values.to_numpy(zero_copy_only=False, writable=True).reshape(len(table), *shape)
            return cls(**arrays, metadata=about["metadata"])
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise RmgymError(
                "transitions are read from a Parquet file written by rmgym",
                got=f"{path}: {error}",
                fix="write one with 'rmgym collect ENV --out FILE'",
            ) from error


ARRAY_FIELDS = tuple(f.name for f in fields(Transitions) if f.name != "metadata")
"""Names of the fields that hold one entry per step."""
