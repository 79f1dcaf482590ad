"""Does rmgym hold? Kills, hostile files, a server that dies under its clients, flipped bits: is anything lost or wrong?

    python benchmarks/faults.py            # 100 kills, 200 hostile files, 64 clients, 300 flipped bits
    python benchmarks/faults.py --quick    # a few of each

One process works at a time, on one core. After 20 minutes nothing more is begun: the result says how many cells were
asked for and how many of them were run, and a claim for which less was tried than asked for fails.
``docs/reliability.md`` says what is promised, and shows what comes out here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common import STOPPED, Cell, arguments, claim, finished, report_minutes, run_cells, write_results

FULL = {"kills": 4, "files": 4, "flips": 5, "clients": 64, "seconds": 20, "server": 2}
QUICK = {"kills": 1, "files": 1, "flips": 1, "clients": 8, "seconds": 4, "server": 1}
"""Of each kind and seed; for the server, in all."""
JOBS = ("label", "fit", "train", "bench", "loop")
QUICK_JOBS = ("label", "fit", "train")
FLIPPED = (
    *("steps", "labels", "weights", "model's JSON", "tokenizer", "states of a language model", "scores", "agent"),
    *("run", "checkpoint of a run", "checkpoint of a fit", "loop"),
)
"""Kinds of files; those of a loop last, for a quick benchmark has none."""
HOSTILE = (
    *("model", "weights and tokenizer", "labels", "steps", "run", "environment card", "agent card", "suite", "agent"),
    "language model",
)
BOUND = 20.0
"""Minutes after which no cell is begun."""
MINUTES = {"kills": 1.1, "hostile": 0.1, "flips": 0.05, "server": 1.0}


def measure(cell: Cell, runs: Path) -> Cell:
    """Do what a cell says, by the module for it: each imports torch and more, which this script need not."""
    if cell["what"] == "kills":
        from faults_kills import kills

        return kills(cell, runs)
    if cell["what"] == "hostile":
        from faults_hostile import hostile

        return hostile(cell, runs)
    if cell["what"] == "flips":
        from faults_flips import flips

        return flips(cell, runs)
    from faults_server import server

    return server(cell, runs)


def cells_of(seeds: Sequence[int], *, quick: bool) -> list[Cell]:
    """What is tried: the server with the first seed, then each kind once per seed."""
    size, jobs = (QUICK, QUICK_JOBS) if quick else (FULL, JOBS)
    cells: list[Cell] = []
    for seed in seeds:
        cells += [{"what": "kills", "job": job, "kills": size["kills"], "seed": seed} for job in jobs]
        cells += [{"what": "hostile", "kind": kind, "files": size["files"], "seed": seed} for kind in HOSTILE]
        kinds = FLIPPED[:-1] if quick else FLIPPED
        cells += [{"what": "flips", "kind": kind, "flips": size["flips"], "seed": seed} for kind in kinds]
    served = {"clients": size["clients"], "length": size["seconds"], "kills": size["server"]}
    return [{"what": "server", **served, "seed": seeds[0]}, *cells]


def claims_of(cells: Sequence[Cell], *, quick: bool) -> list[Cell]:
    """What is asked for, and whether it holds: as many were tried as there should be, and none went wrong."""
    of = {what: [cell for cell in cells if cell["what"] == what] for what in MINUTES}
    wanted = cells_of(range(1 if quick else 5), quick=quick)
    asked = {"kills": _count(wanted[1:], "kills"), "hostile": _count(wanted, "files"), "flips": _count(wanted, "flips")}
    done = {what: sum(cell["done"] for cell in of[what]) for what in MINUTES}
    kills, files, served = done["kills"], done["hostile"], of["server"]
    clients = served[0]["clients"] if served else 0
    deaths = sum(len(cell["killed"]) for cell in served)
    counts = {
        ("kills", "lost"): (f"of {kills} kills, after which something was lost", _words(of["kills"], "lost")),
        ("kills", "differing"): (f"of {kills} kills, results that differ", _words(of["kills"], "differing")),
        ("hostile", "executed"): (f"of {files} hostile files, executed", _count(of["hostile"], "executed")),
        ("hostile", "tracebacks"): ("answered with a traceback or a crash", _count(of["hostile"], "traceback")),
        ("hostile", "escapes"): ("that acted on the terminal", _count(of["hostile"], "escaped")),
        ("hostile", "large"): ("that took more than 2 GB", _count(of["hostile"], "large")),
        ("hostile", "long"): ("that took longer than 10 s", _count(of["hostile"], "long")),
        ("server", "wrong"): (
            f"of {done['server']:,} answers to {clients} clients around {deaths} kills of the server, wrong",
            _count(served, "wrong"),
        ),
        ("server", "gave-up"): ("requests that failed for good", _count(served, "gave_up")),
        ("flips", "silent"): (f"of {done['flips']} flipped bits, read as other content", _count(of["flips"], "silent")),
        ("flips", "crashes"): ("answered with another error than rmgym's own", _count(of["flips"], "crashed")),
    }
    return [
        claim(name, statement, value, bound=0, holds=value == 0 and done[what] >= asked.get(what, 1))
        for (what, name), (statement, value) in counts.items()
    ]


def _count(cells: Sequence[Cell], key: str) -> int:
    return sum(int(cell.get(key, 0)) for cell in cells)


def _words(cells: Sequence[Cell], key: str) -> int:
    return sum(len(cell[key]) for cell in cells)


def main() -> None:
    """Try everything and count."""
    options = arguments(__doc__, seeds=range(5), flags=STOPPED)
    runs = options.runs.resolve()
    seeds = options.seeds[:1] if options.quick else options.seeds
    cells = cells_of(seeds, quick=options.quick)
    if options.dry_run:
        report_minutes({what: [60 * m for cell in cells if cell["what"] == what] for what, m in MINUTES.items()})
        return
    os.environ["RMGYM_CACHE"] = str(runs / "cache")  # begins empty, and is no user's
    work = partial(measure, runs=runs)
    run = finished if options.finished else partial(run_cells, processes=1, minutes=BOUND)
    done = run(cells, work, runs / "cells")
    minutes = sum(cell["seconds"] for cell in done) / 60
    bound = {"bound_minutes": BOUND, "cells_asked": len(cells), "cells_run": len(done)}
    write_results(options.out, done, claims_of(done, quick=options.quick), seeds, minutes=round(minutes, 1), **bound)


if __name__ == "__main__":
    main()
