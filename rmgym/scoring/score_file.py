"""Scores by key in one SQLite file that several processes share and that survives them."""

from __future__ import annotations

import errno
import logging
import sqlite3
import struct
import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from rmgym.errors import ModelError, StorageError
from rmgym.storage.atomic import make_folder
from rmgym.storage.sqlite import connect, connect_to_read, use_write_ahead_log

Scores = tuple[float, float]
"""Mean and std."""
_TABLE = "CREATE TABLE scores (key BLOB PRIMARY KEY, mean REAL, std REAL, checksum INTEGER) WITHOUT ROWID"
_AT_ONCE = 500  # keys in one SQL statement
_PATIENCE = 60.0  # seconds
_DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
}
_DISK_NUMBERS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
_LOG = logging.getLogger(__name__)


class ScoreFile:
    """The file. It saves time and nothing else: where the disk is full or read-only, it is left alone after a warning.

    Args:
        path: the file, made if missing.

    Raises:
        ModelError: the file is something else; it is left as it was.
        StorageError: something that is no folder is in the place of its folder.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._works = path, True
        try:
            make_folder(path.parent, what="a cache of scores")
        except StorageError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in _DISK_NUMBERS:
                raise
            self._leave(str(error.__cause__))
            return
        self._write(lambda _: None)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Scores]:
        """The scores of those keys that are there; one that is not as it was written is not."""
        scores = dict[bytes, Scores]()
        if not self._path.exists():
            return scores
        with self._explained(), closing(connect_to_read(self._path, timeout=_PATIENCE)) as file:
            if not self._is_ours(file):
                return scores
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                for key, *values, total in file.execute(f"SELECT * FROM scores WHERE key IN ({marks})", some):
                    if _checksum(key, *values) == total:
                        scores[key] = (values[0], values[1])
        return scores

    def put(self, scores: Mapping[bytes, Scores]) -> None:
        """Keep scores."""
        if self._works:
            rows = [(key, mean, std, _checksum(key, mean, std)) for key, (mean, std) in scores.items()]
            self._write(lambda file: file.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", rows))

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Work on the file, in one transaction; none is shared with forked workers or other threads."""
        with self._explained(), closing(connect(self._path, timeout=_PATIENCE)) as file:
            if not self._is_ours(file):
                use_write_ahead_log(file)
            file.execute("PRAGMA synchronous = NORMAL")
            with file:
                file.execute(_TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))
                work(file)

    def _is_ours(self, file: sqlite3.Connection) -> bool:
        """Whether the table is there; False in an empty file.

        Raises:
            ModelError: there is anything else.
        """
        content = dict(file.execute("SELECT name, sql FROM sqlite_master WHERE type != 'index'"))
        if content not in ({}, {"scores": _TABLE}):
            raise self._refusal(f"{self._path}: a database that holds {', '.join(content)} of another program")
        return bool(content)

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DISK:
                raise self._refusal(f"{self._path}: {error}") from error
            self._leave(str(error))

    def _leave(self, reason: str) -> None:
        self._works = False
        _warn(self._path, reason)

    @staticmethod
    def _refusal(got: str) -> ModelError:
        return ModelError(
            "scores are kept in a SQLite file of their own",
            got=got,
            fix="name another file, or delete it if it is an old cache, whose scores can all be computed again",
        )


def _checksum(key: bytes, *values: object) -> int:
    """Of a row as SQLite gives it back; -1 where a value is no number."""
    if not all(isinstance(value, int | float) for value in values):
        return -1
    return zlib.crc32(key + struct.pack(f"{len(values)}d", *values))


@cache  # once per process, however many agents and environments have the file
def _warn(path: Path, reason: str) -> None:
    _LOG.warning("new scores are not kept in %s: %s", path, reason)
