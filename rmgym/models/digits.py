"""Numbers as plain text: written as signed, spaced digits, and read by the language model like any words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rmgym.models.backbones import Backbone
from rmgym.models.neural import Encoded
from rmgym.text.numbers import split_template

MOST_REMEMBERED = 2048
"""Texts whose states are kept while a frozen model on digits is fitted (about 100 kB each for MiniLM)."""


def spaced_digits(template: str, numbers: Sequence[float]) -> str:
    """Render a text with signed, spaced digits: ``-0.52`` becomes ``- 0 . 5 2``, read by WordPiece digit by digit."""
    pieces, decimals = split_template(template)
    shown = [" ".join(f"{value:+.{d}f}") for value, d in zip(numbers, decimals, strict=False)]
    return "".join(piece + number for piece, number in zip(pieces, [*shown, ""], strict=True))


def digit_texts(inputs: Encoded) -> list[str]:
    """The texts of all rows with spaced digits."""
    rows = zip(inputs.template_index.tolist(), inputs.values.tolist(), strict=True)
    return [spaced_digits(inputs.templates[t], row) for t, row in rows]


def read_texts(tower: Any, backbone: Backbone, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
    """Run the LM over whole texts, padded on the right.

    Returns:
        States of every token, ``[B, L, size]``, and the mask of real tokens, ``bool [B, L]``.

    Raises:
        ModelError: a text is too long.
    """
    pieces: list[list[int]] = backbone.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    rows = [torch.tensor([*backbone.prefix, *ids, *backbone.suffix]) for ids in pieces]
    longest = max(range(len(rows)), key=lambda row: len(rows[row]))
    backbone.check_length(len(rows[longest]), texts[longest])
    tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = torch.arange(tokens.shape[1], device=device) < lengths[:, None]
    return tower(input_ids=tokens, attention_mask=mask.long()).last_hidden_state, mask


class TextMemory:
    """States of texts that come back at every epoch: a frozen LM reads each of them once per fit."""

    def __init__(self) -> None:
        self._states = dict[str, Tensor]()

    def clear(self) -> None:
        """Forget everything."""
        self._states.clear()

    def read(self, tower: Any, backbone: Backbone, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """See :func:`read_texts`."""
        if unread := [text for text in dict.fromkeys(texts) if text not in self._states]:
            if len(self._states) + len(unread) > MOST_REMEMBERED:
                return read_texts(tower, backbone, texts, device)
            states, mask = read_texts(tower, backbone, unread, device)
            self._states |= {t: s[m] for t, s, m in zip(unread, states, mask, strict=True)}
        known = [self._states[text] for text in texts]
        states = nn.utils.rnn.pad_sequence(known, batch_first=True)
        lengths = torch.tensor([len(k) for k in known], device=device)
        return states, torch.arange(states.shape[1], device=device) < lengths[:, None]
