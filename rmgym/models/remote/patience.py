"""Waiting for a server that is away or busy: ever longer pauses, and an end."""

from __future__ import annotations

import time
import warnings

import numpy as np

from rmgym.errors import ModelError, RmgymError


class Patience:
    """Pauses between attempts, ever longer, until the time is over.

    Args:
        url: of the server.
        wait: seconds from the first failure after which no more attempts are made.
        who: what the server is called.
        fix: what to do where it stays away.
        error: what is raised then.
        longest: of all pauses, but where the server asks for a longer one.
    """

    def __init__(
        self,
        url: str,
        wait: float,
        *,
        who: str = "the reward server",
        fix: str = "start it again ('rmgym serve MODEL') and resume, or wait longer: wait= of the model 'remote'",
        error: type[RmgymError] = ModelError,
        longest: float = 2.0,
    ) -> None:
        self.url, self.wait, self._longest = url, wait, longest
        self._who, self._fix, self._error = who, fix, error
        self._until: float | None = None
        self._attempts, self._warned = 0, False
        # Of this wait alone: clients that failed together must not come back together, and no score depends on it.
        self._rng = np.random.default_rng()

    def pause(self, why: str, cause: Exception | None = None, *, busy: bool = False, at_least: float = 0.0) -> None:
        """Sleep; say once that the server is away, from the second failure on (the first may be an idle connection).

        Args:
            why: what failed.
            cause: likewise.
            busy: the server is there, and nobody has to be told.
            at_least: seconds that the server asks for.

        Raises:
            RmgymError: (of kind ``error``) the time is over.
        """
        now = time.monotonic()
        self._until = now + self.wait if self._until is None else self._until
        left = self._until - now
        if left <= 0:
            raise self._error(
                f"{self._who} answers within {self.wait:g} s", got=f"{self.url}: {why}", fix=self._fix
            ) from cause
        self._attempts += 1
        if self._attempts > 1 and not busy and not self._warned:
            self._warned = True
            explanation = f"{self._who} {self.url} is away ({why}); waiting for it for up to {self.wait:g} s"
            warnings.warn(explanation, RuntimeWarning, stacklevel=2)
        longest = min(0.05 * 2 ** (self._attempts - 1), self._longest)
        time.sleep(min(left, max(at_least, longest * float(self._rng.uniform(0.5, 1.0)))))
