"""Raw steps kept beside a replay buffer's rows, so that their rewards can be computed again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.transitions import ARRAY_FIELDS, Transitions
from rmgym.trees import Array, Tree, concatenate, mapped, take

_BACKLOG = 32  # blocks of new steps that are written at once


class RecordedSteps:
    """Raw steps by place. What a replay buffer holds would not do: actions are scaled there, raw observations hidden.

    Args:
        size: how many places there are. Only what is written takes memory, where the system gives it by the page.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: dict[str, Tree] | None = None
        self._metadata: dict[str, Any] = {}
        self._backlog = list[tuple[npt.NDArray[np.int64], Transitions]]()

    def put(self, places: npt.NDArray[np.int64], steps: Transitions) -> None:
        """Keep steps ``[B]`` at places ``int64 [B]``, over what was there."""
        self._backlog.append((places, steps))  # a few steps at a time would cost as many writes as many do
        if len(self._backlog) >= _BACKLOG:
            self._write()

    def _write(self) -> None:
        """Put away what has come since the last time, the latest last."""
        if not self._backlog:
            return
        places = np.concatenate([where for where, _ in self._backlog])
        steps = [block for _, block in self._backlog]
        self._backlog = []
        given = {name: concatenate([getattr(block, name) for block in steps]) for name in ARRAY_FIELDS}
        if self._kept is None:
            self._metadata = dict(steps[0].metadata)
            self._kept = mapped(lambda leaf: np.empty((self._size, *leaf.shape[1:]), leaf.dtype), given)

        def write(into: Array, leaf: Array) -> Array:
            into[places] = leaf
            return into

        mapped(write, self._kept, given)

    def take(self, places: npt.NDArray[np.int64]) -> Transitions:
        """The steps at some places."""
        self._write()
        assert self._kept is not None  # what was never put cannot be asked for
        return Transitions(**take(self._kept, places), metadata=self._metadata)
