"""A session is a browser's, ends after a day, and is still there when the page was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmgym.ui.sessions import SECONDS, Sessions


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.sqlite.sessions"


def test_each_login_is_a_session_of_its_own_that_outlives_the_page(file: Path) -> None:
    sessions = Sessions(file)
    first, second, other = (sessions.begin(name) for name in ("ann", "ann", "bob"))
    assert len({first, second, other}) == 3
    for again in (sessions, Sessions(file)):
        assert [again.owner(token) for token in (first, second, other)] == ["ann", "ann", "bob"]
        for wrong in (None, "", "ann", first[:-1], "ä\ud800"):
            assert again.owner(wrong) is None
    assert first not in file.read_text()


def test_it_ends_after_a_day(file: Path) -> None:
    clock = Clock()
    sessions = Sessions(file, clock=clock)
    token = sessions.begin("ann")
    clock.now += SECONDS - 1
    assert sessions.owner(token) == "ann"
    clock.now += 1
    assert sessions.owner(token) is None
    sessions.begin("bob")
    assert file.read_text().count("ann") == 0  # and is forgotten


def test_who_logs_out_stays_out(file: Path) -> None:
    sessions = Sessions(file)
    first, second = sessions.begin("ann"), sessions.begin("ann")
    sessions.end(first)
    sessions.end(first)
    sessions.end(None)
    for again in (sessions, Sessions(file)):
        assert [again.owner(token) for token in (first, second)] == [None, "ann"]


def test_of_very_many_the_oldest_end(file: Path) -> None:
    sessions = Sessions(file)
    sessions._open = {f"{i}": ("ann", 1e12) for i in range(1000)}
    token = sessions.begin("ann")
    assert len(sessions._open) == 1000
    assert "0" not in sessions._open
    assert sessions.owner(token) == "ann"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"sessions": [["a", "ann", 9e99]]}', "\x00"])
def test_a_file_that_is_not_ours_lets_nobody_in(file: Path, content: str) -> None:
    file.write_text(content)
    sessions = Sessions(file)
    assert sessions._open == {}
    assert Sessions(file).owner(sessions.begin("ann")) is None  # read before it was written
    assert len(Sessions(file)._open) == 1
