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
from rmgym.text.kept import size_of
from rmgym.text.numbers import slot_counts

MOST_BYTES = 128 * 2**20
"""Of what is kept: for five heads of width 128 about 2.5 kB for each combination of words and for each number slot of a
template."""
_SLOTS = 16_384  # of templates that are read at once
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
        self._words = torch.zeros(0)  # a row per combination, and room for more
        self._bytes = 0

    @torch.no_grad()
    def __call__(self, version: object, inputs: Encoded) -> Tensor:
        """Standardised rewards ``[B, heads]`` with the weights of that version."""
        if version != self._version:
            self._version = version
            self._forget()
        places = self._places(inputs)
        firsts = [self._templates[template] for template in inputs.templates]
        combination = places.to(inputs.combination.device)[inputs.combination]
        if len(firsts) == 1:
            first, pieces = firsts[0], list[Tensor]()
            for start in range(0, len(inputs), MICRO_BATCH):
                rows = slice(start, start + MICRO_BATCH)
                pieces.append(self._rewards(first, self._words[combination[rows]], inputs.numbers[rows]))
            return torch.cat(pieces) if len(pieces) > 1 else pieces[0]
        rewards = self._words.new_empty(len(inputs), self._heads.heads)
        template = inputs.template_index
        for t, first in enumerate(firsts):
            for chosen in torch.split((template == t).nonzero()[:, 0], MICRO_BATCH):
                values = inputs.numbers[chosen, : len(first.mean)]
                rewards[chosen] = self._rewards(first, self._words[combination[chosen]], values)
        return rewards

    def disagreement(self, version: object, inputs: Encoded, rewards: Tensor, are_new: Sequence[bool]) -> Tensor:
        """Standard deviation of the heads for each step, ``[B]``, 0 for one; where a phrase is new, of their guesses.

        Args:
            version: of the weights.
            inputs: the steps, on the CPU.
            rewards: what this object makes of them, ``[B, heads]``.
            are_new: which of their phrases were not there when the model was fitted.
        """
        if rewards.shape[1] == 1:
            return torch.zeros(len(rewards))
        apart = rewards.std(dim=1)
        if self._guessing is not None and any(are_new):
            words = inputs.combinations[:, 1:]
            unsure = (torch.tensor([*are_new, False])[words] & (words >= 0)).any(dim=1)
            rows = unsure[inputs.combination].nonzero()[:, 0]
            guesses = self._guessing(version, inputs.take(rows).to(self._heads.bias.device))
            apart[rows] = guesses.float().std(dim=1).to(apart)
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
        if any(key not in self._place for key in keys):
            if self._bytes > MOST_BYTES:
                self._forget()
            self._write(inputs, keys)
        return torch.tensor([self._place[key] for key in keys])

    def _forget(self) -> None:
        self._templates, self._place, self._words, self._bytes = {}, {}, torch.zeros(0), 0

    def _write(self, inputs: Encoded, keys: Sequence[tuple[str, ...]]) -> None:
        """Write what is new, a part at a time, those with the fewest slots first: little is padded then."""
        slots = [slot_counts(key[0])[0] for key in keys]
        new = sorted((i for i, key in enumerate(keys) if key not in self._place), key=lambda i: slots[i])
        while new:
            size = next((n for n in range(1, len(new)) if (n + 1) * slots[new[n]] > _SLOTS), len(new))
            part, new = new[:size], new[size:]
            templates, phrases, combinations = inputs.spoken(torch.tensor(part))
            reading = self._read(templates, phrases)
            first, skip = self._heads.words(
                reading, self._heads.number_roles(reading), combinations.to(self._heads.bias.device)
            )
            self._keep(torch.cat([first.flatten(1), skip], dim=1), [keys[i] for i in part])
            self._write_numbers(templates, reading)

    def _keep(self, written: Tensor, keys: Sequence[tuple[str, ...]]) -> None:
        """Keep the words of new combinations, in a table that grows by doubling."""
        count = len(self._place)
        if count + len(keys) > len(self._words):
            table = written.new_empty(max(2 * len(self._words), count + len(keys)), written.shape[1])
            if count:
                table[:count] = self._words[:count]
            self._bytes += (len(table) - len(self._words)) * table[0].nbytes
            self._words = table
        self._words[count : count + len(keys)] = written
        self._place |= {key: count + n for n, key in enumerate(keys)}
        self._bytes += sum(map(size_of, keys))

    def _write_numbers(self, templates: Sequence[str], reading: Reading) -> None:
        """Write what the numbers of templates are multiplied with."""
        heads = self._heads
        roles = heads.number_roles(reading)
        for t, template in enumerate(templates):
            if template not in self._templates:
                count = int(reading.slot_counts[t])
                own = roles[t, :count]
                layer = torch.einsum("shk,hkfo->sfho", own, heads.number_weights()).flatten(2)
                plain = torch.einsum("shk,hko->sho", own, heads.linear)[..., 0]
                skips = torch.zeros(count, heads.features, heads.heads).to(plain)
                skips[:, 0] = plain
                weight = torch.cat([layer, skips], dim=2).flatten(0, 1)
                self._templates[template] = _First(reading.mean[t, :count], reading.spread[t, :count], weight)
                self._bytes += weight.nbytes
