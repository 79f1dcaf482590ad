"""A number as a vector: what a number slot holds instead of a string of digits."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LOW_FREQUENCIES = (-4, -3, -2, -1, 0)
"""Exponents ``k`` of the periods ``2 ** (1 - k)``; few labels want few, low frequencies."""


class NumberFeatures(nn.Module):
    """Fourier features, signed logarithm and the value itself, projected to a model's width.

    Per value ``v``: ``sin`` and ``cos`` of ``pi * 2**k * v`` for each ``k``, ``sign(v) * log(1 + |v|)`` and ``v / 10``;
    then one linear layer. Fourier features follow Tancik et al. 2020, "Fourier Features Let Networks Learn High
    Frequency Functions in Low Dimensional Domains" (https://arxiv.org/abs/2006.10739).

    Args:
        width: size ``d`` of the embedding.
        frequencies: the exponents ``k``.
    """

    def __init__(self, width: int, frequencies: tuple[int, ...] = LOW_FREQUENCIES) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.project = nn.Linear(2 * len(frequencies) + 2, width)

    def forward(self, values: Tensor) -> Tensor:
        """Embed ``values [...]`` as ``[..., d]``, in the dtype of the weights.

        The features themselves are always computed in float32: in bfloat16 an angle would lose its meaning.
        """
        values = values.float()
        angles = values[..., None] * values.new_tensor([math.pi * 2.0**k for k in self.frequencies])
        plain = torch.stack((values.sign() * values.abs().log1p(), values / 10), dim=-1)
        features = torch.cat((angles.sin(), angles.cos(), plain), dim=-1)
        projected: Tensor = self.project(features.to(self.project.weight.dtype))
        return projected
