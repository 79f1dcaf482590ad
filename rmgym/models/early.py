"""Early fusion: the numbers enter the language model, each as one token whose embedding is made of its value.

Where a causal LM is only asked for scores, what precedes a template's first number is the same for every row: its keys
and values are computed once and shared, and only the rest of each row is run. That is exact, since no earlier token
sees a later one. There is nothing of the kind for an encoder: it reads in both directions, so that every state depends
on the numbers.
"""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rmgym.models.backbones import Backbone
from rmgym.models.neural import Encoded

MOST_PREFIXES = 64
"""Templates whose beginnings are kept (for SmolLM2-135M, about 46 kB a token)."""


def read_early(tower: Any, backbone: Backbone, inputs: Encoded, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Run the LM over whole rows.

    Args:
        tower: the language model.
        backbone: its tokens.
        inputs: the rows.
        numbers: what is added to the embeddings of the slots, ``[B, S, size]``.

    Returns:
        States of every token, ``[B, L, size]``, and the mask of real tokens, ``bool [B, L]``; shorter rows are padded
        on the right.
    """
    device = numbers.device
    read = [backbone.tokens(template) for template in inputs.templates]
    length = max(len(ids) for ids, _ in read)
    ids = torch.zeros(len(read), length, dtype=torch.int64)
    real = torch.zeros(len(read), length, dtype=torch.bool)
    place = torch.zeros(len(read), inputs.values.shape[1], dtype=torch.int64)
    for t, (tokens, slots) in enumerate(read):
        ids[t, : len(tokens)] = torch.tensor(tokens)
        real[t, : len(tokens)] = True
        place[t, : len(slots)] = torch.tensor(slots, dtype=torch.int64)
    index = inputs.template_index
    embedded = tower.get_input_embeddings()(ids.to(device))[index]
    embedded = _add(embedded, place.to(device)[index], numbers * inputs.mask[..., None])
    mask = real.to(device)[index]
    return tower(inputs_embeds=embedded, attention_mask=mask.long()).last_hidden_state, mask


@dataclass(frozen=True)
class _Prefix:
    """What a causal LM made of a template's beginning: keys and values, and states ``[1, P, size]``."""

    cache: Any
    states: Tensor


class PrefixReader:
    """Reads rows like :func:`read_early`, but what precedes the first number once per template. Gradients do not pass.

    Args:
        backbone: of a causal LM.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._known = OrderedDict[str, _Prefix]()

    def clear(self) -> None:
        """Forget everything: the LM has changed or moved."""
        self._known.clear()

    def __call__(self, tower: Any, inputs: Encoded, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """See :func:`read_early`."""
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

    def _read(self, tower: Any, template: str, numbers: Tensor) -> Tensor:
        """States ``[B, L, size]`` of rows of one template."""
        ids, slots = self._backbone.tokens(template)
        start = slots[0] if slots else len(ids) - 1  # at least one token is left to run
        if start == 0:
            prefix, states = None, numbers.new_zeros(len(numbers), 0, numbers.shape[-1])
        else:
            prefix = self._prefix(tower, template, ids[:start])
            states = prefix.states.expand(len(numbers), -1, -1)
        rest = torch.tensor(ids[start:], device=numbers.device)
        embedded = tower.get_input_embeddings()(rest).expand(len(numbers), -1, -1)
        where = torch.tensor(slots, dtype=torch.int64, device=numbers.device) - start
        embedded = _add(embedded, where.expand(len(numbers), -1), numbers[:, : len(slots)])
        said: dict[str, Any] = {"attention_mask": torch.ones(len(numbers), len(ids), device=rest.device).long()}
        if prefix is not None:
            said |= {_cache_name(tower): _repeated(prefix.cache, len(numbers)), "use_cache": True}
        read = tower(inputs_embeds=embedded, **said).last_hidden_state
        return torch.cat([states.to(read.dtype), read], dim=1)

    def _prefix(self, tower: Any, template: str, ids: list[int]) -> _Prefix:
        if template not in self._known:
            from transformers import DynamicCache

            while len(self._known) >= MOST_PREFIXES:
                self._known.popitem(last=False)
            device = tower.get_input_embeddings().weight.device
            # What is kept must not be inference tensors: their use elsewhere is an error.
            with torch.inference_mode(False), torch.no_grad():
                cache: Any = DynamicCache(config=tower.config)
                said = {_cache_name(tower): cache, "use_cache": True}
                states = tower(input_ids=torch.tensor([ids], device=device), **said).last_hidden_state
            self._known[template] = _Prefix(cache, states)
        self._known.move_to_end(template)
        return self._known[template]


def _add(embedded: Tensor, where: Tensor, numbers: Tensor) -> Tensor:
    """Add ``[B, S, size]`` to ``[B, L, size]`` at positions ``int64 [B, S]``."""
    index = where[..., None].expand(-1, -1, numbers.shape[-1])
    return embedded.scatter_add(1, index, numbers.to(embedded.dtype))


def _cache_name(tower: nn.Module) -> str:
    """What the language model calls its keys and values; transformers renamed them in the middle of version 5."""
    return "cache" if "cache" in inspect.signature(tower.forward).parameters else "past_key_values"


def _repeated(cache: Any, size: int) -> Any:
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
