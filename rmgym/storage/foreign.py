"""What somebody else may have written: files, JSON and TOML, read whole or refused with a ``ValueError``.

Whoever reads them catches ``OSError`` and ``ValueError``, and says what the file is and what to do.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rmgym.storage.checksum import checked

DEEPEST = 64
"""Lists and tables inside each other; nothing that rmgym writes comes near, and Python's stack ends not far above."""
LARGEST = 256 * 2**20
"""Bytes of a text; what is larger would be a table, an archive or weights."""

_HOLLOW, _SPARSEST = 64 * 2**20, 16
"""Bytes up to which a file may have holes, and how many times larger than what it holds a larger one may be."""


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; a name that no file can have names none."""
    try:
        return path.exists()
    except OSError:  # too long, or a link that leads to itself
        return False


def refuse_irregular(file: Path) -> None:
    """Refuse what is no regular file, before it is opened: a pipe makes its reader wait, a device may have no end.

    A link is what it leads to.

    Raises:
        OSError: there is none, or it is a folder, a pipe, a device or a socket.
        ValueError: no file can have such a name.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError("it is no regular file")


def refuse_hollow(file: Path) -> None:
    """Refuse a large file that is next to nothing but a hole, which would be read as gigabytes or terabytes of zeros.

    Where the system does not tell holes (Windows, some network file systems), there seem to be none.

    Raises:
        OSError: as :func:`refuse_irregular`.
        ValueError: as :func:`refuse_irregular`, or it is such a file.
    """
    refuse_irregular(file)
    size = file.stat().st_size
    if size <= _HOLLOW or not hasattr(os, "SEEK_HOLE"):
        return
    with file.open("rb") as content:
        if _held(content.fileno(), size // _SPARSEST) < size // _SPARSEST:
            raise ValueError(f"of its {size:,} bytes, less than one in {_SPARSEST} is there; the rest is a hole")


def _held(file: int, enough: int) -> int:
    """How many bytes of a file are no hole, counted until they are enough."""
    held = end = 0
    try:
        while held < enough:
            start = os.lseek(file, end, os.SEEK_DATA)
            end = os.lseek(file, start, os.SEEK_HOLE)
            held += end - start
    except OSError as error:
        if error.errno != errno.ENXIO:  # which says that nothing but a hole is left
            raise
    return held


def read_bytes(file: Path) -> bytes:
    """All of a regular file.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: no file can have such a name.
    """
    refuse_irregular(file)
    return file.read_bytes()


def read_text(file: Path) -> str:
    """UTF-8 text of a regular file.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is larger than :data:`LARGEST`, or is no UTF-8.
    """
    refuse_irregular(file)
    if (size := file.stat().st_size) > LARGEST:
        raise ValueError(f"it has {size:,} bytes, more than {LARGEST:,}")
    return file.read_text(encoding="utf-8")


def read_json(file: Path) -> dict[str, Any]:
    """What :func:`rmgym.storage.atomic.write_json` wrote: an object, here without its checksum.

    Raises:
        OSError: as :func:`read_text`.
        ValueError: as :func:`read_text` and :func:`parse_json`, or it is no object, or its checksum is another one or
            is not there.
    """
    return checked(parse_json(read_text(file)))


def read_toml(file: Path) -> dict[str, Any]:
    """TOML in a regular file.

    Raises:
        OSError: as :func:`read_text`.
        ValueError: as :func:`read_text`, or it is no TOML, or nested deeper than :data:`DEEPEST`.
    """
    content: dict[str, Any] = _parsed(tomllib.loads, read_text(file))
    return content


def parse_json(text: str | bytes) -> Any:
    """A value of JSON text.

    Raises:
        ValueError: it is no JSON, or nested deeper than :data:`DEEPEST`.
    """
    return _parsed(json.loads, text)


def _parsed(parse: Callable[[Any], Any], text: str | bytes) -> Any:
    """What a parser makes of text, nested as deep as is allowed at most."""
    try:
        content = parse(text)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST}") from None
    _refuse_deep(content)
    return content


def _refuse_deep(content: object) -> None:
    """Refuse what code that calls itself at each level could not walk through."""
    level, depth = [content], 0
    while level := [inner for part in level for inner in _inside(part)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST}")


def _inside(part: object) -> list[Any]:
    """The lists and tables in a list or table."""
    members = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [member for member in members if isinstance(member, dict | list)]
