"""Files and folders that are either old or new, never half written, and on the disk once the call returns."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_native_id
from typing import IO

from rmgym.errors import StorageError
from rmgym.storage.checksum import signed_json

StrPath = str | os.PathLike[str]
PARTIAL = re.compile(r"\.(?P<name>.+)\.\d+\.partial")
"""Names of what a thread is writing, or was when it was killed; ``name`` is what it would have become."""
ASIDE = ".old"
"""End of the name, after a dot and its own, that a folder has while another takes its place."""


def partial_path(path: StrPath) -> Path:
    """Where this thread writes what will become ``path``: beside it, so that a rename is enough."""
    target = Path(path)
    return target.with_name(f".{target.name}.{get_native_id()}.partial")


def remove_partials(path: StrPath) -> None:
    """Remove what any process left while writing ``path``; for the holder of a lock, who knows that none is at it."""
    target = Path(path)
    for left in target.parent.glob(".*.partial"):
        if (match := PARTIAL.fullmatch(left.name)) and match["name"] == target.name:
            _remove(left)


@contextmanager
def replacing(path: StrPath, *, what: str = "a file") -> Generator[IO[bytes]]:
    """Open a file for writing that takes the place of ``path`` when all is written and synced.

    Args:
        path: the file; its folder is made if missing.
        what: what is written, for the error's words.

    Raises:
        StorageError: the disk is full or not writable, or a folder or a device is there; what was there is intact.
    """
    target = Path(path)
    partial = partial_path(target)
    with explained(target, what):
        if target.exists() and not target.is_file():
            raise StorageError(
                f"{what} is written to a file",
                got=f"{target}, which is a folder or a device",
                fix="name a file that is new or may be replaced",
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            _remove(partial)
    _sync_names(target.parent)


@contextmanager
def replacing_folder(path: StrPath, *, what: str = "a folder") -> Generator[Path]:
    """Give an empty folder that takes the place of ``path`` when all in it is written and synced.

    No system renames over a folder that is not empty. So one that is there already steps aside first, and comes back if
    the new one cannot take its place, or at :func:`restore_folder` where this process is killed between both renames.

    Raises:
        StorageError: the disk is full or not writable; what was at ``path`` is intact.
    """
    target = Path(path)
    partial, aside = partial_path(target), _aside(target)
    restore_folder(target)
    with explained(target, what):
        try:
            _remove(partial)
            partial.mkdir(parents=True)
            yield partial
            sync_tree(partial)
            if target.is_dir() and not target.is_symlink():  # else nothing is there, or it is refused
                target.rename(aside)
            partial.rename(target)
        finally:
            _remove(partial)
            restore_folder(target)
    _sync_names(target.parent)


def restore_folder(path: StrPath) -> None:
    """Bring back what stepped aside for a folder that never came; where that came, remove what stepped aside.

    For who alone may write ``path``, before it is read.
    """
    target = Path(path)
    if target.exists():
        _remove(_aside(target))
    else:
        with suppress(OSError):  # nothing stepped aside, or nothing can be written here
            _aside(target).rename(target)


def refuse_existing(path: StrPath, *, what: str) -> None:
    """Refuse to write where a file is already.

    Raises:
        StorageError: there is one.
    """
    if Path(path).exists():
        raise StorageError(
            f"{what} are saved to a file of their own",
            got=f"{path}, which is there already",
            fix="pass overwrite=True to replace it, or another file",
        )


def make_folder(path: StrPath, *, what: str) -> Path:
    """Make a folder, and those above it, unless it is there.

    Args:
        path: the folder.
        what: what will be written there, for the error's words.

    Raises:
        StorageError: it cannot be made.
    """
    folder = Path(path)
    with explained(folder, what):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_bytes(path: StrPath, content: bytes, *, what: str = "a file") -> Path:
    """Write bytes, as :func:`replacing` does."""
    with replacing(path, what=what) as file:
        file.write(content)
    return Path(path)


def write_text(path: StrPath, text: str, *, what: str = "a file") -> Path:
    """Write UTF-8 text, as :func:`replacing` does."""
    return write_bytes(path, text.encode(), what=what)


def write_json(path: StrPath, content: Mapping[str, object], *, what: str = "a file") -> Path:
    """Write a JSON object with its checksum, as :func:`replacing` does.

    Raises:
        TypeError: ``content`` has no JSON; nothing is written.
        StorageError: see :func:`replacing`.
    """
    return write_bytes(path, signed_json(content) + b"\n", what=what)


def sync_tree(folder: Path) -> None:
    """Have all files of a folder, and their names, on the disk.

    Raises:
        OSError: a file cannot be synced.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            with Path(place, name).open("rb+") as file:  # Windows syncs only what is open for writing
                os.fsync(file.fileno())
        _sync_names(Path(place))


def move_into_place(written: Path, target: Path) -> None:
    """Rename a folder that another library has written whole, once all of it is on the disk; ``target`` must not exist.

    Raises:
        OSError: it cannot be synced or renamed.
    """
    sync_tree(written)
    written.replace(target)
    _sync_names(target.parent)


@contextmanager
def explained(target: Path, what: str) -> Generator[None]:
    """Say what could not be written where, in place of the system's error.

    Args:
        target: the file or folder.
        what: what is written, for the error's words.

    Raises:
        StorageError: the disk is full or not writable.
    """
    try:
        yield
    except StorageError:  # of a file inside: it has its words already
        raise
    except OSError as error:
        raise StorageError(
            f"{what} is written to a writable folder with enough space",
            got=f"{target}: {error}",
            fix="free space or choose another folder; what was there before is intact",
        ) from error


def _aside(target: Path) -> Path:
    """Where an old folder waits until the new one has its name."""
    return target.with_name(f".{target.name}{ASIDE}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _sync_names(folder: Path) -> None:
    """Have the names in a folder on the disk, so that a rename outlives a power cut.

    Windows cannot, nor can some network file systems. Then a power cut may bring the old file back, still whole; so
    this is no reason to say that the write has failed.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
