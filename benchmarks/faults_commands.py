"""Commands of rmgym in processes that can be killed and measured.

Each is a fork of a process that has imported torch already, leads a process group of its own, and runs what the
installed ``rmgym`` runs. So a kill at any instant falls into work, not into imports, and hundreds of them take minutes.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import rmgym.sb3  # once, before anything is forked
import rmgym.training  # noqa: F401
from rmgym.cli.main import app

TRACEBACK = "Traceback (most recent call last)"
_ADDRESSES = 12 * 2**30  # bytes: what would take the machine down fails before


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; negative, the signal that killed it.
        seconds: how long it took.
        gigabytes: the most memory that it had, the libraries it was forked with included.
        output: what it wrote to the terminal.
    """

    code: int
    seconds: float
    gigabytes: float
    output: str

    @property
    def killed(self) -> bool:
        """Whether it was killed by SIGKILL."""
        return self.code == -signal.SIGKILL


def command(
    arguments: Sequence[str], folder: Path, *, kill_after: float | None = None, answers: Sequence[str] = ()
) -> Ended:
    """Run ``rmgym ARGUMENTS`` in a folder.

    Args:
        arguments: of the command.
        folder: where it works; made if missing.
        kill_after: seconds after which its whole process group is killed with SIGKILL, None for never.
        answers: lines that somebody types.
    """
    return forked(lambda: app(list(arguments), prog_name="rmgym"), folder, kill_after=kill_after, answers=answers)


def forked(
    work: Callable[[], object], folder: Path, *, kill_after: float | None = None, answers: Sequence[str] = ()
) -> Ended:
    """Run some work as :func:`command` runs a command."""
    folder.mkdir(parents=True, exist_ok=True)
    log, typed = folder / "terminal.txt", folder / "typed.txt"
    typed.write_text("".join(f"{line}\n" for line in answers))
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(_inside(work, folder, log, typed))
    status = _wait(child, None if kill_after is None else start + kill_after)
    code = os.waitstatus_to_exitcode(status[0])
    output = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return Ended(code, time.monotonic() - start, status[1].ru_maxrss * 1024 / 1e9, output)


def _inside(work: Callable[[], object], folder: Path, log: Path, typed: Path) -> int:
    """The forked process; its exit code."""
    code: object = 1
    try:
        os.setsid()
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
        os.dup2(os.open(typed, os.O_RDONLY), 0)
        terminal = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(terminal, 1)
        os.dup2(terminal, 2)
        # As a terminal has it: what was shown before a kill was shown.
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        work()
        code = 0
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


def _wait(child: int, until: float | None) -> tuple[int, resource.struct_rusage]:
    """Wait for a process, and kill its group at a time of ``time.monotonic``."""
    pause = 0.0005
    while until is not None and time.monotonic() < until:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return status, used
        time.sleep(min(pause, max(until - time.monotonic(), 0)))
        pause = min(2 * pause, 0.02)
    if until is not None:
        os.killpg(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    return status, used
