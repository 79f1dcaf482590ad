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
from rmgym.feedback.tables import SCHEMA_VERSION, Table
from rmgym.storage.atomic import make_folder
from rmgym.storage.foreign import parse_json, refuse_irregular
from rmgym.storage.sqlite import use_write_ahead_log


class Database:
    """A SQLite file in WAL mode; a transaction is on disk when its ``with`` block is left.

    Args:
        path: the file; it is created by :meth:`create`.

    Raises:
        FeedbackError: the file is there and is not a label database, or was written by another version of rmgym.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = _engine(path)
        if not path.exists():
            return
        with self.explained():
            refuse_irregular(path)
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

    @contextmanager
    def transaction(self, *, write: bool = False) -> Generator[Session]:
        """All of the block or nothing of it.

        Raises:
            FeedbackError: the file cannot be read or written (wrong kind, damaged, disk full, no permission).
        """
        engine = self._engine.execution_options(write=write)
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
        except (OSError, ValueError, NoResultFound) as error:  # of JSON, of a damaged row, of one that is not there
            raise FeedbackError(
                "a label database holds what rmgym wrote",
                got=f"{self.path}: {error}",
                fix="put a copy of the file back, or label into another file",
            ) from error
        except DatabaseError as error:
            raise FeedbackError(
                "labels live in a SQLite file that can be read and written",
                got=f"{self.path}: {error.orig}",
                fix="check that the file is a label database, that the disk has space, and who may write there",
            ) from error

    def exists(self) -> bool:
        """Whether the file is there and has its tables."""
        if not self.path.exists():
            return False
        with self.transaction() as session:
            return _pragma_version(session) > 0

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


def _engine(path: Path) -> Engine:
    """An engine with real transactions; a connection for each of them leaves one tidy file behind."""
    engine = create_engine(
        f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": 30}, json_deserializer=parse_json
    )

    def on_connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves; the driver would leave schema changes out
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            use_write_ahead_log(connection)  # another program's file stays as it is
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    def on_begin(connection: Connection) -> None:
        # A reader that turns writer half-way would fail when another process wrote meanwhile.
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine
