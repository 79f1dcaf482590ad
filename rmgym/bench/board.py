"""What people see while a suite runs: the whole with time left, and a line per cell at work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID
from rich.text import Text

from rmgym.bench.grid import Task
from rmgym.bench.stages import STAGE
from rmgym.bench.table import duration
from rmgym.errors import RunError
from rmgym.progress import Console, Words
from rmgym.runs.record import read_run
from rmgym.storage.foreign import read_text

_READ_EVERY = 1.0
_STAGE_SHARE = {"collect": 0.0, "label": 0.1, "fit": 0.15}
"""How much of making a model is done when a stage begins, roughly."""


class Board:
    """Progress on stderr: live where someone watches, else a line when a cell starts or ends.

    Args:
        tasks: all of them, done or not.
        shown: False to say nothing.
    """

    def __init__(self, tasks: Sequence[Task], *, shown: bool) -> None:
        self._tasks, self._shown = tasks, shown
        self._console = Console(stderr=True, quiet=not shown)
        columns = (Words("{task.description}"), BarColumn(bar_width=16), Words("{task.fields[state]}"))
        live = shown and sys.stderr.isatty()
        self._bars = Progress(*columns, console=self._console, disable=not live, transient=True)
        self._rows: dict[str, TaskID] = {}
        self._begun: dict[str, float] = {}
        self._start, self._last_look = time.monotonic(), 0.0
        self._done_before = self._cost(lambda task: task.is_done)
        self._all = self._bars.add_task("the whole suite", total=1.0, state="")

    def __enter__(self) -> Self:
        done = sum(task.is_done for task in self._tasks)
        kept = f", {done} of them done before" if done else ""
        self._console.print(f"{len(self._tasks)} cells{kept}")
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def started(self, task: Task) -> None:
        """A cell is at work from now on."""
        self._begun[task.title] = time.monotonic()
        self._rows[task.title] = self._bars.add_task(f"  {task.title}", total=1.0, state="")
        if self._bars.disable:
            self._console.print(f"start  {task.title}")

    def finished(self, task: Task) -> None:
        """A cell has its results."""
        self._close(task)
        self._console.print(Text.assemble(("done", "green"), f"   {task.title}  {self._result(task)}"))

    def failed(self, task: Task) -> None:
        """A cell ended without results."""
        self._close(task)
        self._console.print(Text.assemble(("failed", "red"), f" {task.title}"))

    def look(self) -> None:
        """Read how far the cells are; cheap to call often."""
        if self._bars.disable or time.monotonic() - self._last_look < _READ_EVERY:
            return
        self._last_look = time.monotonic()
        working = 0.0
        for task in self._tasks:
            if (row := self._rows.get(task.title)) is not None and not task.is_done:
                share, state = _progress(task)
                working += share * task.cost
                elapsed = time.monotonic() - self._begun[task.title]
                self._bars.update(row, completed=share, state=f"{state}, {duration(elapsed)}")
        whole = sum(task.cost for task in self._tasks) or 1.0
        share = (self._cost(lambda task: task.is_done) + working) / whole
        fresh = share - self._done_before / whole
        elapsed = time.monotonic() - self._start
        left = f", about {duration(elapsed * (1 - share) / fresh)} left" if fresh > 0.02 else ""
        done = sum(task.is_done for task in self._tasks)
        state = f"{done} of {len(self._tasks)} cells, {duration(elapsed)}{left}"
        self._bars.update(self._all, completed=min(share, 1.0), state=state)

    def _close(self, task: Task) -> None:
        self._bars.remove_task(self._rows.pop(task.title))

    def _cost(self, counts: Callable[[Task], bool]) -> float:
        return sum(task.cost for task in self._tasks if counts(task))

    def _result(self, task: Task) -> str:
        took = duration(time.monotonic() - self._begun[task.title])
        if task.kind == "model":
            return f"in {took}"
        run = read_run(task.folder)
        return f"true return {run.last('true_return_mean'):,.1f}, {run.steps_per_second:,.0f} steps/s, in {took}"


def _progress(task: Task) -> tuple[float, str]:
    """How much of a task is done, and in words."""
    if task.kind == "model":
        stage = ""
        with suppress(OSError, ValueError):  # none yet, or somebody else's
            stage = read_text(task.folder / STAGE)
        return (_STAGE_SHARE[stage], stage) if stage in _STAGE_SHARE else (0.0, "starting")
    try:
        run = read_run(task.folder)
    except RunError:
        return 0.0, "starting"
    if not len(run.curve["steps"]):
        return 0.0, f"0 of {run.spec.total_steps:,} steps"
    steps, seconds = run.last("steps"), run.last("wall_seconds")
    rate = f", {steps / seconds:,.0f}/s" if seconds > 0 else ""
    return min(steps / run.spec.total_steps, 1.0), f"{steps:,.0f} of {run.spec.total_steps:,} steps{rate}"
