"""What every benchmark script shares: arguments, resumable parallel cells, claims, and the result file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("rmgym", "torch", "transformers", "gymnasium", "stable-baselines3", "numpy")
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
    said = parser.parse_args()
    said.runs = said.runs or Path("runs", "benchmarks", name + ("-quick" if said.quick else ""))
    said.out = said.out or (said.runs / "result.json" if said.quick else RESULTS / f"{name}.json")
    return said


def run_cells(
    cells: Sequence[Cell], work: Callable[[Cell], Cell], runs: Path, *, processes: int | None = None
) -> list[Cell]:
    """Run every cell once, in as many single-threaded processes as there are cores; go on where a killed run stopped.

    Args:
        cells: JSON-able settings of each cell.
        work: from a cell's settings to its measurements; importable from the script.
        runs: folder of finished cells, one JSON file each.
        processes: how many at a time (as many as cores); 1 for timings.

    Returns:
        Settings and measurements of each cell, in the order of ``cells``.
    """
    runs.mkdir(parents=True, exist_ok=True)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    files = [runs / (cell_name(cell) + ".json") for cell in cells]
    todo = [i for i, file in enumerate(files) if not file.exists()]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, TimeRemainingColumn()) as progress,
        ProcessPoolExecutor(processes or os.cpu_count(), mp_context=get_context("spawn")) as pool,
    ):
        bar = progress.add_task(runs.name, total=len(cells), completed=len(cells) - len(todo))
        futures = {pool.submit(_measure, work, cells[i]): i for i in todo}
        for future in as_completed(futures):
            write_json(files[futures[future]], future.result())
            progress.advance(bar)
    return [json.loads(file.read_text()) for file in files]


def cell_name(cell: Cell) -> str:
    """A readable file name for a cell's settings."""
    return "-".join(str(value).replace("/", "_").replace(" ", "") for value in cell.values())


def _measure(work: Callable[[Cell], Cell], cell: Cell) -> Cell:
    start = time.perf_counter()
    return {**cell, **work(cell), "seconds": round(time.perf_counter() - start, 2)}


def claim(
    name: str, statement: str, value: float, *, bound: float, holds: bool, ci: Sequence[float] | None = None
) -> dict[str, Any]:
    """One claim in the form every result file uses; one that does not hold is kept all the same."""
    return {"id": name, "statement": statement, "value": value, "ci": ci, "bound": bound, "holds": bool(holds)}


def write_results(
    out: Path, cells: Sequence[Cell], claims: Sequence[dict[str, Any]], seeds: Sequence[int], **further: Any
) -> None:
    """Write the result file and print the claims."""
    result = {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *_without_places(sys.argv[1:])]),
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()},
        "seeds": list(seeds),
        **further,
        "claims": list(claims),
        "cells": list(cells),
    }
    write_json(out, result)
    for said in claims:
        print(
            f"{'holds ' if said['holds'] else 'FAILS '} {said['id']}: {said['value']:.4g} (bound {said['bound']:.4g})"
        )
    print(f"wrote {out}")


def _without_places(said: Sequence[str]) -> list[str]:
    """Arguments without ``--runs`` and ``--out``, which say where files lie and change no number."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runs")
    parser.add_argument("--out")
    return parser.parse_known_args(said)[1]


def write_json(path: Path, content: Any) -> None:
    """Write atomically; NaN becomes null, which JSON can say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")
    partial.replace(path)


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if hasattr(content, "item"):
        content = content.item()
    return None if isinstance(content, float) and content != content else content
