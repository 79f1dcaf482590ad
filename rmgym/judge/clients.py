"""The seam between questions and the language model that answers them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Api = Literal["chat", "completions"]
"""How a server is spoken to."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a language model answered to one prompt.

    Attributes:
        logs: log probability of each answer word, given that it is one of them; empty where it gave none of them.
        read: tokens of the prompt.
        written: tokens of the answer.
    """

    logs: tuple[float, ...]
    read: int
    written: int


class Client(Protocol):
    """A language model that answers with one of some words."""

    @property
    def identity(self) -> str:
        """Whatever decides its answers: weights, or server and model."""
        ...

    @property
    def at_once(self) -> int:
        """How many prompts it is best given at a time."""
        ...

    def ask(self, prompts: Sequence[str], words: tuple[str, ...]) -> Iterator[tuple[int, Reply]]:
        """Answer prompts with probabilities of words.

        Args:
            prompts: at most ``at_once``.
            words: each one token long.

        Yields:
            The place of a prompt and its reply, in any order, as soon as it is there: it may have cost money.

        Raises:
            JudgeError: one could not be answered; the others were yielded before.
        """
        ...


def normalised(logs: Sequence[float]) -> tuple[float, ...]:
    """Log probabilities that add up to one; empty where that is impossible."""
    import numpy as np

    values = np.asarray(logs, np.float64)
    with np.errstate(invalid="ignore"):
        values = values - values.max()
    values = values - np.log(np.exp(values).sum())
    return tuple(values.tolist()) if np.isfinite(values).all() else ()
