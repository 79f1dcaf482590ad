"""The label database as a file: opening, transactions, and errors in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, NoResultFound
from sqlalchemy.pool import NullPool
from sqlmodel import Session

from rmgym.errors import FeedbackError, RmgymError
from rmgym.feedback.tables import SCHEMA_VERSION, DamagedRowError, Table
from rmgym.storage.atomic import make_folder
from rmgym.storage.foreign import parse_json
from rmgym.storage.sqlite import connect, connect_to_read, use_write_ahead_log

_PATIENCE = 30.0  # seconds
_KEPT = "; what was asked and answered before is intact"
_FIXES = {
    sqlite3.SQLITE_FULL: f"free space on the disk, or label into a file on another one{_KEPT}",
    sqlite3.SQLITE_IOERR: f"free space on the disk, or label into a file on another one{_KEPT}",
    sqlite3.SQLITE_READONLY: f"see who may write there, or label into another file{_KEPT}",
    sqlite3.SQLITE_CANTOPEN: f"see who may write there, or label into another file{_KEPT}",
    sqlite3.SQLITE_BUSY: f"wait until other processes let go of it{_KEPT}",
}
"""What to do, by SQLite's primary result code."""


class Database:
    """A SQLite file in WAL mode; a transaction is on disk when its ``with`` block is left.

    Args:
        path: the file; it is created by :meth:`create`.

    Raises:
        FeedbackError: the file is there and is not a label database, is damaged, or was written by another version of
            rmgym.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._has_tables = path, False
        self._reading, self._writing = _engine(path, write=False), _engine(path, write=True)
        if not path.exists():
            return
        with self.transaction() as session:
            version = _pragma_version(session)
            tables = session.connection().exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        if version not in (0, SCHEMA_VERSION):
            raise FeedbackError(
                f"this rmgym reads label databases of version {SCHEMA_VERSION}",
                got=f"{path} of version {version}",
                fix="upgrade rmgym" if version > SCHEMA_VERSION else "label into another file",
            )
        if version == 0 and tables:
            raise FeedbackError("a label database was made by rmgym", got=str(path), fix="choose another file")
        with self.transaction() as session:
            _check_structure(session)

    @contextmanager
    def transaction(self, *, write: bool = False) -> Generator[Session]:
        """All of the block or nothing of it.

        Raises:
            FeedbackError: the file cannot be read or written (wrong kind, damaged, disk full, no permission).
        """
        engine = self._writing if write else self._reading
        with self.explained(), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def explained(self) -> Generator[None]:
        """Say in words what is wrong with the file.

        Raises:
            FeedbackError: it cannot be read or written, or holds what rmgym did not write.
        """
        try:
            yield
        except RmgymError:
            raise
        except (OSError, ValueError, NoResultFound) as error:
            # Of JSON, of text that is no UTF-8, of a damaged row, of one that is not there.
            raise FeedbackError(
                "a label database is as it was written",
                got=f"{self.path}: {error}",
                fix="put a copy of the file back, or label into another file",
            ) from error
        except DatabaseError as error:
            raise FeedbackError(
                "labels live in a SQLite file that can be read and written",
                got=f"{self.path}: {error.orig}",
                fix=_FIXES.get(
                    getattr(error.orig, "sqlite_errorcode", 0) & 0xFF, "name a file that is a label database"
                ),
            ) from error

    def exists(self) -> bool:
        """Whether the file is there and has its tables."""
        if self.path.exists() and not self._has_tables:  # which nobody takes away again
            with self.transaction() as session:
                self._has_tables = _pragma_version(session) > 0
        return self._has_tables and self.path.exists()

    def create(self) -> None:
        """Make the file and its tables, unless they are there.

        Raises:
            FeedbackError: it cannot be written.
            StorageError: its folder cannot be made.
        """
        make_folder(self.path.parent, what="a label database")
        with self.transaction(write=True) as session:
            if _pragma_version(session) == 0:
                Table.metadata.create_all(session.connection())
                session.connection().exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _pragma_version(session: Session) -> int:
    return int(session.connection().exec_driver_sql("PRAGMA user_version").scalar_one())


def _check_structure(session: Session) -> None:
    """Look for rows that are not where indices and other rows say.

    Raises:
        DamagedRowError: there is one.
    """
    connection = session.connection()
    wrong = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if wrong != "ok":
        raise DamagedRowError(" ".join(str(wrong).split()))
    if (orphan := connection.exec_driver_sql("PRAGMA foreign_key_check").first()) is not None:
        raise DamagedRowError(f"a row of {orphan[0]} belongs to one of {orphan[2]} that is not there")


def _engine(path: Path, *, write: bool) -> Engine:
    """An engine with real transactions; a connection for each of them leaves one tidy file behind."""
    engine = create_engine(
        "sqlite://",
        poolclass=NullPool,
        creator=lambda: (connect if write else connect_to_read)(path, timeout=_PATIENCE),
        json_deserializer=parse_json,
    )

    def on_connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves; the driver would leave schema changes out
        if write and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            use_write_ahead_log(connection)  # another program's file stays as it is
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    def on_begin(connection: Connection) -> None:
        # A reader that turns writer half-way would fail when another process wrote meanwhile.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine
