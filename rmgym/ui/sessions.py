"""Who is logged in: a browser's session, which ends by itself after a day, or when somebody logs out.

What a browser keeps is a random token that tells nothing and opens nothing else. Of it the server keeps a hash, in a
file beside the labels, so that a page that was killed goes on, and a session that has ended stays so.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from threading import Lock

from rmgym.storage.atomic import write_json
from rmgym.storage.foreign import read_json

SECONDS = 24 * 3600
"""Of a session."""
_MOST = 1000
"""Sessions that are kept; more end the oldest."""


class Sessions:
    """The sessions of one page; may be shared by threads.

    Args:
        file: where they are kept; one that cannot be read holds none.
        clock: seconds since 1970.
    """

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._file, self._clock, self._lock = file, clock, Lock()
        self._open = _read(file)

    def begin(self, annotator: str) -> str:
        """Log somebody in; the token of their session.

        Raises:
            StorageError: the file cannot be written.
        """
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            left = [(key, value) for key, value in self._open.items() if value[1] > now][1 - _MOST :]
            self._keep({**dict(left), _hash(token): (annotator, now + SECONDS)})
        return token

    def owner(self, token: str | None) -> str | None:
        """Whose session it is; None where it is nobody's, or has ended."""
        annotator, end = self._open.get(_hash(token or ""), ("", 0.0))
        return annotator if end > self._clock() else None

    def end(self, token: str | None) -> None:
        """Log a browser out.

        Raises:
            StorageError: the file cannot be written.
        """
        with self._lock:
            self._keep({key: value for key, value in self._open.items() if key != _hash(token or "")})

    def _keep(self, sessions: dict[str, tuple[str, float]]) -> None:
        write_json(self._file, {"sessions": [[key, *value] for key, value in sessions.items()]}, what="sessions")
        self._open = sessions


def sessions_beside(database: Path) -> Sessions:
    """The sessions of a database's page, which lie beside it."""
    return Sessions(database.with_name(database.name + ".sessions"))


def _hash(token: str) -> str:
    return sha256(token.encode(errors="replace")).hexdigest()


def _read(file: Path) -> dict[str, tuple[str, float]]:
    """Sessions of a file; whoever cannot be read there logs in again."""
    try:
        return {str(key): (str(annotator), float(end)) for key, annotator, end in read_json(file)["sessions"]}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
