"""Files that are either old or new, never half written."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rmgym.errors import HarnessError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Generator[IO[bytes]]:
    """Open a file for writing that takes the place of ``path`` when all is written and synced.

    Raises:
        HarnessError: the disk is full or not writable; what was at ``path`` is intact.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise HarnessError(
            "a run is written to a folder that is writable and has space",
            got=f"{target}: {error}",
            fix="free space or choose another folder; what was there before is intact",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], said: Any) -> None:
    """Write JSON, as :func:`replacing` does."""
    with replacing(path) as file:
        file.write((json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode())
