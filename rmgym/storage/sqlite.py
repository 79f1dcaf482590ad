"""SQLite files that several processes make and open at once."""

from __future__ import annotations

import sqlite3
import time


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
