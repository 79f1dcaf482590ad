"""What evaluations leave on disk: ``comparison.csv``, a row each, and ``steps.csv``, some steps of the last one.

The last column of both is a checksum (CRC-32) of the row, so that a damaged number is not read as another.
"""

from __future__ import annotations

import csv
import io
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rmgym.errors import StorageError
from rmgym.evaluation.evaluate import SUCCESS, Comparison
from rmgym.evaluation.measure import MEASURED
from rmgym.storage.atomic import replacing
from rmgym.storage.foreign import read_text

Row = dict[str, float]
"""One evaluation, by column."""
Column = npt.NDArray[np.float64]

COMPARISON, STEPS = "comparison.csv", "steps.csv"
COLUMNS = (
    "steps",
    "wall_seconds",
    "round",
    "episodes",
    "true_return_mean",
    "true_return_std",
    "learned_return_mean",
    "learned_return_std",
    "spearman",
    "pearson",
    "pair_accuracy",
)
"""Of ``comparison.csv``, which has :data:`MAYBE` too where there is something to say."""
MAYBE = (*MEASURED, SUCCESS)
"""Where a measure was named; where the environment tells of success."""
STEP_COLUMNS = ("episode", "step", "true_reward", "learned_reward")
"""Of ``steps.csv``."""
_STEP_ROWS = 2_000
_CHECKSUM = "checksum"


class ComparisonLog:
    """The two files in one folder.

    Args:
        folder: where they are, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, rows: Sequence[Row], last: Comparison) -> None:
        """Replace both files, each in one step.

        Args:
            rows: all evaluations so far.
            last: the last one.

        Raises:
            StorageError: they cannot be written; the old ones are intact.
        """
        further = [name for name in MAYBE if any(name in row for row in rows)]
        write_rows(self.folder / COMPARISON, (*COLUMNS, *further), rows)
        write_rows(self.folder / STEPS, STEP_COLUMNS, _sample(last))

    def rows(self) -> list[Row]:
        """All evaluations; none if there is no file yet."""
        curve = self.curve()
        columns = (column.tolist() for column in curve.values())
        return [dict(zip(curve, values, strict=True)) for values in zip(*columns, strict=True)]

    def curve(self) -> dict[str, Column]:
        """All evaluations by column, ``float64 [E]`` each."""
        return _columns(self.folder / COMPARISON, COLUMNS, MAYBE)

    def steps(self) -> dict[str, Column]:
        """Steps of the last evaluation by column, ``float64 [S]`` each."""
        return _columns(self.folder / STEPS, STEP_COLUMNS)


def write_rows(file: Path, columns: Sequence[str], rows: Sequence[Mapping[str, float]]) -> None:
    """Replace a table of numbers in one step; counts are written without a point.

    Raises:
        StorageError: it cannot be written; the old one is intact.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*columns, _CHECKSUM])
    for row in rows:
        numbers = [row.get(name, math.nan) for name in columns]
        values = [str(int(v) if math.isfinite(v) and v == int(v) else v) for v in numbers]
        table.writerow([*values, _checksum(values)])
    with replacing(file) as target:
        target.write(text.getvalue().encode())


def _columns(file: Path, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Column]:
    """Columns of a CSV file, those that are optional only where they are there; a missing file is empty.

    Raises:
        StorageError: it has other columns, is no text, or a row is not as it was written.
    """
    if not file.exists():
        return {name: np.zeros(0) for name in names}
    rows = list[list[float]]()
    try:
        table = csv.DictReader(io.StringIO(read_text(file), newline=""))
        if missing := {*names, _CHECKSUM} - set(table.fieldnames or ()):
            raise ValueError(f"no column {', '.join(sorted(missing))}")
        names = (*names, *(name for name in optional if name in (table.fieldnames or ())))
        for row in table:
            values = [row[name] for name in names]
            if None in (*values, row[_CHECKSUM]) or _checksum(values) != row[_CHECKSUM]:
                raise ValueError(f"row {len(rows) + 1} is not as it was written")
            rows.append([float(value) for value in values])
    except (OSError, ValueError, csv.Error) as error:
        raise StorageError(
            f"{file.name} is a table of numbers, as it was written",
            got=f"{file}: {error}",
            fix="put a copy of the file back, or train into another folder",
        ) from error
    columns = np.array(rows, np.float64).reshape(-1, len(names))
    return {name: columns[:, i] for i, name in enumerate(names)}


def _checksum(values: Sequence[str]) -> str:
    return f"{zlib.crc32(','.join(values).encode()):08x}"


def _sample(comparison: Comparison) -> list[Row]:
    """At most two thousand steps, drawn evenly over the evaluation."""
    steps = comparison.steps
    picked = np.unique(np.linspace(0, len(steps) - 1, min(_STEP_ROWS, len(steps))).round().astype(int))
    columns = (steps.episode, steps.step, steps.true_reward.astype(float), comparison.learned_reward)
    picks = (column[picked].tolist() for column in columns)
    return [dict(zip(STEP_COLUMNS, values, strict=True)) for values in zip(*picks, strict=True)]
