"""What was asked of language models, and measured of them, in one SQLite file: nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from rmgym.errors import JudgeError
from rmgym.jobs.settings import Json
from rmgym.storage.atomic import make_folder
from rmgym.storage.sqlite import connect, use_write_ahead_log

_TABLE = "CREATE TABLE judge_answers (key BLOB PRIMARY KEY, content TEXT, checksum INTEGER) WITHOUT ROWID"
_AT_ONCE = 500  # keys in one SQL statement
_PATIENCE = 60.0  # seconds
Kept = TypeVar("Kept")


class AnswerFile:
    """The file; what is kept outlives the process at once, and several processes may share it.

    Args:
        path: the file, made if missing.

    Raises:
        JudgeError: the file is something else, or cannot be written.
        StorageError: its folder cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_folder(path.parent, what="a judge's answers")
        with self._open() as file:
            content = dict(file.execute("SELECT name, sql FROM sqlite_master WHERE type != 'index'"))
            if content not in ({}, {"judge_answers": _TABLE}):
                raise self._refusal(f"{path}: a database that holds {', '.join(content)} of another program")
            if not content:
                use_write_ahead_log(file)
                with file:
                    file.execute(_TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))

    def get(self, keys: Sequence[bytes], kind: type[Kept]) -> dict[bytes, Kept]:
        """What is there of a kind, by key; what is not as it was written, or of another kind, is not there."""
        reader, kept = TypeAdapter(kind), dict[bytes, Kept]()
        with self._open() as file:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                for key, content, total in file.execute(f"SELECT * FROM judge_answers WHERE key IN ({marks})", some):
                    if isinstance(content, str) and _checksum(key, content) == total:
                        with suppress(ValidationError):
                            kept[key] = reader.validate_json(content)
        return kept

    @contextmanager
    def writing(self) -> Generator[Callable[[bytes, object], None]]:
        """What keeps dataclasses by their keys; closing the file is what takes long, and happens once."""
        with self._open() as file:

            def put(key: bytes, value: object) -> None:
                content = TypeAdapter(type(value)).dump_json(value).decode()
                row = (key, content, _checksum(key, content))
                with file:
                    file.execute("INSERT OR REPLACE INTO judge_answers VALUES (?, ?, ?)", row)

            yield put

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """A connection of its own: none is shared with forked workers or other threads."""
        try:
            with closing(connect(self.path, timeout=_PATIENCE)) as file:
                # What is written survives the process; of a power failure, the last answers may not.
                file.execute("PRAGMA synchronous = NORMAL")
                yield file
        except sqlite3.Error as error:
            raise self._refusal(f"{self.path}: {error}") from error

    @staticmethod
    def _refusal(got: str) -> JudgeError:
        fix = "name another file (answers=FILE), or free space"
        return JudgeError("answers of language models are kept in a SQLite file of their own", got=got, fix=fix)


def key_of(*parts: Json) -> bytes:
    """The key of what some values say."""
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def _checksum(key: bytes, text: str) -> int:
    return zlib.crc32(key + text.encode())
