"""Work in another process: what it gives arrives, and however it ends, that is said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from rmgym.errors import RunError
from rmgym.ui.aside import aside
from rmgym.ui.pictures import Pictures


def sheets(count: int, end: str) -> Iterator[tuple[str, bytes]]:
    for i in range(count):
        yield f"{os.getpid()}", bytes([i])
    if end == "fails":
        raise ValueError("no screen")
    if end == "dies":
        os._exit(3)


def test_what_it_gives_arrives_in_order_from_another_process() -> None:
    taken = [*aside(partial(sheets, 5, "well"))]
    assert [content for _, content in taken] == [bytes([i]) for i in range(5)]
    (process,) = {name for name, _ in taken}
    assert process != str(os.getpid())


@pytest.mark.parametrize(("end", "why"), [("fails", "ValueError: no screen"), ("dies", "ended with 3")])
def test_however_it_ends_what_came_before_is_there(end: str, why: str) -> None:
    pictures = Pictures()
    pictures.take(aside(partial(sheets, 2, end)))
    assert why in pictures.trouble
    assert not pictures.are_coming
    assert len(pictures._sheets) == 1


def test_it_is_refused_where_it_is_asked() -> None:
    with pytest.raises(RunError, match="drawn to the last one"):
        next(aside(partial(sheets, 0, "fails")))
