"""Numbers as plain text: written as signed, spaced digits, and read by the language model like any words."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from operator import attrgetter
from typing import Self

import torch
from torch import Tensor, nn

from rmgym.models.backbones.tower import Tower
from rmgym.models.encoding import Encoded
from rmgym.models.precision import for_keeps
from rmgym.models.readers.base import HeadInputs, KeptStates, WholeTexts
from rmgym.text.numbers import show, split_template

MOST_REMEMBERED = 2048
"""Texts whose states are kept while a frozen model on digits is fitted (about 100 kB each for MiniLM)."""


def spaced_digits(template: str, numbers: Sequence[float]) -> str:
    """Render a text with signed, spaced digits: ``-0.52`` becomes ``- 0 . 5 2``, read by WordPiece digit by digit."""
    pieces, decimals = split_template(template)
    shown = [" ".join(show(value, places, "+")) for value, places in zip(numbers, decimals, strict=False)]
    return "".join(piece + number for piece, number in zip(pieces, [*shown, ""], strict=True))


def digit_texts(inputs: Encoded) -> list[str]:
    """The texts of all rows with spaced digits."""
    rows = zip(inputs.template_index.tolist(), inputs.numbers.tolist(), strict=True)
    return [spaced_digits(inputs.templates[t], row) for t, row in rows]


class DigitsReader(WholeTexts):
    """Reads each step as plain text. Heads take ``(states, mask)``, ``[B, L, size]`` and ``bool [B, L]``.

    While a frozen LM's heads are fitted, states are kept, because each text comes back at every epoch.

    Args:
        size: of the LM's states.
    """

    micro_batch = 128

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.kept = KeptStates[Tensor](MOST_REMEMBERED, attrgetter("nbytes"), most_bytes=inf)

    def forward(self, tower: Tower, inputs: Encoded) -> HeadInputs:
        """See :class:`rmgym.models.readers.base.Reader`."""
        texts = digit_texts(inputs)
        if self.training and tower.tune == "frozen":
            return self._read_once(tower, texts)
        with torch.set_grad_enabled(torch.is_grad_enabled() and tower.tune != "frozen"):
            return read_texts(tower, texts)

    def train(self, mode: bool = True) -> Self:
        """Switch mode; texts that were kept for a fit are forgotten after it."""
        if not mode:
            self.kept.clear()
        return super().train(mode)

    def _read_once(self, tower: Tower, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        self.kept.follow(tower)
        unread = [text for text in dict.fromkeys(texts) if text not in self.kept]
        if len(self.kept) + len(unread) > MOST_REMEMBERED:
            with torch.no_grad():
                return read_texts(tower, texts)
        if unread:
            with for_keeps(tower.device):
                states, mask = read_texts(tower, unread)
            for text, state, real in zip(unread, states, mask, strict=True):
                self.kept.keep(text, state[real])
        rows = [self.kept[text] for text in texts]
        lengths = torch.tensor([len(row) for row in rows], device=tower.device)
        states = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return states, torch.arange(states.shape[1], device=tower.device) < lengths[:, None]


def read_texts(tower: Tower, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Run the LM over whole texts, padded on the right.

    Returns:
        States of every token, ``[B, L, size]``, and the mask of real tokens, ``bool [B, L]``.

    Raises:
        ModelError: a text is too long.
    """
    backbone, device = tower.backbone, tower.device
    pieces: list[list[int]] = backbone.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    rows = [torch.tensor([*backbone.prefix, *ids, *backbone.suffix]) for ids in pieces]
    longest = max(range(len(rows)), key=lambda row: len(rows[row]))
    backbone.check_length(len(rows[longest]), texts[longest])
    tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = torch.arange(tokens.shape[1], device=device) < lengths[:, None]
    return tower.scaled(tower.running(input_ids=tokens, attention_mask=mask.long()).last_hidden_state), mask
