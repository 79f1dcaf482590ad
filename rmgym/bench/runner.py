"""Run a suite: as many single-threaded processes as there are cores, every cell resumable, a failed one reported.

Whatever is killed, and whenever: running the same suite again goes on. Finished cells are never run again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rmgym.bench.board import Board
from rmgym.bench.grid import LOG, Task, plan
from rmgym.bench.suite import Suite
from rmgym.errors import BusyError
from rmgym.jobs.processes import LocalProcesses, last_lines
from rmgym.runs.record import Run, read_runs
from rmgym.storage.atomic import explained
from rmgym.storage.locks import held

_LOOK_EVERY, _LETS_GO = 0.2, 10.0  # seconds
_NO_LOG = "its log is empty: was it killed at once, or is the disk full?"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A task that failed, or that was left out because the one it needs failed.

    Attributes:
        title: the task.
        reason: exit code or what it waited for.
        log: its log file.
        tail: the log's last lines.
    """

    title: str
    reason: str
    log: Path
    tail: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a suite gave: runs of its grid that exist, and failures."""

    runs: list[Run]
    failures: list[Failure]


def run_suite(
    suite: Suite, out: str | os.PathLike[str], *, workers: int | None = None, progress: bool = True
) -> Outcome:
    """Run what is not done yet.

    Args:
        suite: the grid.
        out: its folder; one process at a time may work on it.
        workers: processes at once, by default one per core.
        progress: show a line per cell at work, the whole, rate and time left (stderr).

    Raises:
        JobError: the folder was begun with other settings.
        StorageError: it cannot be written, or another process works there.
    """
    folder = Path(out).resolve()
    tasks = plan(suite, folder)
    with held(folder / ".lock", what="a suite's folder"):
        for task in tasks:
            _prepare(task)
        with Board(tasks, shown=progress) as board:
            failures = _run(tasks, folder, workers, board)
    there = [task.folder for task in tasks if task.kind == "train" and (task.folder / "run.json").exists()]
    return Outcome(runs=read_runs(there), failures=failures)


def _prepare(task: Task) -> None:
    """Write down what a cell is, once the process of a suite that was just killed has let go of it, as it does soon.

    Raises:
        JobError: the folder was begun with other settings.
        BusyError: somebody else works there.
    """
    end = time.monotonic() + _LETS_GO
    while True:
        try:
            task.prepare()
            return
        except BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(_LOOK_EVERY)


def _run(tasks: Sequence[Task], out: Path, workers: int | None, board: Board) -> list[Failure]:
    """Start tasks in order as soon as what they need is there, until none is left."""
    waiting = [task for task in tasks if not task.is_done]
    failures, failed = list[Failure](), set[Path]()
    by_folder = {task.folder: task for task in tasks}
    with LocalProcesses[Path](workers) as processes:
        while waiting or processes.working:
            for stuck in [task for task in waiting if task.after in failed]:
                waiting.remove(stuck)
                failures.append(_failure(stuck, "left out: its reward model was not made"))
            unmade = {task.folder for task in waiting} | processes.working
            ready = [task for task in waiting if task.after not in unmade]
            for task in ready[: processes.free]:
                waiting.remove(task)
                command = [sys.executable, "-m", "rmgym.bench.cell", str(out), str(task.folder)]
                log = task.folder / LOG
                with explained(log, "a cell's log"):
                    processes.start(task.folder, command, log)
                board.started(task)
            time.sleep(_LOOK_EVERY)
            for folder, reason in processes.ended().items():
                task = by_folder[folder]
                if task.is_done:
                    board.finished(task)
                else:
                    failed.add(folder)
                    failures.append(_failure(task, reason))
                    board.failed(task)
            board.look()
    return failures


def _failure(task: Task, reason: str) -> Failure:
    log = task.folder / LOG
    return Failure(title=task.title, reason=reason, log=log, tail=last_lines(log) or _NO_LOG)
