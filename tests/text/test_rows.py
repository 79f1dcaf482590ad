"""Ragged rows and equal rows, against loops over lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rmgym.text.rows import distinct_rows, interleave, offsets_of, padded, take_rows

RAGGED = st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6)


def flat(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """All values in order, and how many each row has."""
    return np.array([v for row in rows for v in row], np.int32), np.array([len(row) for row in rows], np.int64)


@given(RAGGED, st.data())
def test_rows_are_taken_in_any_order(rows: list[list[int]], data: st.DataObject) -> None:
    values, counts = flat(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    taken = take_rows(values, offsets_of(counts), np.array(chosen, np.int64))
    assert taken.tolist() == [v for i in chosen for v in rows[i]]


@given(RAGGED)
def test_short_rows_are_padded(rows: list[list[int]]) -> None:
    most = max(map(len, rows), default=0)
    assert padded(*flat(rows), -1).tolist() == [row + [-1] * (most - len(row)) for row in rows]


@given(st.lists(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=3, max_size=3), min_size=1, max_size=4))
def test_pieces_are_interleaved_row_by_row(pieces: list[list[list[int]]]) -> None:
    expected = [v for row in zip(*pieces, strict=True) for piece in row for v in piece]
    assert interleave([flat(piece) for piece in pieces]).tolist() == expected


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_distinct_rows_are_the_sorted_ones(counts: list[int], size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.stack([rng.integers(-1, count, size) for count in counts], axis=1).astype(np.int32)
    rows, index = distinct_rows(table)
    assert rows.tolist() == sorted(map(list, {tuple(row) for row in table.tolist()}))
    assert rows[index].tolist() == table.tolist()


def test_more_combinations_than_an_integer_holds_are_still_told_apart() -> None:
    columns = [[0, 999, 0, 999]] * 8 + [[0, 999, 1, 999]]  # of 10^27 combinations
    rows, index = distinct_rows(np.array(columns, np.int32).T)
    assert len(rows) == 3
    assert index[1] == index[3]
    assert len(set(index.tolist())) == 3
