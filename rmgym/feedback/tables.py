"""The tables of a label database: one schema for ratings and preferences, of people, scripts and models.

SQLite keeps values of any type, and does not notice a flipped bit. So every row holds a checksum of its values; that
and their types are checked when it is read.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ValidationError, create_model
from sqlalchemy import JSON, Column, UniqueConstraint, event
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

SCHEMA_VERSION = 5
"""Stored as SQLite's ``user_version``; a database of another one is refused."""


class DamagedRowError(ValueError):
    """A row is not as rmgym wrote it; :class:`rmgym.feedback.database.Database` says in which file."""


class Table(SQLModel, registry=registry()):
    """Base of our tables, with a registry of its own so that they never mix with another program's.

    Attributes:
        checksum: of the other values but the row's number, set when the row is written.
    """

    checksum: str = ""


class Project(Table, table=True):
    """What all labels of one database are about (one row)."""

    id: int | None = Field(default=None, primary_key=True)
    env_id: str | None = None
    env_kwargs: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    card_hash: str | None = None
    language: str
    created: str


class Segment(Table, table=True):
    """Consecutive steps of one episode, known by their texts; a rated step is a segment of length 1.

    Attributes:
        digest: of the texts, see :func:`rmgym.feedback.questions.segment_digest`.
        opening: digest of the first step of the episode where the texts were met first. Together with its number it
            tells the episode, also among more steps of the same seed.
        episode: number of that episode.
        start: index of the first step within it.
        length: number of steps.
        texts: :meth:`TextBatch.to_json` of the steps.
        video: path of a recording, where there is one.
    """

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    opening: str
    episode: int
    start: int
    length: int
    texts: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    video: str | None = None


class Query(Table, table=True):
    """A question: rate ``left``, or say which of ``left`` and ``right`` is better. ``kind``: rating | preference."""

    id: int | None = Field(default=None, primary_key=True)
    kind: str = Field(index=True)
    left: int = Field(foreign_key="segment.id")
    right: int | None = Field(default=None, foreign_key="segment.id")


class Answer(Table, table=True):
    """One annotator's answer to one question; answering again replaces it.

    Attributes:
        query: the question.
        annotator: who answered.
        source: how, such as ``human`` or ``scripted:reward``.
        time: when, UTC, ISO 8601.
        value: a rating; None for a preference or a skip.
        levels: number of levels the rating was given on, None for a continuous one.
        cuts: the values at which a rating changes its level, where the annotator's are known; None else.
        choice: probability that the left segment is better (1 left, 0 right, 0.5 tie, others soft); None for a rating
            or a skip.
        margin: how much better, in units of summed standardised reward; 0 where not said.
        confidence: how sure the annotator is, in [0, 1]; None where not said.
        skipped: the annotator could not or would not say.
    """

    __table_args__ = (UniqueConstraint("query", "annotator"),)

    id: int | None = Field(default=None, primary_key=True)
    query: int = Field(foreign_key="query.id", index=True)
    annotator: str = Field(index=True)
    source: str
    time: str = ""
    value: float | None = None
    levels: int | None = None
    cuts: list[float] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    choice: float | None = None
    margin: float = 0.0
    confidence: float | None = None
    skipped: bool = False


def checksum(row: Table) -> str:
    """SHA-256 (16 hex digits) of a row's values; a whole number is the same as a float, as it is for SQLite."""
    values = [getattr(row, name) for name in sorted(type(row).model_fields) if name not in ("id", "checksum")]
    plain = [float(value) if isinstance(value, int | float) else value for value in values]
    return hashlib.sha256(json.dumps(plain, default=repr).encode()).hexdigest()[:16]


def _columns_of(table: type[Table]) -> type[BaseModel]:
    columns: dict[str, Any] = {name: (column.annotation, ...) for name, column in table.model_fields.items()}
    return create_model(table.__name__, **columns)


_COLUMNS = {table.__name__: _columns_of(table) for table in (Project, Segment, Query, Answer)}
"""The columns of each table alone: validated as a table, a row would be made and instrumented a second time."""


@event.listens_for(Table, "before_insert", propagate=True)
@event.listens_for(Table, "before_update", propagate=True)
def _set_checksum(mapper: object, connection: object, row: Table) -> None:
    del mapper, connection
    row.checksum = checksum(row)


@event.listens_for(Table, "load", propagate=True)
def _check(row: Table, _: object) -> None:
    """Refuse a row that is not as it was written.

    Raises:
        DamagedRowError: it is not.
    """
    values = {name: getattr(row, name) for name in type(row).model_fields}
    name = f"{type(row).__name__.lower()} {values['id']}"
    try:
        _COLUMNS[type(row).__name__].model_validate(values, strict=True)
    except ValidationError as invalid:
        column = str(invalid.errors()[0]["loc"][0])
        raise DamagedRowError(f"{name}: {column} is {values[column]!r:.40}") from invalid
    if row.checksum != checksum(row):
        raise DamagedRowError(f"{name}: its checksum is not the one that it was written with")
