"""``rmgym report``: compare runs in one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rmgym.cli.output import AsJson, out, print_json


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that contain some.", metavar="RUNS...")],
    to: Annotated[Path, typer.Option("--out", help="The HTML file.")] = Path("report.html"),
    png: Annotated[Path | None, typer.Option(help="Also draw learned and true return as this PNG file.")] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Learned and true return",
    as_json: AsJson = False,
) -> None:
    """Compare runs, finished or still running: verdict, curves, agreement, table.

    The page holds everything it needs and fetches nothing.
    """
    from rmgym.bench.picture import write_picture
    from rmgym.bench.report import results, write_report
    from rmgym.cli.results import show_results
    from rmgym.runs.record import read_runs

    recorded = read_runs(runs)
    write_report(recorded, to, title=title)
    if png is not None:
        write_picture(recorded, png)
    if as_json:
        print_json({**results(recorded, name=title), "report": str(to)})
        return
    show_results(recorded)
    out.print(f"report: {to}")
