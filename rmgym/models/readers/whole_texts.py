"""A language model's states of whole texts; many are read at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rmgym.models.backbones.backbone import Backbone
from rmgym.models.backbones.states_file import states_file
from rmgym.models.backbones.tower import Tower

MOST_TOKENS = 4096
"""Tokens that are read at once."""
_OVERLAP = 64  # tokens that a long text's next part has in common with the one before, as context


@dataclass(frozen=True)
class _Part:
    """A part of a text, and its ids."""

    text: int
    ids: tuple[int, ...]


def states_of(tower: Tower, texts: Sequence[str]) -> Tensor:
    """States of templates, phrases and names of slots, ``[N, size]``, see :func:`read_texts`.

    Those of a published LM are kept on disk.
    """
    if not texts:
        return tower.place.new_zeros(0, tower.backbone.state_size)
    if not tower.as_published:
        return read_texts(tower, texts)
    file = states_file(tower.backbone)
    states = file.get(texts)
    if unread := [text for text in dict.fromkeys(texts) if text not in states]:
        new = dict(zip(unread, read_texts(tower, unread).numpy(), strict=True))
        file.put(new)
        states |= new
    return torch.stack([torch.from_numpy(states[text]) for text in texts])


def read_texts(tower: Tower, texts: Sequence[str]) -> Tensor:
    """Run the LM over texts, those of one length together: nothing is padded.

    A text that is too long for an encoder is read in overlapping parts, the end of one too long for a causal LM alone.

    Returns:
        The mean over an encoder's tokens (over its parts' means), or a causal LM's last state, ``[N, size]``.
    """
    causal, by_length = tower.backbone.causal, dict[int, list[_Part]]()
    for i, text in enumerate(texts):
        parts = _parts(tower.backbone, i, text)
        for part in parts:
            by_length.setdefault(len(part.ids), []).append(part)
    states: list[list[Tensor]] = [[] for _ in texts]
    for length, equal in by_length.items():
        at_once = max(1, MOST_TOKENS // length)
        for start in range(0, len(equal), at_once):
            some = equal[start : start + at_once]
            tokens = torch.tensor([part.ids for part in some], device=tower.device)
            read = tower.scaled(
                tower.running(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
            )
            for part, state in zip(some, read[:, -1] if causal else read.mean(dim=1), strict=True):
                states[part.text].append(state)
    return torch.stack([torch.stack(parts).mean(dim=0) for parts in states])


def _parts(backbone: Backbone, text: int, template: str) -> list[_Part]:
    """A text in parts that the LM can read; nearly always one."""
    ids, _ = backbone.plain_tokens(template)
    room = backbone.max_tokens - len(backbone.prefix) - len(backbone.suffix)
    parts, begin = list[_Part](), max(0, len(ids) - room) if backbone.causal else 0
    while True:
        end = min(begin + room, len(ids))
        part = (*backbone.prefix, *ids[begin:end], *backbone.suffix) or (backbone.slot_token,)
        parts.append(_Part(text, part))
        if end == len(ids):
            return parts
        begin = end - min(_OVERLAP, room // 2)
