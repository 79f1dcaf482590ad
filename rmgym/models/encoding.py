"""A batch of texts as tensors: which templates, and which numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rmgym.text.batch import TextBatch


@dataclass(frozen=True)
class Encoded:
    """A :class:`TextBatch` as tensors.

    Attributes:
        templates: the distinct templates that occur.
        template_index: ``int64 [B]``.
        values: the numbers, ``float32 [B, S]``, zero where a text has fewer than ``S``.
        mask: True where there is a number, ``bool [B, S]``.
        exact: the numbers as the texts show them, ``float64 [B, S]``, for who reads digits; never on another device.
    """

    templates: tuple[str, ...]
    template_index: Tensor
    values: Tensor
    mask: Tensor
    exact: npt.NDArray[np.float64]

    def to(self, device: torch.device) -> Encoded:
        """The same on another device."""
        tensors = (self.template_index.to(device), self.values.to(device), self.mask.to(device))
        return Encoded(self.templates, *tensors, self.exact)


def encode(texts: TextBatch) -> Encoded:
    """Pad ragged numbers and drop templates that do not occur; no string is rendered."""
    used, template_index = np.unique(texts.template_index, return_inverse=True)
    counts = np.diff(texts.offsets)
    width = int(counts.max(initial=0))
    mask = np.arange(width)[None, :] < counts[:, None]
    exact = np.zeros((len(texts), width))
    exact[mask] = texts.numbers
    return Encoded(
        tuple(texts.templates[t] for t in used),
        torch.from_numpy(template_index.reshape(-1).astype(np.int64)),
        torch.from_numpy(exact.astype(np.float32)),
        torch.from_numpy(mask),
        exact,
    )
