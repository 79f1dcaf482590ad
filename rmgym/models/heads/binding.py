"""Roles bound to fillers: a head whose first weights the language model writes.

A slot's *role* is what is known of the slot, projected; its *filler* is the number in it, or what is known of the
phrase in it. Both are bound by an outer product, and the bindings of all slots are added up: the tensor product
representation of Smolensky 1990, "Tensor product variable binding and the representation of symbolic structures in
connectionist systems" (https://doi.org/10.1016/0004-3702(90)90007-M). A small MLP reads the reward off the sum:

``r = MLP(M . vec sum_j role_j x filler_j)``, beside a linear skip ``l . sum_j role_j x filler_j``.

Since the numbers enter linearly, ``M . role_j`` is the first layer of a plain MLP on them, written once per template:
see :mod:`rmgym.models.heads.written`. Roles of numbers are a random projection that does not learn: with few labels, a
role that learns makes slots alike that the labels say little about.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rmgym.models.encoding import Encoded
from rmgym.models.readers.late_reading import Reading

PHRASE_ROLES, PHRASE_FILLER = 16, 32
"""Sizes of the two vectors that are bound where a phrase stands."""
TEXT = 64
"""Size of what is kept of a whole text's state."""
FAR = 3.0
"""Standard deviations of a number from its mean, beyond which it counts by its logarithm."""
COMMON = 128**-0.5
"""What the roles of all numbers have in common, beside what sets them apart. The vectors of slots have mean 0, so that
with nothing in common roles would nearly add up to nothing, and what all numbers do together could not be read."""


class BindingHeads(nn.Module):
    """Several independent heads, computed as one.

    Args:
        size: of a reading's vectors.
        heads: how many.
        width: of the MLP's layers.
        roles: size of a number's role.
        frequencies: exponents ``k`` of the Fourier features of numbers ``sin, cos(pi 2^k x)``; none by default, which
            few labels like best.
    """

    learning_rate = 2e-3
    most_drawn = 128

    def __init__(self, size: int, heads: int, width: int, roles: int, frequencies: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.heads, self.width, self.roles, self.frequencies = heads, width, roles, frequencies
        self.features = 1 + 2 * len(frequencies)  # those that depend on the number
        self.role = nn.Linear(size, heads * roles).requires_grad_(False)
        self.role.bias.mul_(COMMON * size**0.5)
        self.phrase_role = nn.Linear(size, heads * PHRASE_ROLES)
        self.filler = nn.Linear(size, heads * PHRASE_FILLER)
        self.text = nn.Linear(size, heads * TEXT)
        self.bind = _matrices(heads, roles * (self.features + 1), width)
        self.bind_phrases = _matrices(heads, PHRASE_ROLES * PHRASE_FILLER, width)
        self.bind_text = _matrices(heads, TEXT, width)
        self.bias = nn.Parameter(torch.zeros(heads * width))
        self.linear = nn.Parameter(torch.zeros(heads, roles, 1))
        self.linear_phrases = nn.Parameter(torch.zeros(heads, PHRASE_ROLES * PHRASE_FILLER, 1))
        self.hidden = _matrices(heads, width, width)
        self.hidden_bias = nn.Parameter(torch.zeros(heads * width))
        self.out = _matrices(heads, width, 1)
        self.out_bias = nn.Parameter(torch.zeros(heads))

    def forward(self, reading: Reading, steps: Encoded) -> Tensor:
        """Standardised rewards ``[B, heads]`` of steps whose templates and phrases were read."""
        roles, template = self.number_roles(reading), steps.template_index
        features = self.number_features(reading.mean[template], reading.spread[template], steps.numbers, steps.mask)
        if len(roles) == 1:
            bound = torch.einsum("shk,bsf->hbkf", roles[0], features)
        else:
            bound = torch.einsum("bshk,bsf->hbkf", roles[template], features)
        weight = self.number_weights()
        words, skip = self.words(reading, roles, steps.combinations)
        first = words[steps.combination] + (bound.flatten(2) @ weight.flatten(1, 2)).transpose(0, 1)
        skip = skip[steps.combination] + (bound[..., 0] @ self.linear)[..., 0].T
        return self.rest(first, skip)

    def number_roles(self, reading: Reading) -> Tensor:
        """Roles of the slots for numbers, ``[T, S, heads, roles]``."""
        roles = self._projected(self.role, reading.slots, self.roles)
        return roles / reading.slot_counts.clamp_min(1).sqrt()[:, None, None, None].to(roles)

    def number_features(self, mean: Tensor, spread: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Fillers that depend on the number, ``[B, S, features]``: itself, standardised, then its Fourier features.

        Numbers are exact until they are standardised: a time stamp needs more digits than a weight. Far from what was
        seen (an angle that jumps by a turn) they grow by their logarithm alone.
        """
        x = squashed((values - mean) / spread).to(self.bind.dtype)
        features = [x]
        for k in self.frequencies:
            features += [0.3 * (math.pi * 2.0**k * x).sin(), 0.3 * (math.pi * 2.0**k * x).cos()]
        stacked = torch.stack(features, dim=-1)
        return stacked if mask is None else stacked * mask[..., None]

    def number_weights(self) -> Tensor:
        """What the bound features are multiplied with, ``[heads, roles, features, width]``."""
        return self.bind.view(self.heads, self.roles, self.features + 1, self.width)[:, :, :-1]

    def words(self, reading: Reading, number_roles: Tensor, combinations: Tensor) -> tuple[Tensor, Tensor]:
        """What words alone add to the first layer, ``[C, heads, width]``, and to the reward, ``[C, heads]``."""
        template, word_index = combinations[:, 0], combinations[:, 1:]
        # The filler 1 of every number: which numbers there are.
        there = self.bind.view(self.heads, self.roles, self.features + 1, self.width)[:, :, -1]
        present = (torch.arange(reading.slots.shape[1], device=there.device) < reading.slot_counts[:, None]).to(there)
        first = torch.einsum("tshk,ts,hko->tho", number_roles, present, there)
        text = self._projected(self.text, reading.texts, TEXT)
        first = first + torch.einsum("thk,hko->tho", text, self.bind_text) + self.bias.view(self.heads, self.width)
        if not word_index.shape[1] or not len(reading.phrases):
            return first[template], first.new_zeros(len(template), self.heads)
        roles = self._projected(self.phrase_role, reading.word_slots, PHRASE_ROLES)[template]
        fillers = self._projected(self.filler, reading.phrases, PHRASE_FILLER)
        if reading.taken is not None:
            fillers = fillers[reading.taken, torch.arange(self.heads, device=fillers.device)]
        fillers = fillers[word_index.clamp_min(0)]
        fillers = fillers * (word_index >= 0)[..., None, None]
        count = (word_index >= 0).sum(dim=1).clamp_min(1).sqrt().to(first)[:, None, None]
        bound = torch.einsum("cwhk,cwhd->hckd", roles, fillers).flatten(2)
        words = (bound @ self.bind_phrases).transpose(0, 1) / count
        return first[template] + words, (bound @ self.linear_phrases)[..., 0].T / count[..., 0]

    def rest(self, first: Tensor, skip: Tensor) -> Tensor:
        """Rewards ``[B, heads]`` from the first layer ``[B, heads, width]`` and the linear skip ``[B, heads]``."""
        hidden = F.silu(first).transpose(0, 1)
        bias = self.hidden_bias.view(self.heads, 1, self.width)
        hidden = hidden + F.silu(torch.baddbmm(bias, hidden, self.hidden))
        return (hidden @ self.out)[..., 0].T + self.out_bias + skip

    def _projected(self, layer: nn.Linear, vectors: Tensor, size: int) -> Tensor:
        """Vectors ``[..., size]`` for each head, normalised, ``[..., heads, projected size]``."""
        return F.layer_norm(layer(vectors.to(layer.weight.dtype)).unflatten(-1, (self.heads, size)), (size,))


def squashed(x: Tensor) -> Tensor:
    """Numbers as they are up to ``FAR``, and beyond it with their logarithm: ``3 + log(1 + (|x| - 3))``."""
    near = x.clamp(-FAR, FAR)
    return near + torch.copysign(torch.log1p((x - near).abs()), x)


def _matrices(count: int, rows: int, columns: int) -> nn.Parameter:
    """One matrix per head, drawn as those of :class:`torch.nn.Linear` are."""
    return nn.Parameter((2 * torch.rand(count, rows, columns) - 1) / rows**0.5)
