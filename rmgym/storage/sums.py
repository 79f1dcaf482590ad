"""A folder whose files are told by their SHA-256, for formats that would be read with a flipped bit too."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rmgym.storage.atomic import write_json
from rmgym.storage.foreign import read_json, refuse_irregular

SUMS = "sha256.json"
"""File of the folder that holds the SHA-256 of the others."""


def write_sums(folder: Path) -> Path:
    """Write down the SHA-256 of every file in or below a folder.

    Raises:
        StorageError: it cannot be written.
        OSError: a file cannot be read.
    """
    return write_json(folder / SUMS, {name: file_sha256(folder / name) for name in _files(folder)}, what="checksums")


def check_sums(folder: Path) -> None:
    """Refuse a folder that is not as it was when its sums were written: a file is another, is gone or came since.

    Nothing is opened but what is in the folder, so no name in the sums leads out of it.

    Raises:
        OSError: a file cannot be read, or is no regular file.
        ValueError: the folder is another, or the sums are damaged.
    """
    sums = read_json(folder / SUMS)
    if not sums:
        raise ValueError(f"{SUMS} holds no sums")
    files = _files(folder)
    if other := sorted(sums.keys() ^ set(files)):
        raise ValueError(f"{other[0]!r:.80} is in {SUMS if other[0] in sums else 'the folder'} alone")
    for name in files:
        if file_sha256(folder / name) != sums[name]:
            raise ValueError(f"the SHA-256 of {name} is not the one in {SUMS}")


def is_whole(folder: Path) -> bool:
    """Whether :func:`check_sums` has nothing to say."""
    try:
        check_sums(folder)
    except (OSError, ValueError):
        return False
    return True


def file_sha256(file: Path) -> str:
    """SHA-256 (hex) of a regular file of any size.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    refuse_irregular(file)
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _files(folder: Path) -> list[str]:
    """Names, from the folder, of all in and below it that is no folder, but for the sums themselves."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir() and p != folder / SUMS)
