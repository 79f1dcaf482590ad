"""The seam between a language model and the heads: how a step is read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

from torch import Tensor

from rmgym.models.backbones.tower import Tower
from rmgym.models.encoding import Encoded
from rmgym.models.precision import for_keeps

HeadInputs = tuple[Tensor | None, ...]
"""What a head takes, in the order in which it takes it. Which tensors these are is settled between a reader and the
heads that go with it."""
States = TypeVar("States")


class Reader(Protocol):
    """How steps are read; a :class:`torch.nn.Module`, which may have weights of its own.

    What it keeps of what the LM made of texts is its own affair, as long as scores do not show it: the states of a text
    never depend on company, on ``torch.autocast`` around the call, or on what the LM was before (see
    :class:`KeptStates`).

    Attributes:
        micro_batch: how many steps it is best asked about at once.
    """

    micro_batch: int

    def __call__(self, tower: Tower, inputs: Encoded) -> HeadInputs:
        """Read ``B`` steps with a language model, always the same one.

        Raises:
            ModelError: a text is too long for it.
        """
        ...

    def train(self, mode: bool = True) -> Self:
        """Switch mode, as :meth:`torch.nn.Module.train`."""
        ...


class KeptStates(Generic[States]):
    """What a language model made of texts, kept until it changes.

    Args:
        most: texts at most; the one that was asked for least lately goes first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = OrderedDict[str, States]()
        self._version: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def follow(self, tower: Tower) -> None:
        """Forget everything if the LM is not what it was at the last call; to be called before others are."""
        if (version := tower.version) != self._version:
            self._kept.clear()
            self._version = version

    def __contains__(self, text: str) -> bool:
        return text in self._kept

    def __getitem__(self, text: str) -> States:
        self._kept.move_to_end(text)
        return self._kept[text]

    def keep(self, text: str, states: States) -> None:
        """Keep states, which were read within :func:`rmgym.models.precision.for_keeps`."""
        while len(self._kept) >= self._most:
            self._kept.popitem(last=False)
        self._kept[text] = states

    def get(self, text: str, tower: Tower, read: Callable[[str], States]) -> States:
        """The states of a text, read now if they are not kept."""
        if text not in self._kept:
            with for_keeps(tower.device):
                self.keep(text, read(text))
        return self[text]
