"""``rmgym bench``: run a suite and compare what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rmgym.cli.output import AsJson, err, out, print_json

if TYPE_CHECKING:
    from rmgym.bench.suite import Suite

Workers = Annotated[int | None, typer.Option(help="Processes at once; by default one per core.")]


def bench(
    suite: Annotated[Path, typer.Argument(help="A suite file; see benchmarks/suites.", metavar="SUITE.toml")],
    to: Annotated[Path | None, typer.Option("--out", help="Its folder; by default runs/NAME.")] = None,
    workers: Workers = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List its cells and how far they are; run none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a suite: environments x algorithms x rewards x seeds.

    Stop it whenever you like: the same command goes on, and finished cells are never run again.
    """
    from rmgym.bench.suite import load_suite

    loaded = load_suite(suite)
    folder = to or Path("runs") / loaded.name
    if dry_run:
        from rmgym.cli.dry_run import show_cells

        show_cells(loaded, folder, as_json=as_json)
        return
    run_and_report(loaded, folder, workers=workers, as_json=as_json)


def run_and_report(suite: Suite, folder: Path, *, workers: int | None, as_json: bool) -> None:
    """Run a suite, write ``results.json``, ``report.html`` and ``learned_vs_true.png``, print the table.

    Raises:
        typer.Exit: with code 1 where a cell failed, after all others were run.
    """
    import json

    from rmgym.bench.picture import write_picture
    from rmgym.bench.report import results, write_report
    from rmgym.bench.runner import run_suite
    from rmgym.cli.results import show_results
    from rmgym.storage.atomic import write_text

    outcome = run_suite(suite, folder, workers=workers)
    failures = [{"cell": f.title, "reason": f.reason, "log": str(f.log), "tail": f.tail} for f in outcome.failures]
    if outcome.runs:
        content = {**results(outcome.runs, name=suite.name), "failures": failures}
        write_text(folder / "results.json", json.dumps(content, indent=2, ensure_ascii=False), what="results")
        write_report(outcome.runs, folder / "report.html", title=suite.name, about=suite.about)
        write_picture(outcome.runs, folder / "learned_vs_true.png")
        if as_json:
            print_json({**content, "report": str(folder / "report.html")})
        else:
            show_results(outcome.runs)
            out.print(f"report: {folder / 'report.html'}", markup=False)
    elif as_json:
        print_json({"name": suite.name, "matches": [], "failures": failures})
    for failure in outcome.failures:
        err.print(f"\nfailed: {failure.title}: {failure.reason}", style="red", markup=False)
        err.print(f"{failure.tail}\n  whole log: {failure.log}", markup=False)
    if outcome.failures:
        err.print("\nthe same command tries these again and keeps the rest", markup=False)
        raise typer.Exit(1)
