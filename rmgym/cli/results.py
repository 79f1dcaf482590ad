"""The table and verdicts that ``bench``, ``demo`` and ``report`` end with."""

from __future__ import annotations

from collections.abc import Sequence

from rich.padding import Padding
from rich.text import Text

from rmgym.bench.compare import compare
from rmgym.bench.table import HEADERS, cells, headers
from rmgym.bench.verdict import verdict
from rmgym.cli.output import out, table
from rmgym.runs.record import Run

_WIDE = ("seeds", "Pearson", "pairs right", "label + fit", "training", "steps/s")
"""Columns that a narrow terminal goes without, as it does without all intervals but the first; the report has them."""
_INTERVAL = HEADERS.index("true return") + 1
_STYLES = {"good": "bold green", "partly": "bold yellow", "bad": "bold red", "open": "bold"}


def show_results(runs: Sequence[Run]) -> None:
    """Print the table and the verdict of every task."""
    for match in compare(runs):
        judged = verdict(match)
        out.print(Text(f"\n{match.title}", style="bold"))
        is_wide = out.width >= 120
        columns = headers(match)
        shown = [i for i, header in enumerate(columns) if is_wide or header not in _WIDE]
        rows = [
            [row[i] if is_wide or i < _INTERVAL else _without_interval(row[i]) for i in shown] for row in cells(match)
        ]
        out.print(table([columns[i] for i in shown], rows, right=columns[1:]))
        out.print(Text(f"\n{judged.headline}", style=_STYLES[judged.mark]))
        for sentence in judged.sentences:
            out.print(Padding(Text(f"- {sentence}"), (0, 0, 0, 2)))
    out.print()


def _without_interval(cell: str) -> str:
    """``0.43`` of ``0.43 [0.10, 0.70]``, with what stands behind the brackets."""
    value, _, rest = cell.partition(" [")
    return value + rest.partition("]")[2]
