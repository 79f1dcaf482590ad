"""One reward from the states of many tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PooledHead(nn.Module):
    """Reward from the states of all tokens: pooling, then one hidden layer.

    Args:
        state_size: width of a state.
        width: of the hidden layer.
        pool: ``attention`` (learnt weights, for encoders and causal language models alike), ``mean``, or ``last``, the
            state of the last real token.
    """

    def __init__(self, state_size: int, width: int, pool: str) -> None:
        super().__init__()
        self.pool = pool
        self.attention = nn.Linear(state_size, 1)
        self.hidden = nn.Linear(state_size, width)
        self.reward = nn.Linear(width, 1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Standardised rewards ``[B]`` from states ``[B, L, size]`` and the mask of real tokens ``[B, L]``."""
        if self.pool == "last":
            pooled = states[torch.arange(len(states)), mask.sum(dim=1) - 1]
        else:
            score = self.attention(states)[..., 0] if self.pool == "attention" else torch.zeros_like(states[..., 0])
            weight = score.masked_fill(~mask, float("-inf")).softmax(dim=1)
            pooled = (weight[..., None] * states).sum(dim=1)
        rewards: Tensor = self.reward(nn.functional.gelu(self.hidden(pooled)))[:, 0]
        return rewards
