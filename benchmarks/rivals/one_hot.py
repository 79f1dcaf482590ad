"""A step's text as one vector of numbers, as whoever does without a language model would write it down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.text import TextBatch

Word = tuple[int, str]
"""A slot of a phrase, by its position in the text, and what stands there; slot -1 holds the text's template."""


@dataclass(frozen=True)
class OneHot:
    """Turns texts into numbers alone: their own, a flag for each that is missing, and one number for each known word.

    Attributes:
        numbers: number slots that are read; a missing one is zero, those beyond are cut.
        words: each word of the labelled texts, with its place among the numbers; an unknown one has none.
    """

    numbers: int
    words: dict[Word, int]

    @classmethod
    def of(cls, texts: TextBatch) -> OneHot:
        """What there is in the labelled texts."""
        words = {word: place for place, word in enumerate(dict.fromkeys(w for row in _words(texts) for w in row))}
        return cls(int(np.diff(texts.offsets).max(initial=0)), words)

    def __call__(self, texts: TextBatch) -> TextBatch:
        """Vectors in the form of texts without words."""
        vectors = self.vectors(texts)
        size, width = vectors.shape
        return TextBatch(
            templates=("{:.4f} " * width,),
            template_index=np.zeros(size, np.int32),
            numbers=vectors.reshape(-1),
            offsets=np.arange(size + 1) * width,
        )

    def vectors(self, texts: TextBatch) -> npt.NDArray[np.float64]:
        """The same texts as vectors ``[B, 2 * numbers + len(words)]``."""
        return np.concatenate([*self._numbers(texts), self._one_hot(texts)], axis=1)

    def _numbers(self, texts: TextBatch) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        counts = np.diff(texts.offsets)
        there = np.arange(max(self.numbers, counts.max(initial=0))) < counts[:, None]
        values = np.zeros(there.shape)
        values[there] = texts.numbers
        return values[:, : self.numbers], ~there[:, : self.numbers] * 1.0

    def _one_hot(self, texts: TextBatch) -> npt.NDArray[np.float64]:
        table = np.zeros((len(texts), len(self.words)))
        for row, words in zip(table, _words(texts), strict=True):
            row[[self.words[word] for word in words if word in self.words]] = 1
        return table


def _words(texts: TextBatch) -> list[list[Word]]:
    """Template and phrases of each text."""
    bounds = texts.word_offsets.tolist()
    return [
        [(-1, texts.templates[t]), *enumerate(texts.phrases[w] for w in texts.words[a:b].tolist())]
        for t, a, b in zip(texts.template_index.tolist(), bounds[:-1], bounds[1:], strict=True)
    ]
