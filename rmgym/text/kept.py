"""Answers of pure functions, kept within so many bytes: the texts of others may be long, and there may be many."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from functools import update_wrapper
from typing import Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

MOST = 32 * 2**20
"""Bytes that the answers of one function take at most, with what was asked."""
_PER_ENTRY = 150  # what CPython takes for an entry of a dictionary and its tuple
_NONE = object()


def kept(function: Callable[P, R]) -> Kept[P, R]:
    """Keep the answers of a function of strings and tuples of them, as ``functools.lru_cache`` does, but by bytes.

    Example:
        >>> @kept
        ... def double(text: str) -> str:
        ...     return text + text
        >>> double("ab"), double("ab") is double("ab")
        ('abab', True)
    """
    return Kept(function, MOST)


class Kept(Generic[P, R]):
    """A function that remembers; may be called by several threads.

    Two generations: what is asked for again moves from the older one to the younger, and the older one goes as a whole.

    Args:
        function: of hashable arguments.
        most: bytes of all that is kept.
    """

    def __init__(self, function: Callable[P, R], most: int) -> None:
        update_wrapper(self, function)
        self._function, self._most = function, most
        self._young, self._old = dict[Hashable, R](), dict[Hashable, R]()
        self._young_bytes = self._old_bytes = 0

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function's answer."""
        assert not kwargs  # whoever asks names nothing
        if (answer := self._young.get(args, _NONE)) is not _NONE:
            return cast(R, answer)
        answer = self._old.get(args, _NONE)
        new = self._function(*args, **kwargs) if answer is _NONE else cast(R, answer)
        self._keep(args, new, _PER_ENTRY + size_of(args) + size_of(new))
        return new

    @property
    def bytes(self) -> int:
        """What is kept, in bytes, roughly."""
        return self._young_bytes + self._old_bytes

    def _keep(self, args: Hashable, answer: R, size: int) -> None:
        # Threads may lose each other an entry, or count one twice: that costs time and nothing else.
        if size > self._most // 2:
            return
        if self._young_bytes + size > self._most // 2:
            self._old, self._old_bytes = self._young, self._young_bytes
            self._young, self._young_bytes = {}, 0
        self._young[args] = answer
        self._young_bytes += size


def size_of(value: object) -> int:
    """Bytes of a string, a number, an array that owns its numbers, or a tuple of such."""
    own = sys.getsizeof(value)
    return own + sum(map(size_of, cast("tuple[object, ...]", value))) if isinstance(value, tuple) else own
