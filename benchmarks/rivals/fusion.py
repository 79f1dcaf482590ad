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
    """Pre-norm Transformer block.

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

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Update every token.

        Args:
            tokens: ``[B, N, width]``.
            mask: True where a token counts, ``bool [B, N]``; None where all do.

        Returns:
            ``[B, N, width]``.
        """
        batch, length, width = tokens.shape
        weight = torch.cat([self.query.weight, self.key_value.weight])  # one product instead of two
        bias = torch.cat([self.query.bias, self.key_value.bias])
        projected = F.linear(self.norm_attention(tokens), weight, bias).view(batch, length, 3, self.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        allowed = None if mask is None else mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        # Added in place, into what the product has just made: a large array less to allocate.
        return self._feed_forward(self.out(attended.transpose(1, 2).reshape(batch, length, width)).add_(tokens))

    def first(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """What :meth:`forward` makes of the first token, ``[B, width]``, without projecting the others.

        With one query ``q`` per head, ``q . (W_k n) = (W_k^T q) . n`` and ``sum a_j W_v n_j = W_v sum a_j n_j``: the
        query and the mean are projected instead of every token's key and value. (The bias of the keys shifts all
        scores alike and drops out.)
        """
        batch, _, width = tokens.shape
        size = width // self.heads
        normed = self.norm_attention(tokens)
        key, value = self.key_value.weight.view(2, self.heads, size, width)
        query = self.query(normed[:, 0]).view(batch, self.heads, size) / size**0.5
        scores = torch.einsum("bhd,hdw->bhw", query, key) @ normed.transpose(1, 2)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -torch.inf)
        read = torch.einsum("bhw,hdw->bhd", scores.softmax(dim=-1) @ normed, value).reshape(batch, width)
        return self._feed_forward(tokens[:, 0] + self.out(read + self.key_value.bias[width:]))

    def _feed_forward(self, tokens: Tensor) -> Tensor:
        updated: Tensor = self.down(F.gelu(self.up(self.norm_feedforward(tokens)))).add_(tokens)
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
        reading = (self.text_state(text) + self.reader)[:, None]
        tokens = torch.cat([reading, self.slot_states(slots)], dim=1)[template_index]
        tokens[:, 1:] += self.numbers(values)
        if mask is not None:
            mask = torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)
        for block in self.blocks[:-1]:
            tokens = block(tokens, mask)
        last = self.blocks[-1]
        assert isinstance(last, Block)  # nn.ModuleList does not say of what
        rewards: Tensor = self.reward(self.norm(last.first(tokens, mask)))[:, 0]
        return rewards
