"""From columns of values to a batch of text: a template, one array of numbers, and one of words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rmgym.cards import Field
from rmgym.errors import TextError
from rmgym.text.batch import Numbered, TextBatch
from rmgym.text.numbers import Numbers, precise, rounded
from rmgym.text.reader import Columns
from rmgym.text.rows import Counts, distinct_rows, interleave, offsets_of
from rmgym.text.spaces import check_finite
from rmgym.text.wording import ENDING, Wording

_MOST_REMEMBERED = 65_536
"""Templates that are kept: an environment has a handful, unless its observations hold values without a fixed shape."""
Words = npt.NDArray[np.int32]
Value = TypeVar("Value", np.float64, np.int32)


@dataclass(frozen=True, eq=False)
class _Labelled:
    """A field that is shown in words: its values in order, and the phrase of each."""

    part: str
    field: Field
    values: npt.NDArray[np.int64]
    phrases: Words

    def words(self, column: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> Words:
        """The phrase of each value.

        Raises:
            TextError: one has none.
        """
        position = np.minimum(np.searchsorted(self.values, column), len(self.values) - 1)
        wrong = self.values[position] != column
        if wrong.any():
            raise TextError(
                f"every value of {self.field.key!r} has words in the card",
                got=float(column[wrong][0]),
                fix=f"add it to 'labels' (known: {self.values.tolist()})",
            )
        return self.phrases[position]


class Renderer:
    """Says what values say.

    Args:
        wording: the words.
        language: of the words.

    Attributes:
        number_keys: keys of the numbers that every text has, in order, as ``state.x``, ``action.torque``.
    """

    def __init__(self, wording: Wording, language: str) -> None:
        self._wording, self._language = wording, language
        self._fields = [(part, f) for part, _, f in wording.shown if f is not None and not f.labels]
        self._decimals = np.array([field.decimals for _, field in self._fields], np.int64)
        self._scientific = np.array([field.scientific for _, field in self._fields], np.bool_)
        self._some_scientific = bool(self._scientific.any())
        self._phrases = wording.phrases
        self._labelled = [self._in_words(part, f) for part, _, f in wording.shown if f is not None and f.labels]
        self._templates = dict[tuple[str, ...], str]()
        self.number_keys = tuple(f"{part}.{field.key}" for part, field in self._fields)

    def __call__(
        self,
        columns: Mapping[str, Columns],
        fragments: Mapping[str, Mapping[str, TextBatch]],
        flags: npt.NDArray[np.int64],
        card_hash: str | None = None,
    ) -> TextBatch:
        """Return ``B`` texts.

        Args:
            columns: values by part and key, each ``[B]``.
            fragments: fragments of text by part and key, ``B`` texts each.
            flags: how each step ends (see :attr:`Wording.shown`), ``[B]``, below 12.
            card_hash: what makes these texts.

        Raises:
            TextError: a value is NaN or infinite, or a discrete value has no words.
        """
        size = len(flags)
        numbers, words = self._numbers(columns, size), self._words(columns, flags)
        if any(fragments.values()):
            return self._around(fragments, numbers, words, card_hash)
        return TextBatch(
            templates=(self._template(()),),
            template_index=np.zeros(size, np.int32),
            numbers=numbers.reshape(-1),
            offsets=np.arange(size + 1, dtype=np.int64) * numbers.shape[1],
            phrases=self._phrases,
            words=words.reshape(-1),
            language=self._language,
            card_hash=card_hash,
        )

    def _around(
        self, fragments: Mapping[str, Mapping[str, TextBatch]], numbers: Numbers, words: Words, card_hash: str | None
    ) -> TextBatch:
        """Texts with fragments among their fields."""
        texts = [fragments[part][key] for part, key, field in self._wording.shown if field is None]
        chosen, template_index = distinct_rows(np.stack([text.template_index for text in texts], axis=1))
        phrases = Numbered(self._phrases)
        spoken = [(phrases.moved(text.phrases)[text.words], text.word_counts) for text in texts]
        shown = [(text.numbers, np.diff(text.offsets)) for text in texts]
        pieces = self._in_order(shown, numbers, labelled=False)
        return TextBatch(
            templates=tuple(
                self._template(tuple(text.templates[t] for text, t in zip(texts, row, strict=True)))
                for row in chosen.tolist()
            ),
            template_index=template_index,
            numbers=interleave(pieces),
            offsets=offsets_of(np.stack([count for _, count in pieces]).sum(axis=0)),
            phrases=tuple(phrases),
            words=interleave(self._in_order(spoken, words, labelled=True)),
            language=self._language,
            card_hash=card_hash,
        )

    def _in_words(self, part: str, field: Field) -> _Labelled:
        labels = self._wording.labels(field)
        phrases = np.array([self._phrases.index(phrase) for phrase in labels.values()], np.int32)
        return _Labelled(part, field, np.array(list(labels)), phrases)

    def _numbers(self, columns: Mapping[str, Columns], size: int) -> Numbers:
        """The numbers that every text has, rounded to what it shows, ``[B, N]``."""
        numbers = np.empty((size, len(self._fields)))
        for i, (part, field) in enumerate(self._fields):
            numbers[:, i] = columns[part][field.key]
        check_finite(numbers, lambda column: self.number_keys[column])
        if not self._some_scientific:
            return rounded(numbers, self._decimals)
        return precise(numbers, self._decimals, self._scientific)

    def _words(self, columns: Mapping[str, Columns], flags: npt.NDArray[np.int64]) -> Words:
        """The words that every text has, ``[B, W]``."""
        words = np.empty((len(flags), len(self._labelled)), np.int32)
        for i, labelled in enumerate(self._labelled):
            column = flags if labelled.part == ENDING else columns[labelled.part][labelled.field.key]
            words[:, i] = labelled.words(column)
        return words

    def _in_order(
        self, fragments: list[tuple[npt.NDArray[Value], Counts]], fixed: npt.NDArray[Value], *, labelled: bool
    ) -> list[tuple[npt.NDArray[Value], Counts]]:
        """Values in the order of their slots, and how many of them each text has."""
        of_fragments, of_fields = iter(fragments), iter(fixed.T)
        one = np.ones(len(fixed), np.int64)
        return [
            next(of_fragments) if field is None else (next(of_fields), one)
            for _, _, field in self._wording.shown
            if field is None or bool(field.labels) == labelled
        ]

    def _template(self, fragments: tuple[str, ...]) -> str:
        if fragments not in self._templates:
            if len(self._templates) >= _MOST_REMEMBERED:
                self._templates.clear()
            self._templates[fragments] = self._wording.template(fragments)
        return self._templates[fragments]
