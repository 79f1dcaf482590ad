"""SQLite files that several processes make and open at once; what somebody put in their place is not opened."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from rmgym.storage.foreign import is_there, refuse_irregular

_BESIDE = ("", "-journal", "-wal", "-shm")
"""Ends of the names that SQLite opens: the file's own, and those of what it keeps beside it."""
_NO_ROOM = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}


def use_write_ahead_log(file: sqlite3.Connection, *, patience: float = 60.0) -> None:
    """Let readers and one writer work on a database at once; the file remembers it (https://sqlite.org/wal.html).

    Elsewhere SQLite waits for others as long as a connection's ``timeout`` says. Here it gives up at once where another
    connection is about to write, as where several processes make one file together. So it is asked again.

    Args:
        file: a connection without a transaction.
        patience: seconds after which asking ends.

    Raises:
        sqlite3.Error: the file is no database, or was locked all the time.
    """
    end = time.monotonic() + patience
    while True:
        try:
            file.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def connect(path: str | os.PathLike[str], *, timeout: float) -> sqlite3.Connection:
    """A connection for reading and writing; the first write makes the file.

    Args:
        path: the file.
        timeout: seconds to wait for others.

    Raises:
        sqlite3.Error: it cannot be opened; or a pipe, whose reader would wait for ever, a device or a folder is in its
            place or in that of a file which SQLite keeps beside it.
    """
    _refuse_irregular(path)
    return sqlite3.connect(path, timeout=timeout)


def connect_to_read(path: str | os.PathLike[str], *, timeout: float) -> sqlite3.Connection:
    """A connection for reading, also where a full or read-only disk takes none of the files that processes share.

    There, a file whose log is empty is read as it is: nobody can be writing to it.

    Args:
        path: the file.
        timeout: seconds to wait for others.

    Raises:
        sqlite3.Error: as :func:`connect`, or it is no database.
    """
    file = connect(path, timeout=timeout)
    try:
        file.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        file.close()
        log = Path(f"{os.fspath(path)}-wal")
        if error.sqlite_errorcode & 0xFF not in _NO_ROOM or (log.exists() and log.stat().st_size):
            raise
        return sqlite3.connect(f"{Path(path).absolute().as_uri()}?immutable=1", uri=True, timeout=timeout)
    except sqlite3.Error:
        file.close()
        raise
    return file


def _refuse_irregular(path: str | os.PathLike[str]) -> None:
    for end in _BESIDE:
        file = Path(os.fspath(path) + end)
        try:
            if is_there(file):
                refuse_irregular(file)
        except OSError as error:
            raise sqlite3.DatabaseError(f"{file.name}: {error}") from error
