"""From columns of values to a batch of text: one template per distinct combination of words, one array of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rmgym.cards import Field
from rmgym.errors import TextError
from rmgym.text.batch import TextBatch
from rmgym.text.numbers import Numbers, precise, rounded
from rmgym.text.reader import Columns
from rmgym.text.spaces import check_finite
from rmgym.text.wording import Wording

_MOST_REMEMBERED = 65_536
"""Templates that are kept: an environment has a handful, unless its observations hold free text."""
Counts = npt.NDArray[np.int64]


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
        self._templates = dict[tuple[int | str, ...], str]()
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
            flags: how each step ends (see :meth:`Wording.template`), ``[B]``, below 12.
            card_hash: what makes these texts.

        Raises:
            TextError: a value is NaN or infinite, or a discrete value has no words.
        """
        words, counts = list[npt.NDArray[np.int64]](), list[int]()
        for part, key, field in self._wording.shown:
            if field is None:
                text = fragments[part][key]
                words.append(text.template_index.astype(np.int64))
                counts.append(max(len(text.templates), 1))
            elif field.labels:
                words.append(_positions(field, columns[part][key]))
                counts.append(len(field.labels))
        combinations, template_index = distinct_rows([*words, flags], [*counts, 12])
        fixed = self._numbers(columns, len(flags))
        numbers, offsets = (
            interleave(self._pieces(fixed, fragments))
            if any(fragments.values())
            else (fixed.reshape(-1), np.arange(len(fixed) + 1, dtype=np.int64) * fixed.shape[1])
        )
        return TextBatch(
            templates=tuple(self._template(self._named(chosen, fragments)) for chosen in combinations),
            template_index=template_index,
            numbers=numbers,
            offsets=offsets,
            language=self._language,
            card_hash=card_hash,
        )

    def _numbers(self, columns: Mapping[str, Columns], size: int) -> Numbers:
        """The numbers that every text has, rounded to what it shows, ``[B, N]``."""
        numbers = np.empty((size, len(self._fields)))
        for i, (part, field) in enumerate(self._fields):
            numbers[:, i] = columns[part][field.key]
        check_finite(numbers, lambda column: self.number_keys[column])
        if not self._some_scientific:
            return rounded(numbers, self._decimals)
        return precise(numbers, self._decimals, self._scientific)

    def _pieces(self, fixed: Numbers, fragments: Mapping[str, Mapping[str, TextBatch]]) -> list[tuple[Numbers, Counts]]:
        """Numbers in the order of the slots, and how many of them each text has."""
        pieces, column = list[tuple[Numbers, Counts]](), 0
        for part, key, field in self._wording.shown:
            if field is None:
                text = fragments[part][key]
                pieces.append((text.numbers, np.diff(text.offsets)))
            elif not field.labels:
                pieces.append((fixed[:, column], np.ones(len(fixed), np.int64)))
                column += 1
        return pieces

    def _named(self, words: tuple[int, ...], fragments: Mapping[str, Mapping[str, TextBatch]]) -> tuple[int | str, ...]:
        """One combination of words with the templates of fragments in place of their numbers in this batch."""
        named, positions = list[int | str](), iter(words)
        for part, key, field in self._wording.shown:
            if field is None:
                named.append(fragments[part][key].templates[next(positions)])
            elif field.labels:
                named.append(next(positions))
        return (*named, next(positions))

    def _template(self, words: tuple[int | str, ...]) -> str:
        if words not in self._templates:
            if len(self._templates) >= _MOST_REMEMBERED:
                self._templates.clear()
            self._templates[words] = self._wording.template(words)
        return self._templates[words]


def interleave(pieces: Sequence[tuple[Numbers, Counts]]) -> tuple[Numbers, npt.NDArray[np.int64]]:
    """All numbers of each text in the order of its pieces.

    Args:
        pieces: for each piece the numbers of all texts one after the other, and how many each text has, ``int64 [B]``.

    Returns:
        Numbers, and their offsets, ``int64 [B + 1]``.
    """
    counts = np.stack([count for _, count in pieces])
    offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
    starts = offsets[:-1] + np.cumsum(counts, axis=0) - counts
    numbers = np.empty(offsets[-1], np.float64)
    for (values, count), start in zip(pieces, starts, strict=True):
        within = np.arange(len(values)) - np.repeat(np.cumsum(count) - count, count)
        numbers[np.repeat(start, count) + within] = values
    return numbers, offsets


def distinct_rows(
    words: Sequence[npt.NDArray[np.int64]], counts: Sequence[int]
) -> tuple[list[tuple[int, ...]], npt.NDArray[np.int32]]:
    """Distinct combinations of words in sorted order, and which one each step has.

    Each combination becomes one integer (mixed radix): sorting those is much faster than sorting rows.
    """
    code, span = np.zeros_like(words[0]), 1
    for position, count in zip(words, counts, strict=True):
        if span * count > 2**62:
            code, span = np.unique(code, return_inverse=True)[1], len(code)
        code, span = code * count + position, span * count
    _, first, index = np.unique(code, return_index=True, return_inverse=True)
    combinations = np.stack([position[first] for position in words], axis=1)
    return [tuple(row) for row in combinations.tolist()], index.reshape(-1).astype(np.int32)


def _positions(field: Field, column: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Positions of values among a field's sorted labels."""
    labels = np.array(sorted(field.labels))
    position = np.minimum(np.searchsorted(labels, column), len(labels) - 1)
    wrong = labels[position] != column
    if wrong.any():
        raise TextError(
            f"every value of {field.key!r} has words in the card",
            got=float(column[wrong][0]),
            fix=f"add it to 'labels' (known: {labels.tolist()})",
        )
    return position
