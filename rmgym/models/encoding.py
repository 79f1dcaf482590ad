"""A batch of texts as tensors: which templates, which numbers, and which phrases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rmgym.text.batch import TextBatch
from rmgym.text.rows import Counts, padded

NumbersOf = Callable[[TextBatch], tuple[npt.NDArray[np.float64], Counts]]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A :class:`TextBatch` as tensors.

    What a text says in words, its template and phrases, is a *combination*; many texts share one.

    Attributes:
        templates: the distinct templates that occur.
        phrases: the distinct phrases that occur.
        combinations: the distinct combinations: a template and its phrases, -1 where it has no more of them,
            ``int64 [C, 1 + most phrases]``.
        combination: of each text, ``int64 [B]``.
        numbers: of the texts, as they show them or as their reader does, ``float64 [B, S]``, zero where a text has
            fewer than ``S``; on a device that knows no float64 (MPS), in float32.
        mask: True where there is a number, ``bool [B, S]``.
    """

    templates: tuple[str, ...]
    phrases: tuple[str, ...]
    combinations: Tensor
    combination: Tensor
    numbers: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.combination)

    @property
    def values(self) -> Tensor:
        """The numbers in single precision, ``float32 [B, S]``."""
        return self.numbers.float()

    @property
    def template_index(self) -> Tensor:
        """The template of each text, ``int64 [B]``."""
        return self.combinations[self.combination, 0]

    def to(self, device: torch.device) -> Encoded:
        """The same on another device."""
        if device.type == "cpu":
            return self
        numbers = self.values if device.type == "mps" else self.numbers
        tensors = (tensor.to(device) for tensor in (self.combinations, self.combination, numbers, self.mask))
        return Encoded(self.templates, self.phrases, *tensors)

    def take(self, rows: Tensor) -> Encoded:
        """Some texts, with only the templates, phrases and numbers that occur in them; on the CPU."""
        which, combination = torch.unique(self.combination[rows], return_inverse=True)
        mask = self.mask[rows]
        width = int(mask.any(dim=0).sum())
        return Encoded(*self.spoken(which), combination, self.numbers[rows, :width], mask[:, :width])

    def spoken(self, which: Tensor) -> tuple[tuple[str, ...], tuple[str, ...], Tensor]:
        """Some combinations, and the templates and phrases that occur in them."""
        combinations = self.combinations[which]
        templates, index = torch.unique(combinations[:, 0], return_inverse=True)
        words = combinations[:, 1:]
        words = words[:, (words >= 0).any(dim=0)]
        phrases, phrase_index = torch.unique(words, return_inverse=True)
        missing = len(phrases) > 0 and int(phrases[0]) < 0
        return (
            tuple(self.templates[t] for t in templates.tolist()),
            tuple(self.phrases[p] for p in phrases.tolist() if p >= 0),
            torch.cat([index[:, None], phrase_index.reshape(words.shape) - int(missing)], dim=1),
        )


def as_written(texts: TextBatch) -> tuple[npt.NDArray[np.float64], Counts]:
    """The numbers of texts, ``[B, S]``, and how many each text has."""
    counts = np.diff(texts.offsets)
    return padded(texts.numbers, counts), counts


def encode(texts: TextBatch, numbers_of: NumbersOf = as_written) -> Encoded:
    """Pad ragged numbers and drop what does not occur; no string is rendered.

    Args:
        texts: the texts.
        numbers_of: which numbers they have; by default those that they show.
    """
    texts = texts.used()
    numbers, counts = numbers_of(texts)
    combinations, combination = texts.combinations()
    return Encoded(
        texts.templates,
        texts.phrases,
        torch.from_numpy(combinations.astype(np.int64)),
        torch.from_numpy(combination.astype(np.int64)),
        torch.from_numpy(numbers),
        torch.from_numpy(np.arange(numbers.shape[1]) < counts[:, None]),
    )
