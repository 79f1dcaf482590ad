"""Several processes may make one SQLite file at once."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from rmgym.feedback.database import Database
from rmgym.scoring.cache import ScoreCache
from rmgym.storage.sqlite import use_write_ahead_log


def about_to_write(file: Path) -> sqlite3.Connection:
    """A connection that holds what SQLite calls the reserved lock."""
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE IF NOT EXISTS something (a)")
    other.execute("BEGIN IMMEDIATE")
    return other


def test_who_is_about_to_write_is_waited_for(tmp_path: Path) -> None:
    other = about_to_write(tmp_path / "scores.sqlite")
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
