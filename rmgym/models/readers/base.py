"""The seam between a language model and the heads: how a step is read."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import nn

from rmgym.models.backbones.tower import Tower
from rmgym.models.encoding import Encoded, encode
from rmgym.models.precision import for_keeps
from rmgym.text.batch import TextBatch

HeadInputs = tuple[Any, ...]
"""What a head takes, in the order in which it takes it. What these are is settled between a reader and the heads that
go with it."""
States = TypeVar("States")
MOST_BYTES = 128 * 2**20
"""Bytes of what one reader keeps, with the texts."""


class Reader(Protocol):
    """How steps are read; a :class:`torch.nn.Module`, which may have weights of its own.

    What it keeps of what the LM made of texts is its own affair, as long as scores do not show it: the states of a text
    never depend on company, on ``torch.autocast`` around the call, or on what the LM was before (see
    :class:`KeptStates`).

    Attributes:
        micro_batch: how many steps it is best asked about at once.
    """

    micro_batch: int

    @property
    def size(self) -> int:
        """Length of the vectors that heads get."""
        ...

    def encode(self, texts: TextBatch) -> Encoded:
        """Texts as tensors."""
        ...

    def prepare(self, tower: Tower, texts: TextBatch) -> None:
        """Get ready for being fitted on some texts."""
        ...

    def has_read(self, texts: TextBatch) -> bool:
        """Whether all that some texts say, but for numbers, was there then."""
        ...

    def facts(self) -> dict[str, str]:
        """What it took from them beside its tensors, as texts to be saved."""
        ...

    def restore(self, facts: Mapping[str, str]) -> None:
        """Take back what :meth:`facts` gave."""
        ...

    def __call__(self, tower: Tower, inputs: Encoded) -> HeadInputs:
        """Read ``B`` steps with a language model, always the same one.

        Raises:
            ModelError: a text is too long for it.
        """
        ...

    def train(self, mode: bool = True) -> Self:
        """Switch mode, as :meth:`torch.nn.Module.train`."""
        ...


class WholeTexts(nn.Module):
    """Base of readers that run the LM over every text in full, with its phrases among the other words.

    Args:
        size: of the LM's states.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def encode(self, texts: TextBatch) -> Encoded:
        """See :class:`Reader`."""
        return encode(texts.filled())

    def prepare(self, tower: Tower, texts: TextBatch) -> None:
        """See :class:`Reader`; there is nothing to do."""

    def has_read(self, texts: TextBatch) -> bool:
        """See :class:`Reader`; each text is read as what it says."""
        del texts
        return True

    def facts(self) -> dict[str, str]:
        """See :class:`Reader`."""
        return {}

    def restore(self, facts: Mapping[str, str]) -> None:
        """See :class:`Reader`."""


class KeptStates(Generic[States]):
    """What a language model made of texts, kept until it changes.

    Args:
        most: texts at most; the one that was asked for least lately goes first.
        size: bytes of a state.
        most_bytes: bytes at most of states and texts.
    """

    def __init__(self, most: int, size: Callable[[States], int], most_bytes: float = MOST_BYTES) -> None:
        self._most, self._size, self._most_bytes = most, size, most_bytes
        self._kept, self._bytes = OrderedDict[str, States](), 0
        self._version: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._bytes = 0

    def follow(self, tower: Tower) -> None:
        """Forget everything if the LM is not what it was at the last call; to be called before others are."""
        if (version := tower.version) != self._version:
            self.clear()
            self._version = version

    def __contains__(self, text: str) -> bool:
        return text in self._kept

    def __getitem__(self, text: str) -> States:
        self._kept.move_to_end(text)
        return self._kept[text]

    def keep(self, text: str, states: States) -> None:
        """Keep states, which were read within :func:`rmgym.models.precision.for_keeps`."""
        self._kept[text] = states
        self._bytes += self._bytes_of(text, states)
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._bytes_of(*self._kept.popitem(last=False))

    def _bytes_of(self, text: str, states: States) -> int:
        return sys.getsizeof(text) + self._size(states)

    def get_all(
        self, texts: Sequence[str], device: torch.device, read: Callable[[Sequence[str]], Sequence[States]]
    ) -> list[States]:
        """The states of some texts; those that are not kept are read now, together."""
        states = {text: self[text] for text in texts if text in self._kept}
        if unread := [text for text in dict.fromkeys(texts) if text not in states]:
            with for_keeps(device):
                states |= zip(unread, read(unread), strict=True)
            for text in unread:
                self.keep(text, states[text])
        return [states[text] for text in texts]
