"""A folder whose files are told by their SHA-256, for formats that would be read with a flipped bit too."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from rmgym.storage.atomic import write_json
from rmgym.storage.foreign import read_json

SUMS = "sha256.json"
"""File of the folder that holds the SHA-256 of the others."""


def write_sums(folder: Path) -> Path:
    """Write down the SHA-256 of every file in or below a folder.

    Raises:
        StorageError: it cannot be written.
        OSError: a file cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
    sums = {file.relative_to(folder).as_posix(): file_sha256(file) for file in files}
    return write_json(folder / SUMS, sums, what="checksums")


def check_sums(folder: Path) -> None:
    """Refuse a folder that is not as it was when its sums were written.

    Raises:
        OSError: a file cannot be read.
        ValueError: one is another, or the sums are damaged.
    """
    sums: Any = read_json(folder / SUMS)
    if not isinstance(sums, dict) or not sums:
        raise ValueError(f"{SUMS} holds no sums")
    for name, total in sums.items():
        if file_sha256(folder / name) != total:
            raise ValueError(f"the SHA-256 of {name} is not the one in {SUMS}")


def is_whole(folder: Path) -> bool:
    """Whether :func:`check_sums` has nothing to say."""
    try:
        check_sums(folder)
    except (OSError, ValueError):
        return False
    return True


def file_sha256(file: Path) -> str:
    """SHA-256 (hex) of a file of any size."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
