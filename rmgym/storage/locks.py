"""One process at a time: a lock on a file, which the operating system frees when its holder dies, however it dies."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from rmgym.errors import BusyError, StorageError

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def held(
    path: str | os.PathLike[str],
    *,
    what: str,
    wait: bool = False,
    on_wait: Callable[[], None] | None = None,
    keep: bool = True,
) -> Generator[None]:
    """Hold a lock.

    Args:
        path: the lock's file, made if missing; it holds nothing.
        what: what is worked on, for the error's words ("one process at a time works on ...").
        wait: wait for another holder, instead of raising.
        on_wait: called once before waiting, to say so.
        keep: leave the file there; else it is removed at the end (:func:`remove_held`).

    Raises:
        BusyError: another process holds it, and ``wait`` is False.
        StorageError: the file cannot be made.
    """
    file = Path(path)
    lock = FileLock(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise BusyError(
                    f"one process at a time works on {what}",
                    got=f"{file.parent}: {_holder(file)} is at work there",
                    fix="wait until it ends, end it, or choose another folder",
                ) from None
            if on_wait is not None:
                on_wait()
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        if isinstance(error, StorageError):
            raise
        lockless = isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS
        raise StorageError(
            f"one process at a time works on {what}, on a file system that has locks"
            if lockless
            else f"{what} is a writable folder with enough space",
            got=f"{file}: {error}",
            fix="choose another folder" + ("" if lockless else ", or free space; what was there before is intact"),
        ) from error
    try:
        yield
    finally:
        if not keep:
            remove_held(file)
        lock.release()


def remove_held(file: Path) -> None:
    """Remove the file of a lock that this process holds.

    Whoever opened it just now sees that it is gone, once this process lets go, and opens another (filelock looks at the
    count of its names). Removed by anybody else, two processes would hold two files of one name.
    """
    with suppress(OSError):  # Windows keeps open files
        file.unlink()


def _holder(file: Path) -> str:
    """Who holds a lock, as far as the system tells."""
    with suppress(OSError, ValueError, IndexError):
        place = file.stat()
        name = f"{os.major(place.st_dev):02x}:{os.minor(place.st_dev):02x}:{place.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = line.split()  # 1: FLOCK ADVISORY WRITE <process> <device and inode> 0 EOF
            if words[5] == name and int(words[4]) > 0:
                return f"process {words[4]}"
    return "another process"
