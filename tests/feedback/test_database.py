"""A label database that somebody else has written, or a disk has damaged: one error that says where, no label lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.database import Database
from rmgym.feedback.exchange import export_labels
from rmgym.feedback.store import LabelStore
from rmgym.feedback.tables import Answer, Project, Query, Segment, Table, checksum
from rmgym.storage.foreign import parse_json
from rmgym.text import textualizer
from tests.hostile import DEEP_JSON, ESCAPE, IN_THE_WAY, flipped, harmless, put_in_the_way

TABLES: dict[str, type[Table]] = {"answer": Answer, "project": Project, "query": Query, "segment": Segment}
JSON_COLUMNS = {"cuts", "env_kwargs", "texts"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of two ratings and a comparison, and a question that is open."""
    steps = collect("Pendulum-v1", 40, reset_every=10, progress=False)
    texts = textualizer("Pendulum-v1").batch(steps)
    store = LabelStore(tmp_path_factory.mktemp("labels") / "whole.sqlite")
    rated = store.add_rating_queries(steps, texts, np.array([3, 5, 7]))
    compared = store.add_preference_queries(steps, texts, np.array([[0, 10]]), 4)
    for query, value in zip(rated[:2], (2, 4), strict=True):
        store.rate(query, value, annotator="ann", source="human", levels=5)
    store.prefer(compared[0], 1.0, annotator="ann", source="human")
    with closing(sqlite3.connect(store.path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file.execute("PRAGMA journal_mode = DELETE")
    return store.path


@pytest.fixture
def change(whole: Path, tmp_path: Path) -> Callable[..., LabelStore]:
    """Write a value into a column of a table's first row, with the checksum that belongs to it."""

    def changed(table: str, column: str, value: Any) -> LabelStore:
        path = Path(shutil.copy(whole, tmp_path / "labels.sqlite"))
        with closing(sqlite3.connect(path)) as file, file:
            file.execute(f"UPDATE {table} SET {column} = ? WHERE id = (SELECT min(id) FROM {table})", (value,))
            if column != "checksum":
                sign(file, table)
        return LabelStore(path)

    return changed


def sign(file: sqlite3.Connection, table: str) -> None:
    """Set the checksum of a table's first row, as somebody would who knows how; not where its JSON is none."""
    kind = TABLES[table]
    file.row_factory = sqlite3.Row
    values = dict(file.execute(f"SELECT * FROM {table} ORDER BY id").fetchone())
    with suppress(ValueError):
        for name in JSON_COLUMNS & {name for name, value in values.items() if isinstance(value, str | bytes)}:
            values[name] = parse_json(values[name])
        values |= {"skipped": bool(values["skipped"])} if table == "answer" else {}
        file.execute(f"UPDATE {table} SET checksum = ? WHERE id = ?", (checksum(kind(**values)), values["id"]))


def read_everything(store: LabelStore) -> None:
    """All that reads; each is done or refused."""
    for what, read in (
        ("info", store.info),
        ("labels", store.labels),
        ("pending", lambda: [question.left.strings() for question in store.pending("bob")]),
        ("keys", lambda: store.keys("preference")),
        ("texts", store.asked_texts),
        ("scales", lambda: store.scales("ann")),
        ("progress", lambda: store.progress("ann")),
        ("export", lambda: export_labels(store, store.path.with_suffix(".csv"), content="answers", overwrite=True)),
        ("undo", lambda: store.undo("ann")),
    ):
        with harmless(what):
            read()


@pytest.mark.parametrize(
    ("table", "column", "value", "where"),
    [
        ("answer", "value", "good", "answer 1: value is 'good'"),
        ("answer", "value", 9.0, "answer 1: a rating is 1 to 5, not 9.0"),
        ("answer", "value", 9e999, "answer 1: a rating is 1 to 5, not inf"),
        ("answer", "levels", "many", "answer 1: levels is 'many'"),
        ("answer", "annotator", b"\xff", "answer 1: annotator is b'"),
        ("answer", "query", 99, "a row of answer belongs to one of query that is not there"),
        ("answer", "margin", -1.0, "answer 1: a margin is a finite number of at least 0, not -1.0"),
        ("answer", "cuts", '"x"', "answer 1: cuts is 'x'"),
        ("answer", "cuts", DEEP_JSON, "nested deeper"),
        ("query", "left", 99, "a row of query belongs to one of segment that is not there"),
        ("query", "kind", "preference", "answer 1: question 1 asks for a preference"),
        ("segment", "length", 7, "query 1: a rating is of one step, not of 7"),
        ("segment", "texts", "{", "Expecting property name"),
        ("segment", "texts", "[]", r"segment 1: texts is \[\]"),
        ("segment", "texts", "{}", "segment 1: its texts: without 'language'"),
        ("segment", "texts", DEEP_JSON, "nested deeper"),
        ("project", "env_kwargs", "{", "Expecting property name"),
        ("project", "language", b"en", "project 1: language is b'en'"),
    ],
)
def test_a_value_that_rmgym_did_not_write_is_refused_with_its_place(
    change: Callable[..., LabelStore], table: str, column: str, value: Any, where: str
) -> None:
    with pytest.raises(FeedbackError, match=where) as error:
        change(table, column, value).labels(clean=False)
    assert "labels.sqlite" in str(error.value)
    assert error.value.fix


@pytest.mark.parametrize(
    "template", ["{:>999999999}", "{0.__class__}", "{:.2f} {0.__init__.__globals__}", "{:.2f} {", "{x}", 5]
)
def test_text_that_pythons_format_language_would_act_on_is_refused(
    change: Callable[..., LabelStore], whole: Path, template: object
) -> None:
    with closing(sqlite3.connect(whole)) as file:
        texts = json.loads(file.execute("SELECT texts FROM segment").fetchone()[0])
    store = change("segment", "texts", json.dumps({**texts, "templates": [template]}))
    with pytest.raises(FeedbackError, match="segment 1: its texts: template"):
        store.labels()


@pytest.mark.parametrize("value", [-1, b"\xff\x00", ESCAPE, "[1,[2]]"])
def test_whatever_stands_in_a_column_nothing_breaks(
    change: Callable[..., LabelStore], whole: Path, value: object
) -> None:
    with closing(sqlite3.connect(whole)) as file:
        columns = [(t, row[1]) for t in ("answer", "segment") for row in file.execute(f"PRAGMA table_info({t})")]
    refused = dict[tuple[str, str], str]()
    for table, column in columns:
        try:
            store = change(table, column, value)
        except sqlite3.IntegrityError:  # no database can hold it
            assert (column, isinstance(value, int)) == ("id", False)
            continue
        except FeedbackError as error:
            refused[table, column] = str(error)
            continue
        with harmless(f"{table}.{column}"):
            read_everything(store)
    # On opening, what leads nowhere is refused and nothing else: one odd row must not hide what the others hold.
    assert set(refused) == {("answer", "query")} | ({("segment", "id")} if value == -1 else set())
    assert all("labels.sqlite: a row of" in error and "that is not there" in error for error in refused.values())


def test_whichever_byte_is_damaged_nothing_breaks(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    for i, damaged in enumerate(flipped(content, len(content) // 8)):
        (tmp_path / f"{i}.sqlite").write_bytes(damaged)
        with harmless(f"damage {i}"):
            read_everything(LabelStore(tmp_path / f"{i}.sqlite"))


@pytest.mark.parametrize("kind", [kind for kind in IN_THE_WAY if kind != "loop"])
@pytest.mark.parametrize("end", ["", "-journal"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str, end: str) -> None:
    Database(tmp_path / "labels.sqlite").create()
    put_in_the_way(tmp_path / f"labels.sqlite{end}", kind)
    with pytest.raises(FeedbackError, match="no regular file"):
        LabelStore(tmp_path / "labels.sqlite")
