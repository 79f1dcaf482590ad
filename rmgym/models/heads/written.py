"""Binding heads at rest: the first layer of each template and combination of phrases is written once.

With the weights fixed, ``M . (role_j x filler_j)`` is linear in what depends on a number, so the heads are a plain MLP
on the numbers, whose first weights and biases follow from the words alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rmgym.models.encoding import Encoded
from rmgym.models.heads.binding import BindingHeads
from rmgym.models.readers.late_reading import Reading

MOST_COMBINATIONS = 16_384
"""Combinations of words that are kept (for five heads of width 128 about 2.5 kB each)."""
MICRO_BATCH = 512
"""Steps computed at once: what they make of themselves still fits a core's cache."""
Read = Callable[[Sequence[str], Sequence[str]], Reading]


@dataclass(frozen=True, eq=False)
class _First:
    """A template's first layer: its numbers are standardised and their features multiplied."""

    mean: Tensor
    spread: Tensor
    weight: Tensor


class WrittenHeads:
    """Computes heads, and forgets what it has written when weights change.

    Args:
        heads: the heads.
        read: reads templates and phrases.
        guess: likewise, but heads take phrases never seen for different ones.
    """

    def __init__(self, heads: BindingHeads, read: Read, guess: Read | None = None) -> None:
        self._heads, self._read = heads, read
        self._guessing = None if guess is None else WrittenHeads(heads, guess)
        self._version: object = None
        self._templates = dict[str, _First]()
        self._place = dict[tuple[str, ...], int]()
        self._words = torch.zeros(0)

    @torch.no_grad()
    def __call__(self, version: object, inputs: Encoded) -> Tensor:
        """Standardised rewards ``[B, heads]`` with the weights of that version."""
        if version != self._version:
            self._version, self._templates, self._place = version, {}, {}
        places = self._places(inputs)
        firsts = [self._templates[template] for template in inputs.templates]
        combination = places.to(inputs.combination.device)[inputs.combination]
        if len(firsts) == 1:
            first, pieces = firsts[0], list[Tensor]()
            for start in range(0, len(inputs), MICRO_BATCH):
                rows = slice(start, start + MICRO_BATCH)
                pieces.append(self._rewards(first, self._words[combination[rows]], inputs.values[rows]))
            return torch.cat(pieces) if len(pieces) > 1 else pieces[0]
        rewards = self._words.new_empty(len(inputs), self._heads.heads)
        template = inputs.template_index
        for t, first in enumerate(firsts):
            for chosen in torch.split((template == t).nonzero()[:, 0], MICRO_BATCH):
                values = inputs.values[chosen, : len(first.mean)]
                rewards[chosen] = self._rewards(first, self._words[combination[chosen]], values)
        return rewards

    def disagreement(self, version: object, inputs: Encoded, rewards: Tensor, are_new: Sequence[bool]) -> Tensor:
        """Standard deviation of the heads for each step, ``[B]``; where a phrase is new, of their guesses.

        Args:
            version: of the weights.
            inputs: the steps, on the CPU.
            rewards: what this object makes of them, ``[B, heads]``.
            are_new: which of their phrases were not there when the model was fitted.
        """
        apart = rewards.std(dim=1)
        if self._guessing is not None and any(are_new):
            words = inputs.combinations[:, 1:]
            unsure = (torch.tensor([*are_new, False])[words] & (words >= 0)).any(dim=1)
            rows = unsure[inputs.combination].nonzero()[:, 0]
            guesses = self._guessing(version, inputs.take(rows).to(self._heads.bias.device))
            apart[rows] = guesses.std(dim=1).to(apart)
        return apart

    def _rewards(self, first: _First, words: Tensor, values: Tensor) -> Tensor:
        heads = self._heads
        if len(first.mean):
            features = heads.number_features(first.mean, first.spread, values, None)
            words.addmm_(features.flatten(1), first.weight)
        layer, skip = words[:, : -heads.heads], words[:, -heads.heads :]
        return heads.rest(layer.view(len(layer), heads.heads, heads.width), skip)

    def _places(self, inputs: Encoded) -> Tensor:
        """Where the words of each combination are kept, ``int64 [C]``; new ones are written now."""
        keys = [
            (inputs.templates[t], *(inputs.phrases[w] for w in words if w >= 0))
            for t, *words in inputs.combinations.tolist()
        ]
        if not all(key in self._place for key in keys) or not all(t in self._templates for t in inputs.templates):
            if len(self._place) + len(keys) > MOST_COMBINATIONS:
                self._templates, self._place = {}, {}
            self._write(inputs, keys)
        return torch.tensor([self._place[key] for key in keys])

    def _write(self, inputs: Encoded, keys: Sequence[tuple[str, ...]]) -> None:
        """Write what is new; the words of one combination are computed with the others of their call, once."""
        new = [i for i, key in enumerate(keys) if key not in self._place]
        heads, reading = self._heads, self._read(inputs.templates, inputs.phrases)
        first, skip = heads.words(reading, inputs.combinations[new].to(heads.bias.device))
        written = torch.cat([first.flatten(1), skip], dim=1)
        self._words = torch.cat([self._words, written]) if self._place else written
        self._place |= {keys[i]: len(self._place) + n for n, i in enumerate(new)}
        roles = heads.number_roles(reading)
        for t, template in enumerate(inputs.templates):
            if template not in self._templates:
                count = int(reading.slot_counts[t])
                own = roles[t, :count]
                layer = torch.einsum("shk,hkfo->sfho", own, heads.number_weights()).flatten(2)
                plain = torch.einsum("shk,hko->sho", own, heads.linear)[..., 0]
                skips = torch.zeros(count, heads.features, heads.heads).to(plain)
                skips[:, 0] = plain
                weight = torch.cat([layer, skips], dim=2).flatten(0, 1)
                self._templates[template] = _First(reading.mean[t, :count], reading.spread[t, :count], weight)
