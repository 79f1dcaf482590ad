"""Late number fusion: what a language model made of a template, and the numbers of a step, become a reward.

The language model has read the template once. Its states at the slots (what each number *means*) and of the whole text
are constants of the template; per step only this small Transformer runs, over one token per number.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rmgym.models.number_features import NumberFeatures


class Block(nn.Module):
    """Pre-norm Transformer block whose queries may be fewer than its keys.

    Args:
        width: size of a token.
        heads: attention heads.
        hidden: size of the feed-forward layer.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm_feedforward = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, mask: Tensor | None, queries: int) -> Tensor:
        """Update the first ``queries`` tokens.

        Args:
            tokens: ``[B, N, width]``.
            mask: True where a token counts, ``bool [B, N]``; None where all do.
            queries: how many leading tokens are wanted.

        Returns:
            ``[B, queries, width]``.
        """
        batch, length, width = tokens.shape
        normed = self.norm_attention(tokens)
        query = self.query(normed[:, :queries]).view(batch, queries, self.heads, -1).transpose(1, 2)
        key_value = self.key_value(normed).view(batch, length, 2, self.heads, -1).transpose(1, 3)
        attended = F.scaled_dot_product_attention(
            query,
            key_value[:, :, 0],
            key_value[:, :, 1],
            attn_mask=None if mask is None else mask[:, None, None, :],
        )
        kept = tokens[:, :queries] + self.out(attended.transpose(1, 2).reshape(batch, queries, width))
        updated: Tensor = kept + self.down(F.gelu(self.up(self.norm_feedforward(kept))))
        return updated


class FusionHead(nn.Module):
    """One reward head: slot states and numbers in, one standardised reward out.

    The last block is computed for the reading token alone, which is attention pooling over the slots.

    Args:
        state_size: width of the language model's states.
        width: token width of the head.
        layers: blocks, at least one.
        heads: attention heads.
        frequencies: exponents k of the Fourier frequencies 2^k.
    """

    def __init__(self, state_size: int, width: int, layers: int, heads: int, frequencies: tuple[int, ...]) -> None:
        super().__init__()
        self.slot_states = nn.Linear(state_size, width)
        self.text_state = nn.Linear(state_size, width)
        self.numbers = NumberFeatures(width, frequencies)
        self.reader = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads, 2 * width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.reward = nn.Linear(width, 1)

    def forward(
        self, slots: Tensor, text: Tensor, template_index: Tensor, values: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Reward of each step.

        Args:
            slots: language-model states at the slots of each template, ``[T, S, state_size]``.
            text: pooled states of each template, ``[T, state_size]``.
            template_index: ``int64 [B]``.
            values: ``float32 [B, S]``.
            mask: True where there is a number, ``bool [B, S]``; None where all are.

        Returns:
            Standardised rewards ``[B]``.
        """
        # Projected per template, then gathered: a batch holds few templates.
        meaning = self.slot_states(slots)[template_index] + self.numbers(values)
        whole = self.text_state(text)[template_index]
        tokens = torch.cat([(whole + self.reader)[:, None], meaning], dim=1)
        if mask is not None:
            mask = torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)
        for i, block in enumerate(self.blocks):
            last = i == len(self.blocks) - 1
            tokens = block(tokens, mask, 1 if last else tokens.shape[1])
        rewards: Tensor = self.reward(self.norm(tokens[:, 0]))[:, 0]
        return rewards
