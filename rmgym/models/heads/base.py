"""Several heads as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Heads(nn.ModuleList):
    """Independent reward heads over one language model."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Standardised rewards ``[B, heads]`` from what a reader gives."""
        return torch.stack([head(*inputs) for head in self], dim=1)
