"""What evaluations leave on disk: ``comparison.csv``, a row each, and ``steps.csv``, some steps of the last one."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rmgym.errors import StorageError
from rmgym.evaluation.evaluate import Comparison
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
"""Of ``comparison.csv``."""
STEP_COLUMNS = ("episode", "step", "true_reward", "learned_reward")
"""Of ``steps.csv``."""
_STEP_ROWS = 2_000


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
        _write(self.folder / COMPARISON, COLUMNS, rows)
        _write(self.folder / STEPS, STEP_COLUMNS, _sample(last))

    def rows(self) -> list[Row]:
        """All evaluations; none if there is no file yet."""
        curve = self.curve()
        return [
            dict(zip(COLUMNS, values, strict=True))
            for values in zip(*(curve[c].tolist() for c in COLUMNS), strict=True)
        ]

    def curve(self) -> dict[str, Column]:
        """All evaluations by column, ``float64 [E]`` each."""
        return _columns(self.folder / COMPARISON, COLUMNS)

    def steps(self) -> dict[str, Column]:
        """Steps of the last evaluation by column, ``float64 [S]`` each."""
        return _columns(self.folder / STEPS, STEP_COLUMNS)


def _write(file: Path, columns: Sequence[str], rows: Sequence[Mapping[str, float]]) -> None:
    """Counts are written without a point."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    for row in rows:
        table.writerow([int(v) if math.isfinite(v) and v == int(v) else v for v in (row[c] for c in columns)])
    with replacing(file) as target:
        target.write(text.getvalue().encode())


def _columns(file: Path, names: tuple[str, ...]) -> dict[str, Column]:
    """Columns of a CSV file; a line that is not whole ends it, a missing file is empty.

    Raises:
        StorageError: it has other columns, or is no text.
    """
    fix = "it is another program's or an older version's: train into another folder"
    try:
        table_rows = csv.DictReader(io.StringIO(read_text(file), newline="")) if file.exists() else None
        missing = set(names) - set(names if table_rows is None else table_rows.fieldnames or names)
    except (OSError, ValueError, csv.Error) as error:
        raise StorageError(f"{file.name} is a table of numbers", got=f"{file}: {error}", fix=fix) from error
    if missing:
        raise StorageError(f"{file.name} has every column", got=f"none named {', '.join(sorted(missing))}", fix=fix)
    rows = list[list[float]]()
    with suppress(TypeError, ValueError, csv.Error):
        for row in table_rows or ():
            rows.append([float(row[name]) if row[name] != "" else math.nan for name in names])
    table = np.array(rows, np.float64).reshape(-1, len(names))
    return {name: table[:, i] for i, name in enumerate(names)}


def _sample(comparison: Comparison) -> list[Row]:
    """At most two thousand steps, drawn evenly over the evaluation."""
    steps = comparison.steps
    picked = np.unique(np.linspace(0, len(steps) - 1, min(_STEP_ROWS, len(steps))).round().astype(int))
    columns = (steps.episode, steps.step, steps.true_reward.astype(float), comparison.learned_reward)
    picks = (column[picked].tolist() for column in columns)
    return [dict(zip(STEP_COLUMNS, values, strict=True)) for values in zip(*picks, strict=True)]
