"""Ragged rows and equal rows: the arithmetic below batches of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Value = TypeVar("Value", np.float64, np.int32)


def offsets_of(counts: Counts) -> npt.NDArray[np.int64]:
    """Where each row begins and the last one ends, ``int64 [B + 1]``, of rows of so many values."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def take_rows(
    values: npt.NDArray[Value], offsets: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[Value]:
    """The values of some rows, one after the other."""
    counts = np.diff(offsets)[rows]
    begin = offsets_of(counts)
    taken: npt.NDArray[Value] = values[np.repeat(offsets[rows] - begin[:-1], counts) + np.arange(begin[-1])]
    return taken


def padded(values: npt.NDArray[Value], counts: Counts, missing: int = 0) -> npt.NDArray[Value]:
    """Ragged rows as a table ``[B, most]``, with ``missing`` where a row has ended."""
    most = int(counts.max(initial=0))
    if len(values) == len(counts) * most:
        return values.reshape(len(counts), most)
    table = np.full((len(counts), most), missing, values.dtype)
    table[np.arange(most) < counts[:, None]] = values
    return table


def interleave(pieces: Sequence[tuple[npt.NDArray[Value], Counts]]) -> npt.NDArray[Value]:
    """All values of each row in the order of its pieces, one row after the other.

    Args:
        pieces: for each piece the values of all rows one after the other, and how many each row has, ``int64 [B]``; at
            least one.
    """
    counts = np.stack([count for _, count in pieces])
    offsets = offsets_of(counts.sum(axis=0))
    starts = offsets[:-1] + np.cumsum(counts, axis=0) - counts
    joined = np.empty(offsets[-1], pieces[0][0].dtype)
    for (values, count), start in zip(pieces, starts, strict=True):
        within = np.arange(len(values)) - np.repeat(np.cumsum(count) - count, count)
        joined[np.repeat(start, count) + within] = values
    return joined


def distinct_rows(table: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Distinct rows of a table ``[B, C]`` in sorted order, and which of them each row is, ``int32 [B]``.

    Each row becomes one integer (mixed radix): sorting those is much faster than sorting rows.
    """
    code, span = np.zeros(len(table), np.int64), 1
    for column in table.T:
        low, high = int(column.min(initial=0)), int(column.max(initial=0))
        if low == high:
            continue
        if span * (high - low + 1) > 2**62:
            code = np.unique(code, return_inverse=True)[1].reshape(-1)
            span = len(code)
        code, span = code * (high - low + 1) + (column - low), span * (high - low + 1)
    if span == 1:
        return table[:1], np.zeros(len(table), np.int32)
    _, first, index = np.unique(code, return_index=True, return_inverse=True)
    return table[first], index.reshape(-1).astype(np.int32)
