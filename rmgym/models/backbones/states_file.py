"""What a frozen language model made of texts, kept in the user's cache: each is read once per machine."""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rmgym.errors import StorageError
from rmgym.models.backbones.backbone import Backbone
from rmgym.models.backbones.conversion import cache_folder
from rmgym.storage.atomic import make_folder
from rmgym.storage.sqlite import connect, use_write_ahead_log

MOST_BYTES = 256 * 2**20
"""Size from which on nothing is added to a file."""
_AT_ONCE = 500  # keys in one SQL statement
_FORMAT = 2
"""Another one where a text is read, or its states are written, in another way."""
_CHECKSUM = 4  # bytes of it behind a text's states
_TABLE = "CREATE TABLE IF NOT EXISTS states (text BLOB PRIMARY KEY, states BLOB) WITHOUT ROWID"
_LOG = logging.getLogger(__name__)

States = npt.NDArray[np.float32]


class StatesFile:
    """States by text, ``float32 [size]``.

    It saves time and nothing else: a file that cannot be read or written is left alone, after one warning.

    Args:
        path: the file.
        size: of the states.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size, self._works = path, size, True

    def get(self, texts: Sequence[str]) -> dict[str, States]:
        """The states of those texts that are there; what is not as it was written is not."""
        keys, by_text = {_key(text): text for text in texts}, dict[str, States]()
        if not self._works or not self._path.exists():
            return by_text

        def look_up(file: sqlite3.Connection) -> None:
            for start in range(0, len(keys), _AT_ONCE):
                some = list(keys)[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                for key, content in file.execute(f"SELECT text, states FROM states WHERE text IN ({marks})", some):
                    states, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
                    if checksum == _checksum(key, states):
                        by_text[keys[key]] = np.frombuffer(states, np.float32).reshape(self._size).copy()

        self._do(look_up)
        return by_text

    def put(self, states: Mapping[str, States]) -> None:
        """Keep the states of some texts."""
        if not self._works or (self._path.exists() and self._path.stat().st_size > MOST_BYTES):
            return
        contents = {_key(text): np.ascontiguousarray(values, np.float32).tobytes() for text, values in states.items()}
        rows = [(key, content + _checksum(key, content)) for key, content in contents.items()]
        self._do(lambda file: file.executemany("INSERT OR REPLACE INTO states VALUES (?, ?)", rows))

    def _do(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Work on the file, in one transaction."""
        try:
            make_folder(self._path.parent, what="the states of a language model")
            with closing(connect(self._path, timeout=60)) as file:
                use_write_ahead_log(file)
                with file:
                    file.execute(_TABLE)
                    work(file)
        except (sqlite3.Error, StorageError, ValueError) as error:
            self._works = False
            _LOG.warning("the states of %s are not kept in %s: %s", self._path.stem, self._path, error)


def states_file(backbone: Backbone) -> StatesFile:
    """The file of a language model's states."""
    name = f"{Path(backbone.name).name[:40]}-{backbone.identity[:16]}-{_FORMAT}.sqlite"
    return _opened(cache_folder() / "texts" / name, backbone.state_size)


_opened = lru_cache(maxsize=64)(StatesFile)


def _checksum(key: bytes, states: bytes) -> bytes:
    return zlib.crc32(key + states).to_bytes(_CHECKSUM)


def _key(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()
