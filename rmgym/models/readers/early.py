"""Early fusion: the numbers enter the language model, each as one token whose embedding is made of its value.

Where a causal LM is only asked for scores, what precedes a template's first number is the same for every row: its keys
and values are computed once and shared, and only the rest of each row is run. That is exact, since no earlier token
sees a later one. There is nothing of the kind for an encoder: it reads in both directions, so that every state depends
on the numbers.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rmgym.models.backbones.backbone import LanguageModel
from rmgym.models.backbones.tower import Tower
from rmgym.models.encoding import Encoded
from rmgym.models.number_features import NumberFeatures
from rmgym.models.readers.base import HeadInputs, KeptStates, WholeTexts

KeysAndValues = Any
"""A cache of ``transformers``, whose layers have many classes without a common type."""

MOST_PREFIXES = 64
"""Templates whose beginnings are kept (for SmolLM2-135M, about 46 kB a token)."""


class EarlyReader(WholeTexts):
    """Puts numbers into the LM. Heads take ``(states, mask)``, ``[B, L, size]`` and ``bool [B, L]``.

    Args:
        size: width of the LM's embeddings.
        frequencies: see :class:`rmgym.models.number_features.NumberFeatures`.
        causal: whether the LM reads from left to right, so that beginnings can be shared.
    """

    micro_batch = 128

    def __init__(self, size: int, frequencies: tuple[int, ...], *, causal: bool) -> None:
        super().__init__(size)
        self.numbers = NumberFeatures(size, frequencies)
        self.prefixes = PrefixReader() if causal else None

    def forward(self, tower: Tower, inputs: Encoded) -> HeadInputs:
        """See :class:`rmgym.models.readers.base.Reader`."""
        numbers = self.numbers(inputs.values)
        if self.prefixes is not None and not torch.is_grad_enabled():
            states, mask = self.prefixes(tower, inputs, numbers)
        else:
            states, mask = read_early(tower, inputs, numbers)
        return tower.scaled(states), mask


def read_early(tower: Tower, inputs: Encoded, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Run the LM over whole rows.

    Args:
        tower: the language model.
        inputs: the rows.
        numbers: what is added to the embeddings of the slots, ``[B, S, size]``.

    Returns:
        States of every token, ``[B, L, size]``, and the mask of real tokens, ``bool [B, L]``; shorter rows are padded
        on the right.
    """
    device = numbers.device
    read = [tower.backbone.tokens(template) for template in inputs.templates]
    length = max(len(ids) for ids, _ in read)
    ids = torch.zeros(len(read), length, dtype=torch.int64)
    real = torch.zeros(len(read), length, dtype=torch.bool)
    place = torch.zeros(len(read), inputs.numbers.shape[1], dtype=torch.int64)
    for t, (tokens, slots) in enumerate(read):
        ids[t, : len(tokens)] = torch.tensor(tokens)
        real[t, : len(tokens)] = True
        place[t, : len(slots)] = torch.tensor(slots, dtype=torch.int64)
    index = inputs.template_index
    lm = tower.running
    embedded = lm.get_input_embeddings()(ids.to(device))[index]
    embedded = _add(embedded, place.to(device)[index], numbers * inputs.mask[..., None])
    mask = real.to(device)[index]
    return lm(inputs_embeds=embedded, attention_mask=mask.long()).last_hidden_state, mask


@dataclass(frozen=True)
class _Prefix:
    """What a causal LM made of a template's beginning: keys and values, and states ``[1, P, size]``."""

    cache: KeysAndValues
    states: Tensor

    def nbytes(self) -> int:
        """Bytes of all of it."""
        tensors = [tensor for layer in self.cache.layers for tensor in vars(layer).values()]
        return self.states.nbytes + sum(tensor.nbytes for tensor in tensors if isinstance(tensor, Tensor))


class PrefixReader:
    """Reads rows like :func:`read_early`, but what precedes the first number once per template. Gradients do not pass.

    The language model is a causal one.
    """

    def __init__(self) -> None:
        self.kept = KeptStates[_Prefix](MOST_PREFIXES, _Prefix.nbytes)

    def __call__(self, tower: Tower, inputs: Encoded, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """See :func:`read_early`."""
        self.kept.follow(tower)
        parts = list[tuple[Tensor, Tensor]]()
        for t, template in enumerate(inputs.templates):  # rows of one template are equally long: nothing is padded
            rows = (inputs.template_index == t).nonzero()[:, 0]
            parts.append((rows, self._read(tower, template, numbers[rows])))
        if len(parts) == 1:
            states = parts[0][1]
            return states, torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        length = max(states.shape[1] for _, states in parts)
        states = parts[0][1].new_zeros(len(numbers), length, numbers.shape[-1])
        mask = torch.zeros(len(numbers), length, dtype=torch.bool, device=states.device)
        for rows, read in parts:
            states[rows, : read.shape[1]] = read
            mask[rows, : read.shape[1]] = True
        return states, mask

    def _read(self, tower: Tower, template: str, numbers: Tensor) -> Tensor:
        """States ``[B, L, size]`` of rows of one template."""
        ids, slots = tower.backbone.tokens(template)
        start = slots[0] if slots else len(ids) - 1  # at least one token is left to run
        lm = tower.running
        rest = torch.tensor(ids[start:], device=numbers.device)
        embedded = lm.get_input_embeddings()(rest).expand(len(numbers), -1, -1)
        where = torch.tensor(slots, dtype=torch.int64, device=numbers.device) - start
        embedded = _add(embedded, where.expand(len(numbers), -1), numbers[:, : len(slots)])
        attended = torch.ones(len(numbers), len(ids), device=rest.device).long()
        if start == 0:
            whole: Tensor = lm(inputs_embeds=embedded, attention_mask=attended).last_hidden_state
            return whole
        (prefix,) = self.kept.get_all([template], tower.device, lambda _: [_read_prefix(lm, ids[:start])])
        cache = {_cache_name(lm): _repeated(prefix.cache, len(numbers)), "use_cache": True}
        read: Tensor = lm(inputs_embeds=embedded, attention_mask=attended, **cache).last_hidden_state
        return torch.cat([prefix.states.expand(len(numbers), -1, -1).to(read.dtype), read], dim=1)


def _read_prefix(lm: LanguageModel, ids: list[int]) -> _Prefix:
    from transformers import DynamicCache

    cache: KeysAndValues = DynamicCache(config=lm.config)
    tokens = torch.tensor([ids], device=lm.get_input_embeddings().weight.device)
    return _Prefix(cache, lm(input_ids=tokens, use_cache=True, **{_cache_name(lm): cache}).last_hidden_state)


def _add(embedded: Tensor, where: Tensor, numbers: Tensor) -> Tensor:
    """Add ``[B, S, size]`` to ``[B, L, size]`` at positions ``int64 [B, S]``."""
    index = where[..., None].expand(-1, -1, numbers.shape[-1])
    return embedded.scatter_add(1, index, numbers.to(embedded.dtype))


def _cache_name(lm: LanguageModel) -> str:
    """What the language model calls its keys and values; transformers renamed them in the middle of version 5."""
    return "cache" if "cache" in inspect.signature(lm.forward).parameters else "past_key_values"


def _repeated(cache: KeysAndValues, size: int) -> KeysAndValues:
    """A cache of one row as one of ``size`` rows; a copy, because the LM appends to what it is given."""
    from transformers.cache_utils import DynamicLayer

    copied = copy.deepcopy(cache)
    for layer in copied.layers:
        if type(layer) is DynamicLayer:  # appends by making new tensors, so that rows may share memory
            keys, values = layer.keys, layer.values
            assert keys is not None  # the prefix has been read
            assert values is not None
            layer.keys, layer.values = keys.expand(size, -1, -1, -1), values.expand(size, -1, -1, -1)
        else:
            layer.batch_repeat_interleave(size)
    return copied
