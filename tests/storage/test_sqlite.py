"""Several processes may make one SQLite file at once."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rmgym.feedback.database import Database
from rmgym.scoring.cache import ScoreCache
from rmgym.storage.sqlite import connect, connect_to_read, use_write_ahead_log
from tests.disks import small_disk
from tests.hostile import IN_THE_WAY, put_in_the_way


def about_to_write(file: Path, *, empty: bool = False) -> sqlite3.Connection:
    """A connection that holds what SQLite calls the reserved lock."""
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    if not empty:
        other.execute("CREATE TABLE something (a)")
    other.execute("BEGIN IMMEDIATE")
    return other


def test_who_is_about_to_write_is_waited_for(tmp_path: Path) -> None:
    other = about_to_write(tmp_path / "scores.sqlite", empty=True)
    commit = threading.Timer(0.1, lambda: other.execute("COMMIT"))
    commit.start()
    ScoreCache(tmp_path / "scores.sqlite")
    commit.join()
    other.close()
    mine = sqlite3.connect(tmp_path / "scores.sqlite")
    assert mine.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    mine.close()


def test_waiting_has_an_end_and_what_is_no_database_is_said_at_once(tmp_path: Path) -> None:
    other = about_to_write(tmp_path / "some.sqlite")
    mine = sqlite3.connect(tmp_path / "some.sqlite")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_write_ahead_log(mine, patience=0.05)
    for file in (mine, other):
        file.close()
    (tmp_path / "text").write_text("no database, but long enough to be taken for one" * 9)
    mine = sqlite3.connect(tmp_path / "text")
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        use_write_ahead_log(mine)
    mine.close()


def make_files(folder: Path, together: Any, came: Any) -> None:
    """Make each file at the instant at which the other processes do."""
    failures = []
    for i in range(30):
        together.wait()
        for make in (ScoreCache, lambda file: Database(file).create()):
            try:
                make(folder / f"{i}-{make.__name__}.sqlite")
            except Exception as error:
                failures.append(str(error))
    came.put(failures)


def test_four_processes_make_the_same_files_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    together, came = context.Barrier(4), context.Queue()
    makers = [context.Process(target=make_files, args=(tmp_path, together, came)) for _ in range(4)]
    for maker in makers:
        maker.start()
    assert [came.get(timeout=60) for _ in makers] == [[], [], [], []]
    for maker in makers:
        maker.join()


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_file_is_read_where_nothing_can_be_written(tmp_path: Path, how: str) -> None:
    with small_disk(tmp_path / "disk", 200) as disk:
        path = disk.folder / "a b?.sqlite"
        with closing(sqlite3.connect(path)) as file, file:
            use_write_ahead_log(file)
            file.execute("CREATE TABLE numbers (x)")
            file.execute("INSERT INTO numbers VALUES (7)")
        before = disk.content()
        disk.spoil(how)
        with closing(sqlite3.connect(path)) as file, pytest.raises(sqlite3.OperationalError):
            file.execute("SELECT x FROM numbers")
        with closing(connect_to_read(path, timeout=1)) as file:
            assert file.execute("SELECT x FROM numbers").fetchone() == (7,)
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                file.execute("INSERT INTO numbers VALUES (8)")
        assert disk.content() == before


def test_what_only_the_log_holds_is_never_left_out(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    with small_disk(tmp_path / "disk", 200) as disk:
        with closing(sqlite3.connect(path)) as writer:
            use_write_ahead_log(writer)
            with writer:
                writer.execute("CREATE TABLE numbers (x)")
            for file in tmp_path.glob("some.sqlite*"):  # as after a kill, without what dies with the processes
                if not file.name.endswith("-shm"):
                    shutil.copy(file, disk.folder)
        disk.read_only()
        with pytest.raises(sqlite3.OperationalError):
            connect_to_read(disk.folder / "some.sqlite", timeout=1)


@pytest.mark.parametrize("kind", [kind for kind in IN_THE_WAY if kind != "loop"])
@pytest.mark.parametrize("end", ["", "-journal", "-wal", "-shm"])
def test_what_is_no_regular_file_is_not_opened_nor_beside_one(tmp_path: Path, kind: str, end: str) -> None:
    file = tmp_path / "a.sqlite"
    with closing(connect(file, timeout=1)) as mine, mine:
        mine.execute("CREATE TABLE something (a)")
    put_in_the_way(Path(f"{file}{end}"), kind)
    for way in (connect, connect_to_read):
        with pytest.raises(sqlite3.DatabaseError, match=rf"a\.sqlite{end}: it is no regular file"):
            way(file, timeout=1)


def test_a_link_is_the_database_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link.sqlite").symlink_to("a.sqlite")
    for name in ("link.sqlite", "a.sqlite"):
        with closing(connect(tmp_path / name, timeout=1)) as mine, mine:
            mine.execute("CREATE TABLE IF NOT EXISTS something (a)")
    assert (tmp_path / "a.sqlite").is_file()
    assert (tmp_path / "link.sqlite").is_symlink()
