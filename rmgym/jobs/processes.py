"""Processes of this machine that do pieces of work: one thread each, a log each, none that outlives who started it.

The other half is :func:`end_with_parent`, which such a process calls first.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Hashable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from rmgym.storage.foreign import refuse_irregular

Key = TypeVar("Key", bound=Hashable)

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Environment of each process: two of two threads each on two cores are many times slower than two of one."""
_TAIL = 64 * 2**10
"""Bytes of a log that hold its last lines."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class LocalProcesses(Generic[Key]):
    """As many processes at once as there are cores; leaving the ``with`` block kills those still at work.

    Args:
        workers: how many at once, by default one per core.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or available_cores()
        self._working: dict[Key, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._working.values():
            process.kill()
            _close(process)
        self._working.clear()

    @property
    def free(self) -> int:
        """How many more may be started now."""
        return max(self._workers - len(self._working), 0)

    @property
    def working(self) -> set[Key]:
        """What is being worked on, also where it ended since :meth:`ended` was last called."""
        return set(self._working)

    def start(self, key: Key, command: Sequence[str], log: Path) -> None:
        """Start a process.

        Args:
            key: what it works on.
            command: program and arguments; the program calls :func:`end_with_parent`.
            log: file to which its standard output and error are added.

        Raises:
            OSError: it cannot be started, or the log cannot be written or is no file.
        """
        if log.exists():
            refuse_irregular(log)  # a pipe without a reader would be waited for
        with log.open("ab") as written:
            # Its standard input stays open as long as this process lives; a session of its own keeps Ctrl-C here.
            self._working[key] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=written,
                stderr=written,
                env={**os.environ, **ONE_THREAD},
                start_new_session=True,
            )

    def ended(self) -> dict[Key, str]:
        """Those that ended since the last call: what they worked on, and how they ended, in words."""
        over = {key: process for key, process in self._working.items() if process.poll() is not None}
        for key, process in over.items():
            _close(process)
            del self._working[key]
        return {key: _reason(process.returncode) for key, process in over.items()}


def end_with_parent() -> None:
    """Let this process end when the one that started it ends, however that happens.

    Its standard input is a pipe whose other end closes then. So work that was killed and is started again never finds
    an old process still at it.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def available_cores() -> int:
    """Cores this process may use: affinity and, in a container, its quota counted, which ``os.cpu_count`` ignores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no such file, or "max"
        quota, period = (int(word) for word in _QUOTA.read_text().split())
        cores = min(cores, max(1, round(quota / period)))
    return cores


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log, empty where there is none or what is there is no file."""
    try:
        refuse_irregular(log)
        with log.open("rb") as content:
            content.seek(max(log.stat().st_size - _TAIL, 0))
            end = content.read(_TAIL).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(end.splitlines()[-count:])


def _wait_for_parent() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock a thread may not hold when Python ends
        pass
    os._exit(1)  # at once: everything on disk is resumable


def _close(process: subprocess.Popen[bytes]) -> None:
    """Let go of a process that has ended, or is about to."""
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _reason(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
