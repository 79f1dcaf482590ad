"""What every benchmark script shares: arguments, resumable parallel cells, claims, and the result file."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rmgym.jobs import Job
from rmgym.jobs.processes import ONE_THREAD, available_cores
from rmgym.storage.atomic import write_text
from rmgym.storage.provenance import machine, versions

JUDGE = {"judge": "run nothing; make the claims of the result file anew from its cells"}
"""The switch of scripts whose claims are made of their cells alone."""
STOPPED = {
    "finished": "run nothing; write the result of the cells that are done",
    "dry-run": "run nothing; count cells and minutes",
}
"""Switches of scripts with many cells."""
RESULTS = Path(__file__).parent / "results"
Cell = dict[str, Any]


def arguments(
    description: str | None, *, seeds: Sequence[int] = (0, 1, 2), flags: Mapping[str, str] | None = None
) -> argparse.Namespace:
    """Parse ``--seeds --quick --out --runs``; the result goes to ``results/<script>.json`` by default.

    ``flags`` are further switches of one script, with their help.
    """
    name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds))
    parser.add_argument("--quick", action="store_true", help="a small version of the same, to see that it runs")
    parser.add_argument("--out", type=Path, help=f"result file (benchmarks/results/{name}.json)")
    parser.add_argument("--runs", type=Path, help=f"working folder, for resuming (runs/{name})")
    for flag, meaning in (flags or {}).items():
        parser.add_argument(f"--{flag}", action="store_true", help=meaning)
    given = parser.parse_args()
    given.runs = given.runs or Path("runs", "benchmarks", name + ("-quick" if given.quick else ""))
    given.out = given.out or (given.runs / "result.json" if given.quick else RESULTS / f"{name}.json")
    return given


def run_cells(
    cells: Sequence[Cell],
    work: Callable[[Cell], Cell],
    runs: Path,
    *,
    processes: int | None = None,
    minutes: float | None = None,
) -> list[Cell]:
    """Run every cell once, in as many single-threaded processes as there are cores; go on where a killed run stopped.

    Args:
        cells: JSON-able settings of each cell.
        work: from a cell's settings to its measurements; importable from the script.
        runs: folder of the cells, a job each, in a folder of its own.
        processes: how many at a time (as many as cores); 1 for timings.
        minutes: after which no cell is begun any more; what cells took that were done before counts.

    Returns:
        Settings and measurements of each cell that is done, in the order of ``cells``: of all without ``minutes``.
    """
    os.environ.update(ONE_THREAD)
    jobs = [Job(runs / cell_name(cell), cell, kind="cell") for cell in cells]
    for job in jobs:
        with job.claim(resume=True):  # refuses one begun with other settings, before any is run
            pass
    todo = [job for job in jobs if job.status != "done"]
    spent = sum(cast("Cell", job.result)["seconds"] for job in jobs if job not in todo)
    end = math.inf if minutes is None else time.time() + 60 * minutes - spent
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, TimeRemainingColumn()) as progress,
        ProcessPoolExecutor(processes or available_cores(), mp_context=get_context("spawn")) as pool,
    ):
        bar = progress.add_task(runs.name, total=len(cells), completed=len(cells) - len(todo))
        for future in as_completed([pool.submit(_measure, work, job, end) for job in todo]):
            future.result()
            progress.advance(bar)
    return finished(cells, work, runs)


def finished(cells: Sequence[Cell], work: Callable[[Cell], Cell], runs: Path) -> list[Cell]:
    """Settings and measurements of the cells that are done already."""
    del work
    jobs = [Job(runs / cell_name(cell), cell, kind="cell") for cell in cells]
    done = [(cell, job) for cell, job in zip(cells, jobs, strict=True) if job.status == "done"]
    return [{**cell, **cast("Cell", job.result)} for cell, job in done]


def report_minutes(seconds: Mapping[str, Sequence[float]]) -> None:
    """Print how many cells of each kind there are, and about how many minutes of one core they take."""
    everything = [second for cells in seconds.values() for second in cells]
    for kind, cells in {**seconds, "all": everything}.items():
        print(f"{kind}: {len(cells)} cells, {sum(cells) / 60:.0f} minutes of one core")


def cell_name(cell: Cell) -> str:
    """A readable file name for a cell's settings."""
    return "-".join(str(value).replace("/", "_").replace(" ", "") for value in cell.values())


def _measure(work: Callable[[Cell], Cell], job: Job, end: float) -> None:
    """Do one cell, unless it is later than ``end``, in a process that writes its result down itself.

    It is kept though the others are killed.
    """
    if time.time() > end:
        return
    with job.claim(resume=True) as status:
        if status != "done":
            start = time.perf_counter()
            measurements = work(dict(job.settings))
            job.finish(_plain({**measurements, "seconds": round(time.perf_counter() - start, 2)}))


def claim(
    name: str, statement: str, value: float, *, bound: float, holds: bool, ci: Sequence[float] | None = None
) -> dict[str, Any]:
    """One claim in the form every result file uses; one that does not hold is kept all the same.

    ``ci`` is left out where there is none: one seed, or seeds without any spread.
    """
    if ci is not None and not all(math.isfinite(end) for end in ci):
        ci = None
    return {"id": name, "statement": statement, "value": value, "ci": ci, "bound": bound, "holds": bool(holds)}


def command_line() -> str:
    """The command that was run, without the places that it was told."""
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *_without_places(sys.argv[1:])])


def write_results(
    out: Path, cells: Sequence[Cell], claims: Sequence[dict[str, Any]], seeds: Sequence[int], **further: Any
) -> None:
    """Write the result file and print the claims."""
    result = {
        "command": command_line(),
        "versions": versions(),
        "machine": machine(),
        "seeds": list(seeds),
        **further,
        "claims": list(claims),
        "cells": list(cells),
    }
    text = json.dumps(_plain(result), indent=1, allow_nan=False)
    write_text(out, text + "\n", what="a benchmark's result")
    _print(claims, out)


def judge_again(out: Path, claims: Sequence[dict[str, Any]], **further: Any) -> None:
    """Replace the claims of a result file, and print them; what was measured, where and with what stays as it is."""
    result = json.loads(out.read_text(encoding="utf-8")) | further
    result |= {"claims": list(claims), "cells": result.pop("cells")}  # cells stay last
    write_text(out, json.dumps(_plain(result), indent=1, allow_nan=False) + "\n", what="a benchmark's result")
    _print(claims, out)


def _print(claims: Sequence[dict[str, Any]], out: Path) -> None:
    for each in claims:
        verdict = "holds " if each["holds"] else "FAILS "
        print(f"{verdict} {each['id']}: {each['value']:.4g} (bound {each['bound']:.4g})")
    print(f"wrote {out}")


def _without_places(words: Sequence[str]) -> list[str]:
    """Arguments without ``--runs`` and ``--out``, which say where files lie and change no number."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runs")
    parser.add_argument("--out")
    return parser.parse_known_args(words)[1]


def _plain(content: Any) -> Any:
    """Content as JSON can say it: NaN and infinities become null, NumPy's numbers Python's."""
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if hasattr(content, "item"):
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content
