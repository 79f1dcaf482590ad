"""Several heads as one, and what may compute them in torch's place."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from rmgym.models.readers.base import HeadInputs


class Heads(nn.ModuleList):
    """Independent reward heads over one language model."""

    def forward(self, *inputs: Tensor | None) -> Tensor:
        """Standardised rewards ``[B, heads]`` from what a reader gives."""
        return torch.stack([head(*inputs) for head in self], dim=1)


class Engine(Protocol):
    """What computes finished heads in torch's place (see :mod:`rmgym.scoring.engines`).

    It was built for the weights that the heads had then. Whose reward it computes must depend on that step alone.
    """

    @property
    def name(self) -> str:
        """Such as ``onnx``; part of the digest of a model that runs on it."""
        ...

    def __call__(self, heads: Heads, inputs: HeadInputs) -> Tensor:
        """Standardised rewards ``[B, heads]``; ``heads`` are there for steps that it was not built for."""
        ...
