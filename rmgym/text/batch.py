"""The text of many steps without the strings: a few templates and an array of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.errors import TextError
from rmgym.text.numbers import Numbers, Power, extract_numbers, rounded, split_template
from rmgym.trees import Selection


@dataclass(frozen=True, kw_only=True, eq=False)
class TextBatch:
    """``B`` texts. Text ``i`` is ``templates[template_index[i]]`` filled with ``numbers[offsets[i]:offsets[i + 1]]``.

    Attributes:
        templates: format strings with one ``{:.Nf}`` slot per number (see :mod:`rmgym.text.numbers`).
        template_index: ``int32 [B]``.
        numbers: all numbers in order, ``float64 [offsets[-1]]``, already rounded to what the text shows.
        offsets: ``int64 [B + 1]``; texts may hold different counts of numbers.
        language: language code of the words, such as ``en``.
        card_hash: what made this text (card, spaces, facts, language), None for plain strings.
    """

    templates: tuple[str, ...]
    template_index: npt.NDArray[np.int32]
    numbers: Numbers
    offsets: npt.NDArray[np.int64]
    language: str = "en"
    card_hash: str | None = None

    def __post_init__(self) -> None:
        if self.numbers.dtype != np.float64:  # float32 holds whole numbers to 16,777,216 only
            raise TextError("numbers of a TextBatch are float64", got=self.numbers.dtype, fix="pass float64")
        slots = np.array([len(split_template(t)[1]) for t in self.templates], np.int64)
        counts = np.diff(self.offsets)
        if len(self.offsets) != len(self.template_index) + 1 or self.offsets[-1] != len(self.numbers):
            raise TextError("offsets of a TextBatch delimit its numbers", got=self.offsets, fix="pass int64 [B + 1]")
        if len(counts) and not np.array_equal(slots[self.template_index], counts):
            raise TextError("each text holds as many numbers as its template has slots", fix="check offsets")

    def __len__(self) -> int:
        return len(self.template_index)

    def __getitem__(self, rows: Selection) -> TextBatch:
        """Select texts by slice, indices or boolean mask."""
        index = np.arange(len(self))[rows]
        counts = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        source = np.repeat(self.offsets[index] - offsets[:-1], counts) + np.arange(offsets[-1])
        return TextBatch(
            templates=self.templates,
            template_index=self.template_index[index],
            numbers=self.numbers[source],
            offsets=offsets,
            language=self.language,
            card_hash=self.card_hash,
        )

    def strings(self) -> list[str]:
        """Render every text. For reading; models do not need it."""
        bounds, numbers = self.offsets.tolist(), self.numbers.tolist()
        for i in self._powers():
            numbers[i] = Power(numbers[i])
        return [
            self.templates[t].format(*numbers[a:b])
            for t, a, b in zip(self.template_index.tolist(), bounds[:-1], bounds[1:], strict=True)
        ]

    def _powers(self) -> list[int]:
        """Numbers that are not all there with the decimals of their slots."""
        counts = np.diff(self.offsets)
        decimals = np.zeros((len(self.templates), counts.max(initial=0)), np.int64)
        for row, template in zip(decimals, self.templates, strict=True):
            places = split_template(template)[1][: len(row)]  # a template that no text uses may have more
            row[: len(places)] = places
        shown = decimals[self.template_index][np.arange(decimals.shape[1]) < counts[:, None]]
        return np.flatnonzero(rounded(self.numbers, shown) != self.numbers).tolist()

    @classmethod
    def from_strings(cls, texts: Sequence[str], *, language: str = "en") -> TextBatch:
        """Find the numbers in plain strings; ``from_strings(x).strings() == x``, always."""
        index = dict[str, int]()
        numbers, template_index, counts = list[float](), list[int](), list[int]()
        for text in texts:
            template, values = extract_numbers(text)
            template_index.append(index.setdefault(template, len(index)))
            numbers += values
            counts.append(len(values))
        return cls(
            templates=tuple(index),
            template_index=np.array(template_index, np.int32),
            numbers=np.array(numbers, np.float64),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            language=language,
        )

    @classmethod
    def concatenate(cls, parts: Iterable[TextBatch]) -> TextBatch:
        """Join batches of one card; equal templates are stored once.

        Raises:
            TextError: there is nothing to join, or the parts come from different cards.
        """
        parts = list(parts)
        hashes = {p.card_hash for p in parts}
        if len(hashes) != 1:
            raise TextError("only texts of one card are joined", got=hashes, fix="join per environment")
        index = dict[str, int]()
        moved = [np.array([index.setdefault(t, len(index)) for t in p.templates], np.int32) for p in parts]
        counts = np.concatenate([np.diff(p.offsets) for p in parts])
        return cls(
            templates=tuple(index),
            template_index=np.concatenate([m[p.template_index] for m, p in zip(moved, parts, strict=True)]),
            numbers=np.concatenate([p.numbers for p in parts]),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            language=parts[0].language,
            card_hash=parts[0].card_hash,
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form without unused templates (for the label database)."""
        used, template_index = np.unique(self.template_index, return_inverse=True)
        return {
            "templates": [self.templates[t] for t in used],
            "template_index": template_index.tolist(),
            "numbers": self.numbers.tolist(),
            "offsets": self.offsets.tolist(),
            "language": self.language,
            "card_hash": self.card_hash,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TextBatch:
        """Inverse of :meth:`to_json`."""
        return cls(
            templates=tuple(content["templates"]),
            template_index=np.array(content["template_index"], np.int32),
            numbers=np.array(content["numbers"], np.float64),
            offsets=np.array(content["offsets"], np.int64),
            language=content["language"],
            card_hash=content["card_hash"],
        )
