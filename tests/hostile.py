"""Files that somebody made to do harm, or that a disk or a program has damaged: what tests feed to whatever reads."""

from __future__ import annotations

import copy
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rmgym.errors import RmgymError
from rmgym.storage.checksum import signed

DEPTH = 100_000
DEEP_JSON = "[" * DEPTH + "]" * DEPTH
DEEP_TOML = 'id = "X-v0"\nname = ' + DEEP_JSON + "\n"
DEEP_ENOUGH = "[" * 500 + "]" * 500  # of what JSON still reads, but code that walks through it does not
ESCAPE = "\x1b]0;owned\x07\x1b[2J\x1b[31m"
"""Sets a terminal's title, clears it, and writes on in red."""
FIELDS = ("{:>999999999}", "{0.__class__}", "{0.__init__.__globals__}", "{missing}", "{", "}", "{:.99f}", "{!r}")
"""Text that Python's format language would act on."""
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 1e308, float("inf"), float("nan"), "", "x", "9" * 400, "\0", ESCAPE, "\ud800"),
    *([], {}, [None], [[0]], {"x": 1}, [10**18] * 2, {"__array__": [1], "dtype": "S999999999"}, {"__tuple__": 5}),
)
"""What may stand where something else belongs."""


def damaged(content: Any, values: tuple[Any, ...] = VALUES) -> Iterator[tuple[str, Any]]:
    """Copies of a JSON value with one change each, and where: a part gone, or another value in its place.

    An object that says its checksum says the one that fits: who does harm can write it.
    """
    if isinstance(content, dict) and "checksum" in content:
        plain = {key: value for key, value in content.items() if key != "checksum"}
        yield from ((what, signed(changed)) for what, changed in damaged(plain, values))
        return
    for where in _places(content):
        for value in values:
            yield f"{where} = {value!r:.40}", _changed(content, where, value)
        if isinstance(_at(content, where[:-1]), dict):
            yield f"no {where}", _changed(content, where, _GONE)


def flipped(content: bytes, step: int) -> Iterator[bytes]:
    """Copies of some bytes, cut short or with one byte changed, at every ``step``-th place."""
    for place in range(0, len(content), step):
        yield content[:place]
        yield content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def put_in_the_way(file: Path, kind: str) -> None:
    """Put something that is no regular file in a file's place: ``fifo``, ``folder``, ``device`` or ``loop``."""
    file.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero" if kind == "device" else file.name)


IN_THE_WAY = ("fifo", "folder", "device", "loop")


@contextmanager
def harmless(what: str, gigabytes: float = 4.0) -> Generator[None]:
    """Whatever happens inside is done, or refused with an error of rmgym's own; and no memory is asked for without end.

    The limit is one of addresses, so that a huge array fails where it is made, not where it is filled. It is there on
    Linux alone.
    """
    with _limited(gigabytes):
        try:
            yield
        except RmgymError as error:
            if len(str(error)) > 5_000:
                pytest.fail(f"{what}: {len(str(error))} letters of error")
        except BaseException as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error!s:.300}")


@contextmanager
def _limited(gigabytes: float) -> Generator[None]:
    if not Path("/proc/self/statm").exists():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (int(used + gigabytes * 2**30), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


_GONE = object()
Place = tuple[str | int, ...]


def _places(content: Any, where: Place = ()) -> Iterator[Place]:
    """Where something stands in a JSON value; of a long list, in its first members."""
    if where:
        yield where
    members = dict(enumerate(content[:2])) if isinstance(content, list) else content
    for key, part in members.items() if isinstance(members, dict) else ():
        yield from _places(part, (*where, key))


def _at(content: Any, where: Place) -> Any:
    for key in where:
        content = content[key]
    return content


def _changed(content: Any, where: Place, value: Any) -> Any:
    content = copy.deepcopy(content)
    owner = _at(content, where[:-1])
    if value is _GONE:
        del owner[where[-1]]
    else:
        owner[where[-1]] = copy.deepcopy(value)
    return content
