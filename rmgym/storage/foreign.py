"""What somebody else may have written: files, JSON and TOML, read whole or refused with a ``ValueError``.

Whoever reads them catches ``OSError`` and ``ValueError``, and says what the file is and what to do.
"""

from __future__ import annotations

import json
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


def read_json(file: Path) -> Any:
    """JSON in a regular file; an object without the checksum that it says of itself.

    Raises:
        OSError: as :func:`read_text`.
        ValueError: as :func:`read_text` and :func:`parse_json`, or the checksum is another one.
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
