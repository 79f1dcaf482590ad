"""A language model's states at the slots of templates, and of whole texts; many are read at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rmgym.models.backbones.backbone import Backbone
from rmgym.models.backbones.tower import Tower

MOST_TOKENS = 4096
"""Tokens that are read at once."""
_OVERLAP = 64  # tokens that a long text's next part has in common with the one before, as context


@dataclass(frozen=True)
class _Part:
    """A part of a text: its ids, and the slots whose states it gives, as ``(slot, position)``."""

    text: int
    order: int
    ids: tuple[int, ...]
    slots: tuple[tuple[int, int], ...]


def read_templates(tower: Tower, templates: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
    """Run the LM over templates and phrases, those of one length together: nothing is padded.

    A text that is too long for the LM is read in overlapping parts, and a slot in the first part that holds it.

    Returns:
        For each, the states at its slots, ``[slots, size]``, and that of the whole text, ``[size]``: the mean over an
        encoder's tokens (over its parts' means), or a causal LM's last one.
    """
    parts = [part for i, template in enumerate(templates) for part in _parts(tower.backbone, i, template)]
    by_length = dict[int, list[_Part]]()
    for part in parts:
        by_length.setdefault(len(part.ids), []).append(part)
    slots: list[dict[int, Tensor]] = [{} for _ in templates]
    wholes: list[dict[int, Tensor]] = [{} for _ in templates]
    for length, equal in by_length.items():
        at_once = max(1, MOST_TOKENS // length)
        for start in range(0, len(equal), at_once):
            some = equal[start : start + at_once]
            tokens = torch.tensor([part.ids for part in some], device=tower.device)
            states = tower.running(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
            for part, state in zip(some, tower.scaled(states), strict=True):
                slots[part.text] |= {slot: state[position] for slot, position in part.slots}
                wholes[part.text][part.order] = state[-1] if tower.backbone.causal else state.mean(dim=0)
    return [
        (
            torch.stack([states[slot] for slot in sorted(states)]) if states else _none(tower),
            whole[len(whole) - 1] if tower.backbone.causal else torch.stack(list(whole.values())).mean(dim=0),
        )
        for states, whole in zip(slots, wholes, strict=True)
    ]


def _none(tower: Tower) -> Tensor:
    return tower.place.new_zeros(0, tower.backbone.state_size)


def _parts(backbone: Backbone, text: int, template: str) -> list[_Part]:
    """A text in parts that the LM can read; nearly always one."""
    ids, positions = backbone.plain_tokens(template)
    room = backbone.max_tokens - len(backbone.prefix) - len(backbone.suffix)
    parts, begin, first_new = list[_Part](), 0, 0
    while True:
        end = min(begin + room, len(ids))
        inside = [(slot, p) for slot, p in enumerate(positions) if first_new <= p < end]
        shift = len(backbone.prefix) - begin
        whole = (*backbone.prefix, *ids[begin:end], *backbone.suffix) or (backbone.slot_token,)
        parts.append(_Part(text, len(parts), whole, tuple((slot, p + shift) for slot, p in inside)))
        if end == len(ids):
            return parts
        begin, first_new = end - min(_OVERLAP, room // 2), end
