"""Run a suite: as many single-threaded processes as there are cores, every cell resumable, a failed one reported.

Whatever is killed, and whenever: running the same suite again goes on. Finished cells are never run again.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rmgym.bench.board import Board
from rmgym.bench.store import Run, read_runs
from rmgym.bench.suite import Suite
from rmgym.bench.tasks import LOG, Task, plan
from rmgym.errors import HarnessError

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Two processes of two threads each on two cores are many times slower than two of one."""
_LOOK_EVERY = 0.2
_TAIL_LINES = 12


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


@dataclass
class _Working:
    task: Task
    process: subprocess.Popen[bytes]


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
        HarnessError: the folder was begun with other settings, or another process works on it.
    """
    folder = Path(out).resolve()
    tasks = plan(suite, folder)
    with _alone(folder):
        for task in tasks:
            task.prepare()
        with Board(tasks, shown=progress) as board:
            failures = _run(tasks, folder, workers or _cores(), board)
    there = [task.folder for task in tasks if task.kind == "train" and (task.folder / "run.json").exists()]
    return Outcome(runs=read_runs(there), failures=failures)


def _run(tasks: Sequence[Task], out: Path, workers: int, board: Board) -> list[Failure]:
    """Start tasks in order as soon as what they need is there, until none is left."""
    waiting = [task for task in tasks if not task.is_done]
    working, failures, failed = list[_Working](), list[Failure](), set[Path]()
    try:
        while waiting or working:
            for stuck in [task for task in waiting if task.after in failed]:
                waiting.remove(stuck)
                failures.append(_failure(stuck, "left out: its reward model was not made"))
            unmade = {task.folder for task in waiting} | {w.task.folder for w in working}
            ready = [task for task in waiting if task.after not in unmade]
            for task in ready[: workers - len(working)]:
                waiting.remove(task)
                working.append(_Working(task, _start(task, out)))
                board.started(task)
            time.sleep(_LOOK_EVERY)
            for cell in [cell for cell in working if cell.process.poll() is not None]:
                working.remove(cell)
                _close(cell.process)
                if cell.task.is_done:
                    board.finished(cell.task)
                else:
                    failed.add(cell.task.folder)
                    failures.append(_failure(cell.task, _reason(cell.process.returncode)))
                    board.failed(cell.task)
            board.look()
    finally:
        for cell in working:
            cell.process.kill()
            _close(cell.process)
    return failures


def _start(task: Task, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rmgym.bench.cell", str(out), str(task.folder)]
    with (task.folder / LOG).open("ab") as log:
        # Its standard input stays open as long as this process lives; a session of its own keeps Ctrl-C here.
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, **_ONE_THREAD},
            start_new_session=True,
        )


def _close(process: subprocess.Popen[bytes]) -> None:
    """Let go of a process that has ended, or is about to."""
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _failure(task: Task, reason: str) -> Failure:
    log = task.folder / LOG
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return Failure(title=task.title, reason=reason, log=log, tail="\n".join(lines[-_TAIL_LINES:]))


def _reason(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Hold the folder for this process; the system lets go of it however the process ends.

    Raises:
        HarnessError: another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(folder / ".lock", timeout=0, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise HarnessError("a suite runs in a writable folder", got=f"{folder}: {error}", fix="choose --out") from error
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    except sqlite3.OperationalError as error:
        raise HarnessError(
            "one process at a time works on a suite's folder", got=f"{folder}: {error}", fix="wait, or choose --out"
        ) from error
    finally:
        lock.close()
