"""Which texts are equal, and whether they tell the steps apart that they are about."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.text.batch import TextBatch
from rmgym.text.rows import padded
from rmgym.transitions import Transitions
from rmgym.trees import Array, leaves


def distinct(texts: TextBatch) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find equal texts.

    Two texts are equal if they have the same template and phrases and bit for bit the same numbers; no string is
    rendered.

    Returns:
        ``first``, the rows of the distinct texts in order of appearance, ``int64 [D]``, and ``where``, for each text
        its position among them, ``int64 [B]``: ``texts[first][where]`` are the texts.
    """
    size = len(texts)
    if size < 2:
        return np.arange(size), np.arange(size)
    counts = np.diff(texts.offsets)
    # One row of bytes per text: its words, then the numbers' bits. A template fixes how many, so padding is safe.
    _, combination = texts.combinations()
    width = int(counts.max(initial=0))
    rows = np.zeros((size, 1 + width), np.int64)
    rows[:, 0] = combination
    rows[:, 1:] = padded(np.ascontiguousarray(texts.numbers), counts).view(np.int64)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * (1 + width)))).reshape(size)
    _, first, where = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[where.reshape(size)]


@dataclass(frozen=True, kw_only=True)
class ToldApart:
    """How many different steps there are, and how many of them a text cannot tell from another one.

    Attributes:
        steps: steps that differ in observation, action, next observation or how they end.
        collisions: how many of them have a text that was another one's already: no reward model can tell these apart.
    """

    steps: int
    collisions: int

    def __str__(self) -> str:
        return f"{self.collisions} of {self.steps} different steps have the text of another one"


def told_apart(steps: Transitions, texts: TextBatch) -> ToldApart:
    """Count the steps that their texts do not tell apart.

    Args:
        steps: ``B`` raw steps.
        texts: their texts.
    """
    _, which = distinct(texts)
    columns = [_keys(leaf) for part in (steps.obs, steps.action, steps.next_obs) for leaf in leaves(part).values()]
    columns += [_keys(np.asarray(flags)) for flags in (steps.terminated, steps.truncated, steps.absorbing)]
    values = list(zip(*columns, strict=True))
    seen = set(zip(which.tolist(), values, strict=True))
    return ToldApart(steps=len(set(values)), collisions=len(seen) - len(set(which.tolist())))


def _keys(leaf: Array) -> list[object]:
    """Each row of a leaf as something to compare."""
    if leaf.dtype == object:
        with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
            return [repr(value) for value in leaf]
    rows = leaf.reshape(len(leaf), math.prod(leaf.shape[1:]))
    return [row.tobytes() for row in (rows + 0 if rows.dtype.kind == "f" else rows)]  # zero has no sign
