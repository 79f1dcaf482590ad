"""One task of a suite in a process of its own: ``python -m rmgym.bench.cell OUT FOLDER``.

It ends when the process that started it ends, however that happens: its standard input is a pipe whose other end closes
then. So a suite that was killed and started again never finds a cell still at work.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from rmgym.errors import RmgymError


def _end_with_parent() -> None:
    """Wait for the parent's end of the pipe to close, then leave at once: everything on disk is resumable."""
    while os.read(0, 1):  # not sys.stdin, whose lock a thread may not hold when Python ends
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from rmgym.bench.stages import run_task

    try:
        run_task(Path(sys.argv[1]), Path(sys.argv[2]))
    except RmgymError as error:
        sys.exit(f"{type(error).__name__}: {error}")
