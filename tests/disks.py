"""A disk that is small enough to be filled, for tests of what happens then."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_FILL = "fill"


@dataclass(frozen=True)
class Disk:
    """A mounted disk of its own.

    Attributes:
        folder: where it is.
    """

    folder: Path

    def fill(self, *, but: int = 0) -> None:
        """Leave so many bytes free, rounded down to pages."""
        file = self.folder / _FILL
        space = os.statvfs(self.folder)
        file.write_bytes(b"x" * (space.f_bavail * space.f_frsize - but))

    def free(self) -> None:
        """Undo :meth:`fill`."""
        (self.folder / _FILL).unlink()

    def read_only(self) -> None:
        """Let nothing be written any more."""
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)

    def spoil(self, how: str) -> None:
        """Fill it (``full``), or let nothing be written (``read-only``)."""
        if how == "full":
            self.fill()
        else:
            self.read_only()

    def content(self) -> dict[str, bytes]:
        """Every file but the filling and those in which SQLite's processes share what they know."""
        files = {str(file.relative_to(self.folder)): file for file in self.folder.rglob("*") if file.is_file()}
        left_out = (_FILL, "-shm", "-wal", ".lock")
        return {name: file.read_bytes() for name, file in files.items() if not name.endswith(left_out)}


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Disk]:
    """Mount a disk of so many kilobytes; where that is not allowed, the test is skipped."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("only root may mount a small disk")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
