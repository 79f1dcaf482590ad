"""The text of many steps without the strings: a few templates, an array of numbers, and a few phrases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rmgym.errors import TextError
from rmgym.text.numbers import Numbers, extract_numbers, fill, is_template, render, slot_counts
from rmgym.text.rows import distinct_rows, offsets_of, padded, take_rows
from rmgym.trees import Selection

Scalar = TypeVar("Scalar", np.int32, np.int64, np.float64)


class Numbered(dict[str, int]):
    """Distinct strings, numbered as they come.

    Args:
        strings: the first ones.
    """

    def __init__(self, strings: Sequence[str] = ()) -> None:
        super().__init__()
        self.moved(strings)

    def moved(self, strings: Sequence[str]) -> npt.NDArray[np.int32]:
        """The numbers of some strings."""
        return np.array([self.setdefault(string, len(self)) for string in strings], np.int32)


@dataclass(frozen=True, kw_only=True, eq=False)
class TextBatch:
    """``B`` texts. Text ``i`` is ``templates[template_index[i]]`` filled with its numbers and phrases.

    Attributes:
        templates: format strings with one ``{:.Nf}`` slot per number and one ``{:s}`` slot per phrase (see
            :mod:`rmgym.text.numbers`).
        template_index: ``int32 [B]``.
        numbers: all numbers in order, ``float64 [offsets[-1]]``, already rounded to what the text shows; those of text
            ``i`` are ``numbers[offsets[i]:offsets[i + 1]]``.
        offsets: ``int64 [B + 1]``; texts may hold different counts of numbers.
        phrases: what stands in the slots of phrases: distinct strings without free numbers.
        words: all phrases in order, as positions in ``phrases``, ``int32 [word_offsets[-1]]``.
        language: language code of the words, such as ``en``.
        card_hash: what made this text (card, spaces, facts, language), None for plain strings.
    """

    templates: tuple[str, ...]
    template_index: npt.NDArray[np.int32]
    numbers: Numbers
    offsets: npt.NDArray[np.int64]
    phrases: tuple[str, ...] = ()
    words: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    language: str = "en"
    card_hash: str | None = None

    def __post_init__(self) -> None:
        if self.numbers.dtype != np.float64:  # float32 holds whole numbers to 16,777,216 only
            raise TextError("numbers of a TextBatch are float64", got=self.numbers.dtype, fix="pass float64")
        counts = np.diff(self.offsets)
        if len(self.offsets) != len(self.template_index) + 1 or self.offsets[-1] != len(self.numbers):
            raise TextError("offsets of a TextBatch delimit its numbers", got=self.offsets, fix="pass int64 [B + 1]")
        slots = np.array([slot_counts(t) for t in self.templates], np.int64).reshape(-1, 2)
        if len(counts) and not np.array_equal(slots[self.template_index, 0], counts):
            raise TextError("each text holds as many numbers as its template has slots", fix="check offsets")
        if slots[self.template_index, 1].sum() != len(self.words):
            raise TextError("each text holds as many phrases as its template has slots", fix="check words")
        if len(self.words) and not (self.words.min() >= 0 and self.words.max() < len(self.phrases)):
            raise TextError("words of a TextBatch are positions of its phrases", got=self.words, fix="check words")

    def __len__(self) -> int:
        return len(self.template_index)

    @cached_property
    def word_counts(self) -> npt.NDArray[np.int64]:
        """Phrases of each text, ``int64 [B]``."""
        return np.array([slot_counts(t)[1] for t in self.templates], np.int64)[self.template_index]

    @property
    def word_offsets(self) -> npt.NDArray[np.int64]:
        """Where the words of each text begin and the last ones end, ``int64 [B + 1]``."""
        return offsets_of(self.word_counts)

    def __getitem__(self, rows: Selection) -> TextBatch:
        """Select texts by slice, indices or boolean mask."""
        index = np.arange(len(self))[rows]
        return replace(
            self,
            template_index=self.template_index[index],
            numbers=take_rows(self.numbers, self.offsets, index),
            offsets=offsets_of(np.diff(self.offsets)[index]),
            words=take_rows(self.words, self.word_offsets, index),
        )

    def filled(self) -> TextBatch:
        """The same texts with each phrase written into its template: one for each combination of phrases that occurs.

        For whoever reads whole sentences.
        """
        if not len(self.words):
            return self
        combinations, template_index = self.combinations()
        written = Numbered()
        place = written.moved(
            [
                fill(self.templates[t], tuple(self.phrases[w] for w in words if w >= 0))
                for t, *words in combinations.tolist()
            ]
        )
        return replace(
            self,
            templates=tuple(written),
            template_index=place[template_index],
            phrases=(),
            words=np.zeros(0, np.int32),
        )

    def combinations(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Distinct templates with their phrases, and which of them each text has.

        Returns:
            ``int32 [C, 1 + most phrases]``, the template and its words, -1 where it has no more of them, and
            ``int32 [B]``.
        """
        words = padded(self.words, self.word_counts, -1)
        return distinct_rows(np.concatenate([self.template_index[:, None], words], axis=1))

    def strings(self) -> list[str]:
        """Render every text. For reading; models do not need it."""
        texts = self.filled()
        bounds, numbers = texts.offsets.tolist(), texts.numbers.tolist()
        return [
            render(texts.templates[t], numbers[a:b])
            for t, a, b in zip(texts.template_index.tolist(), bounds[:-1], bounds[1:], strict=True)
        ]

    @classmethod
    def from_strings(cls, texts: Sequence[str], *, language: str = "en") -> TextBatch:
        """Find the numbers in plain strings; ``from_strings(x).strings() == x``, always."""
        templates, split = Numbered(), [extract_numbers(text) for text in texts]
        return cls(
            template_index=templates.moved([template for template, _ in split]),
            templates=tuple(templates),
            numbers=np.array([value for _, values in split for value in values], np.float64),
            offsets=offsets_of(np.array([len(values) for _, values in split], np.int64)),
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
        templates, phrases = Numbered(), Numbered()
        indices = [templates.moved(p.templates)[p.template_index] for p in parts]
        words = [phrases.moved(p.phrases)[p.words] for p in parts]
        return cls(
            templates=tuple(templates),
            template_index=np.concatenate(indices),
            numbers=np.concatenate([p.numbers for p in parts]),
            offsets=offsets_of(np.concatenate([np.diff(p.offsets) for p in parts])),
            phrases=tuple(phrases),
            words=np.concatenate(words),
            language=parts[0].language,
            card_hash=parts[0].card_hash,
        )

    def used(self) -> TextBatch:
        """The same texts without templates and phrases that none of them has."""
        templates, template_index = np.unique(self.template_index, return_inverse=True)
        phrases, words = np.unique(self.words, return_inverse=True)
        return replace(
            self,
            templates=tuple(self.templates[t] for t in templates),
            template_index=template_index.reshape(-1).astype(np.int32),
            phrases=tuple(self.phrases[w] for w in phrases),
            words=words.reshape(-1).astype(np.int32),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form without unused templates and phrases (for the label database)."""
        used = self.used()
        return {
            "templates": list(used.templates),
            "template_index": used.template_index.tolist(),
            "numbers": used.numbers.tolist(),
            "offsets": used.offsets.tolist(),
            "phrases": list(used.phrases),
            "words": used.words.tolist(),
            "language": used.language,
            "card_hash": used.card_hash,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TextBatch:
        """Inverse of :meth:`to_json`, whoever wrote it.

        Args:
            content: the values by name; arrays may be arrays.

        Raises:
            TextError: something is missing, is of another type, or does not fit the rest.
        """
        try:
            return cls._of_foreign(content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise TextError(
                "texts are what TextBatch.to_json gives",
                got=f"without {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0],
                fix="make them again",
            ) from error

    @classmethod
    def _of_foreign(cls, content: Mapping[str, Any]) -> TextBatch:
        language, card_hash = content["language"], content["card_hash"]
        if not isinstance(language, str) or not isinstance(card_hash, str | None):
            raise ValueError("language and card_hash are strings")
        _strings([language, card_hash or ""])
        templates, phrases = _strings(content["templates"]), _strings(content["phrases"])
        if bad := next((t for t in templates if not is_template(t)), None):
            raise ValueError(f"template {bad!r} has other fields than {{:.Nf}} and {{:s}}")
        index, words = _column(content["template_index"], np.int32), _column(content["words"], np.int32)
        numbers, offsets = _column(content["numbers"], np.float64), _column(content["offsets"], np.int64)
        if len(index) and not (index.min() >= 0 and index.max() < len(templates)):
            raise ValueError("template_index names a template that is not there")
        if not len(offsets) or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise ValueError("offsets begin at 0 and never fall")
        if not np.isfinite(numbers).all():
            raise ValueError("numbers are finite")
        return cls(
            templates=templates,
            template_index=index,
            numbers=numbers,
            offsets=offsets,
            phrases=phrases,
            words=words,
            language=language,
            card_hash=card_hash,
        )


def _column(values: Sequence[float], dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    """Numbers as an array of one dimension; what a dtype cannot hold is refused.

    Raises:
        ValueError: there is something else.
    """
    given = np.array(values)
    if given.ndim == 1 and (not len(given) or given.dtype.kind in "iuf"):
        with np.errstate(invalid="ignore"):
            column = given.astype(dtype)
        if np.array_equal(column, given):
            return column
    raise ValueError(f"a list of {dtype.__name__} holds nothing else, as {str(values)[:40]} does")


def _strings(values: Sequence[object]) -> tuple[str, ...]:
    """Strings as a tuple.

    Raises:
        ValueError: there is something else, or UTF-8 has no bytes for one of them (half of a surrogate pair).
    """
    strings = [value for value in values if isinstance(value, str)] if isinstance(values, list | tuple) else None
    if strings is None or len(strings) < len(values):
        raise ValueError("templates and phrases are strings in a list")
    for string in strings:
        string.encode()
    return tuple(strings)
