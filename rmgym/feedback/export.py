"""All answers of a label database with their texts, as a file for other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from rmgym.errors import FeedbackError
from rmgym.feedback.questions import read_question
from rmgym.feedback.sheets import harmless
from rmgym.feedback.tables import Answer, Query
from rmgym.storage.atomic import replacing
from rmgym.storage.parquet import write_table


def check_ending(target: Path) -> None:
    """Refuse a file that ends neither in ``.parquet`` nor in ``.csv``.

    Raises:
        FeedbackError: it does not.
    """
    if target.suffix not in (".parquet", ".csv"):
        raise FeedbackError("labels go to Parquet or CSV", got=target.name, fix="name it .parquet or .csv")


def answer_rows(session: Session) -> list[dict[str, Any]]:
    """One row per answer: its kind, the texts of its sides, and what it holds, oldest first."""
    rows = list[dict[str, Any]]()
    for answer in session.exec(select(Answer).order_by(col(Answer.id))):
        asked = read_question(session, session.get_one(Query, answer.query))
        sides = {"left": asked.left, "right": asked.right}
        strings = {side: "\n".join(texts.strings()) if texts else None for side, texts in sides.items()}
        given = answer.model_dump(exclude={"id", "checksum"})
        given["cuts"] = None if answer.cuts is None else json.dumps(answer.cuts)  # CSV holds no lists
        rows.append({"kind": asked.kind, **strings, **given})
    return rows


def write_rows(rows: Sequence[dict[str, Any]], target: Path) -> Path:
    """Write rows by the file's ending, whole or not at all; a spreadsheet computes nothing that stands in a CSV file.

    Raises:
        StorageError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.csv as csv

    with replacing(target, what="a file of labels") as file:
        if target.suffix == ".csv":
            cells = [{name: harmless(value) for name, value in row.items()} for row in rows]
            csv.write_csv(pa.Table.from_pylist(cells), file)
        else:
            write_table(pa.Table.from_pylist([*rows]), file)
    return target
