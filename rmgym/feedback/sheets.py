"""Tables that people and programs fill in: CSV, JSON lines, Parquet, data frames, read as columns of plain values."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Protocol, cast

from rmgym.errors import FeedbackError, nearest
from rmgym.feedback.dataset_folders import read_folder
from rmgym.storage.atomic import replacing, write_bytes
from rmgym.storage.foreign import LARGEST, parse_json, read_bytes, refuse_hollow
from rmgym.storage.parquet import write_table

ENDINGS = (".csv", ".jsonl", ".parquet")
"""Of files that are tables."""
TableLike = object
"""A path of a table, a data frame (pandas, polars, Arrow, datasets), a mapping of columns or rows that are mappings."""
_DELIMITERS = ",;\t"
_SHOWN = 5
"""Rows that an error names."""
_FORMULA = ("=", "+", "-", "@")
"""How a cell begins that a spreadsheet would compute."""


class _Tabular(Protocol):
    """A data frame of pandas, as far as it is needed."""

    def to_dict(self, orient: str) -> Mapping[str, Sequence[object]]:
        """Columns by name."""
        ...


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table.

    Attributes:
        name: what errors call it.
        columns: equally long; blank cells (empty, NaN, null) are None.
    """

    name: str
    columns: Mapping[str, Sequence[object]]

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise FeedbackError("the columns of a table are equally long", got=f"{self.name}: {lengths}", fix="fill up")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def column(self, name: str) -> Sequence[object]:
        """A column that has to be there.

        Raises:
            FeedbackError: it is not.
        """
        if name not in self.columns:
            fix = nearest(name, self.columns) if self.columns else "write a line with their names first"
            raise FeedbackError(f"{self.name} has a column {name!r}", got=f"columns {[*self.columns]}", fix=fix)
        return self.columns[name]

    @classmethod
    def read(cls, given: TableLike, *, fallback: str | None = None) -> Sheet:
        """Read a table.

        Args:
            given: a path (of a file, or of a folder of the library datasets), a data frame, a mapping of columns, or
                rows that are mappings.
            fallback: encoding of a CSV file that is neither UTF-8 nor UTF-16, where only ASCII of it is needed.

        Raises:
            FeedbackError: it cannot be read, or is none.
        """
        if isinstance(given, str | os.PathLike):
            path = Path(cast("str | os.PathLike[str]", given))
            columns = read_folder(path) if path.is_dir() else _of_file(path, fallback)
            return cls(path.name, _without_blanks(columns))
        return cls("the table", _without_blanks(_of_frame(given)))

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write a file, by its ending, whole or not at all.

        Raises:
            FeedbackError: it has another ending.
            StorageError: it cannot be written.
        """
        target, what = Path(path), "a table"
        ending = ending_of(target)
        rows = [*zip(*self.columns.values(), strict=True)]
        if ending == ".parquet":
            import pyarrow as pa

            with replacing(target, what=what) as file:
                write_table(pa.table(dict(self.columns)), file)
        elif ending == ".jsonl":
            lines = [json.dumps(dict(zip(self.columns, row, strict=True)), ensure_ascii=False) + "\n" for row in rows]
            write_bytes(target, "".join(lines).encode(), what=what)
        else:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(
                [[*self.columns], *([harmless(c) for c in r] for r in rows)]
            )
            # Spreadsheets take other letters than ASCII for those of the system, unless there is a mark.
            written = text.getvalue()
            write_bytes(target, written.encode("ascii" if written.isascii() else "utf-8-sig"), what=what)
        return target


def ending_of(path: Path) -> str:
    """The ending of a table's file.

    Raises:
        FeedbackError: it is none of :data:`ENDINGS`.
    """
    if (ending := path.suffix.lower()) not in ENDINGS:
        raise FeedbackError(
            "a table is CSV, JSON lines or Parquet", got=str(path), fix=f"end it in {', '.join(ENDINGS)}"
        )
    return ending


def is_blank(value: object) -> bool:
    """Whether a cell says nothing."""
    if isinstance(value, str):
        return not value.strip()
    # NA of pandas is neither equal nor unequal to anything.
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, Real) and value != value)


def in_rows(sheet: Sheet, wrong: Sequence[str]) -> str:
    """What is wrong with the rows of a table, of many the first ones."""
    more = f", of {len(wrong)} the first" if len(wrong) > _SHOWN else ""
    return f"{sheet.name}{more}: {'; '.join(wrong[:_SHOWN])}"


def _without_blanks(columns: Mapping[str, Sequence[object]]) -> dict[str, list[object]]:
    return {str(name).strip(): [None if is_blank(v) else v for v in column] for name, column in columns.items()}


def harmless(value: object) -> object:
    """A cell for a spreadsheet, which would compute what looks like a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _of_file(path: Path, fallback: str | None) -> Mapping[str, Sequence[object]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    ending = ending_of(path)
    try:
        refuse_hollow(path)
        if ending == ".parquet":
            with pq.ParquetFile(path) as file:
                return cast("Mapping[str, Sequence[object]]", file.read().to_pydict())
        if (size := path.stat().st_size) > LARGEST:
            raise ValueError(f"it has {size:,} bytes, more than {LARGEST:,}")
        text = _decoded(read_bytes(path), fallback)
        return (
            _of_csv(text)
            if ending == ".csv"
            else _of_rows([parse_json(line) for line in text.split("\n") if line.strip()])
        )
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        fix = "name a file that is there, saved as CSV (UTF-8), JSON lines or Parquet"
        raise FeedbackError("a table can be read", got=f"{path}: {error}", fix=fix) from error


def _decoded(content: bytes, fallback: str | None) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if fallback is None:
            raise
        return content.decode(fallback)


def _of_csv(text: str) -> dict[str, list[object]]:
    """Columns of strings; cells are parted by whatever the first line has most of: commas, semicolons or tabs."""
    first = text.split("\n", 1)[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first.count), strict=True)
    header = next(lines, [])
    if len(set(header)) < len(header):
        raise ValueError(f"several columns have one name: {header}")
    rows = [line for line in lines if any(line)]
    for number, row in enumerate(rows, 1):
        if len(row) > len(header):
            raise ValueError(f"row {number} has {len(row)} cells, and there are {len(header)} columns")
    return {name: [row[i] if i < len(row) else None for row in rows] for i, name in enumerate(header)}


def _of_rows(rows: Sequence[object]) -> dict[str, list[object]]:
    """Columns of rows that are mappings; what a row lacks is blank."""
    maps = list[Mapping[str, object]]()
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise ValueError(f"row {number} is no object with columns: {row!r:.60}")
        maps.append(row)
    names = dict.fromkeys(name for row in maps for name in row)
    return {name: [row.get(name) for row in maps] for name in names}


def _of_frame(given: TableLike) -> Mapping[str, Sequence[object]]:
    """Columns of a data frame, by whichever of the common protocols it has."""
    import pyarrow as pa

    if isinstance(given, Mapping):
        return {name: [*column] for name, column in given.items()}
    if hasattr(given, "__arrow_c_stream__"):
        try:
            return cast("Mapping[str, Sequence[object]]", pa.table(given).to_pydict())
        except (pa.ArrowException, TypeError):  # values of several types in one column
            pass
    rows = [*given] if isinstance(given, Iterable) else []
    if rows and all(isinstance(row, Mapping) for row in rows):
        return _of_rows(rows)
    if hasattr(given, "to_dict"):
        return cast("_Tabular", given).to_dict("list")
    if hasattr(given, "__dataframe__"):
        from pyarrow.interchange import from_dataframe

        return cast("Mapping[str, Sequence[object]]", from_dataframe(given).to_pydict())
    raise FeedbackError(
        "a table is a file, a data frame, columns by name, or rows that are mappings",
        got=type(given).__name__,
        fix="pass a path, or a DataFrame",
    )
