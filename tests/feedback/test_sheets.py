"""Tables of any form come back as columns of plain values; what is no table is explained."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rmgym.errors import FeedbackError
from rmgym.feedback.sheets import Sheet

COLUMNS = {"id": ["a", "b", "c"], "text": ["one, two\nthree", 'say "hi"', "室温 35 度"], "answer": [1.5, None, 3.0]}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "CSV"])
def test_what_is_written_is_read(tmp_path: Path, ending: str) -> None:
    file = Sheet("t", COLUMNS).write(tmp_path / f"t.{ending}")
    read = Sheet.read(str(file))
    assert len(read) == 3
    assert {name: [*read.column(name)] for name in ("id", "text")} == {n: COLUMNS[n] for n in ("id", "text")}
    assert [None if value is None else float(value) for value in read.column("answer")] == COLUMNS["answer"]


class Frame:
    """A data frame that knows one protocol alone."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol

    def __getattr__(self, name: str) -> Any:
        table = pa.table(COLUMNS)
        if name == self.protocol == "__arrow_c_stream__":
            return table.__arrow_c_stream__
        if name == self.protocol == "__dataframe__":
            return table.__dataframe__
        if name == self.protocol == "to_dict":
            return lambda orient: {"list": {**COLUMNS, "answer": [1.5, math.nan, 3.0]}}[orient]
        raise AttributeError(name)


@pytest.mark.parametrize(
    "frame",
    [
        COLUMNS,
        {name: np.array(column, object) for name, column in COLUMNS.items()},
        pa.table(COLUMNS),
        [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)],
        Frame("to_dict"),
        Frame("__dataframe__"),
    ],
)
def test_frames_are_read_by_the_protocol_that_they_have(frame: object) -> None:
    assert {name: [*column] for name, column in Sheet.read(frame).columns.items()} == COLUMNS


class Stream:
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return pa.table(COLUMNS).__arrow_c_stream__(requested_schema)


def test_arrow_streams_are_read() -> None:
    assert Sheet.read(Stream()).columns == COLUMNS


@pytest.mark.parametrize(
    "content",
    [
        b"id,answer\r\nr1,3\r\nr2,\r\n",
        b"id;answer\nr1;3\nr2;\n",
        b"id\tanswer\nr1\t3\n\nr2\n",
        b"\xef\xbb\xbfid,answer\nr1,3\nr2,  \n",
        "id,answer\nr1,3\nr2,\n".encode("utf-16"),
        b' id , answer\n"r1","3"\n"r2",""\n',
    ],
    ids=["CRLF", "semicolons", "tabs", "UTF-8 with a mark", "UTF-16", "quotes"],
)
def test_csv_as_spreadsheets_write_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert Sheet.read(tmp_path / "t.csv").columns == {"id": ["r1", "r2"], "answer": ["3", None]}


def test_another_encoding_is_read_where_ascii_is_all_that_is_needed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("id,text,answer\nr1,室温 35 度,4\n".encode("gbk"))
    assert Sheet.read(tmp_path / "t.csv", fallback="latin-1").column("answer") == ["4"]
    with pytest.raises(FeedbackError, match="UTF-8"):
        Sheet.read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("t.xlsx", b"PK", r"(?s)CSV, JSON lines or Parquet.*t.xlsx.*end it in .csv, .jsonl, .parquet"),
        ("none.csv", None, "none.csv"),
        ("t.csv", b"id,id\n1,2\n", "one name"),
        ("t.csv", b"id,answer\nr1,3,4\n", "row 1 has 3 cells"),
        ("t.csv", b'id,answer\nr1,"3\n', "can be read"),
        ("t.csv", b"\xff\xfeidx", "can be read"),
        ("t.jsonl", b'{"id": 1}\n{"id": \n', "can be read"),
        ("t.jsonl", b'{"id": 1}\n[2]\n', "row 2 is no object"),
        ("t.parquet", b"PAR1 and no more", "can be read"),
    ],
)
def test_what_is_no_table_is_explained(tmp_path: Path, name: str, content: bytes | None, rule: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FeedbackError, match=rule):
        Sheet.read(tmp_path / name)


def test_other_things_and_other_columns() -> None:
    with pytest.raises(FeedbackError, match=r"(?s)a data frame.*received: int"):
        Sheet.read(3)
    with pytest.raises(FeedbackError, match="equally long"):
        Sheet.read({"id": [1, 2], "answer": [1]})
    with pytest.raises(FeedbackError, match=r"(?s)has a column 'answer'.*did you mean 'anser'"):
        Sheet.read({"id": [1], "anser": [1]}).column("answer")


def test_nothing_is_left_for_a_spreadsheet_to_compute(tmp_path: Path) -> None:
    file = Sheet("t", {"text": ["=HYPERLINK(1)", "-3 degrees"], "n": [-3.0, 1.0]}).write(tmp_path / "t.csv")
    assert file.read_text() == "text,n\n'=HYPERLINK(1),-3.0\n'-3 degrees,1.0\n"
