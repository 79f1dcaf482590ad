"""One task of a suite in a process of its own: ``python -m rmgym.bench.cell OUT FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from rmgym.errors import RmgymError
from rmgym.jobs.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    from rmgym.bench.stages import run_task

    try:
        run_task(Path(sys.argv[1]), Path(sys.argv[2]))
    except RmgymError as error:
        sys.exit(f"{type(error).__name__}: {error}")
