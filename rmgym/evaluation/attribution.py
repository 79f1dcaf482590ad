"""What in a step's words drove its score: what becomes of the score where a field says what other steps say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rmgym.errors import TextError
from rmgym.models.base import RewardModel
from rmgym.models.readers.hashing import slot_names
from rmgym.text.batch import TextBatch
from rmgym.text.numbers import IS_WORD, split_template

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one field did for a score.

    Attributes:
        field: the words before its numbers and phrases.
        value: what it says in this text, in the order of the text.
        amount: score less the mean score with what other steps say there, in units of the reward.
        error: standard error of that mean.
    """

    field: str
    value: str
    amount: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What drove the score of a text.

    Attributes:
        score: of the text.
        shares: by field, those that did most first.
    """

    score: float
    shares: tuple[Share, ...]


def attribute(
    model: RewardModel, texts: TextBatch, reference: TextBatch, *, samples: int = 64, seed: int = 0
) -> list[Attribution]:
    """Take the fields of texts out, one at a time, and see what is missing in their scores.

    A field is all slots after the same words: what a step says of it before and after the action goes together. In its
    place stands what other texts of the same template say there (interventional occlusion, as the marginal games of
    Janzing et al. 2020, https://arxiv.org/abs/1910.13413): each field by itself says what some step said, all together
    perhaps what no step could. For a reward that adds
    up terms of one field each, a share is exactly what its term is worth beyond the mean over what stood in its place.

    Args:
        model: any reward model.
        texts: what is explained, ``B`` texts.
        reference: texts of other steps, with the templates of those that are explained.
        samples: how many of them stand in, drawn with replacement, the same for all fields of a text.
        seed: of the draw.

    Returns:
        One for each text; without shares where all of the reference says the same as the text.

    Raises:
        TextError: the reference has no text of a template.
    """
    explained = [_Explained.of(texts[[i]], reference, samples, seed + i) for i in range(len(texts))]
    if not explained:
        return []
    scores = model.predict(TextBatch.concatenate(each.variants for each in explained)).mean.astype(np.float64)
    ends = np.cumsum([len(each.variants) for each in explained])
    return [each.read(part) for each, part in zip(explained, np.split(scores, ends[:-1]), strict=True)]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Explained:
    """A text and its variants: itself, then for each field as many as there are samples."""

    names: tuple[str, ...]
    values: tuple[str, ...]
    variants: TextBatch

    @classmethod
    def of(cls, text: TextBatch, reference: TextBatch, samples: int, seed: int) -> _Explained:
        own = text.used()
        template = own.templates[0]
        alike = [i for i, other in enumerate(reference.templates) if other == template]
        rows = np.flatnonzero(np.isin(reference.template_index, alike))
        if not len(rows):
            got, fix = template[:80], "pass more steps, or such that say the same of other values"
            raise TextError("other texts of the same template stand in", got=got, fix=fix)
        rows = rows[_differ(own, reference[rows])]
        if not len(rows):
            return cls(names=(), values=(), variants=own)
        drawn = np.random.default_rng(seed).choice(rows, samples)
        both = TextBatch.concatenate([own, reference[drawn]])
        slots = _fields(template)
        count = 1 + len(slots) * samples
        numbers = np.tile(both.numbers[: both.offsets[1]], (count, 1))
        words = np.tile(both.words[: both.word_offsets[1]], (count, 1))
        others = both.numbers[both.offsets[1] :].reshape(samples, -1)
        other_words = both.words[both.word_offsets[1] :].reshape(samples, -1)
        for k, (of_numbers, of_words) in enumerate(slots.values()):
            here = slice(1 + k * samples, 1 + (k + 1) * samples)
            numbers[here, of_numbers], words[here, of_words] = others[:, of_numbers], other_words[:, of_words]
        variants = replace(
            both,
            template_index=np.full(count, both.template_index[0], np.int32),
            numbers=numbers.reshape(-1),
            offsets=np.arange(count + 1) * numbers.shape[1],
            words=words.reshape(-1).astype(np.int32),
        )
        return cls(names=tuple(slots), values=tuple(_told(own, slots)), variants=variants)

    def read(self, scores: Floats) -> Attribution:
        """What the scores of the variants say."""
        score, others = (
            float(scores[0]),
            scores[1:].reshape(len(self.names), (len(scores) - 1) // max(len(self.names), 1)),
        )
        shares = [
            Share(field=name, value=value, amount=score - float(row.mean()), error=float(row.std() / len(row) ** 0.5))
            for name, value, row in zip(self.names, self.values, others, strict=True)
        ]
        return Attribution(score=score, shares=tuple(sorted(shares, key=lambda share: -abs(share.amount))))


def _differ(own: TextBatch, others: TextBatch) -> npt.NDArray[np.bool_]:
    """Which of some texts of one template say something else than one of them, ``bool [B]``."""
    both = TextBatch.concatenate([own, others])
    numbers, words = both.numbers.reshape(len(both), -1), both.words.reshape(len(both), -1)
    differ: npt.NDArray[np.bool_] = (numbers[1:] != numbers[0]).any(axis=1) | (words[1:] != words[0]).any(axis=1)
    return differ


def _fields(template: str) -> dict[str, tuple[list[int], list[int]]]:
    """By the words before them, the places of numbers among the numbers, and of phrases among the phrases."""
    fields, counts = dict[str, tuple[list[int], list[int]]](), [0, 0]
    for name, decimals in zip(slot_names(template), split_template(template)[1], strict=True):
        kind = int(decimals == IS_WORD)
        fields.setdefault(name.clause or "the text", ([], []))[kind].append(counts[kind])
        counts[kind] += 1
    return fields


def _told(text: TextBatch, fields: dict[str, tuple[list[int], list[int]]]) -> Sequence[str]:
    """What a text says of each field."""
    decimals = [d for d in split_template(text.templates[0])[1] if d != IS_WORD]
    numbers = [f"{value:.{places}f}" for value, places in zip(text.numbers.tolist(), decimals, strict=True)]
    phrases = [text.phrases[word] for word in text.words.tolist()]
    return [", ".join([*(numbers[i] for i in a), *(phrases[i] for i in b)]) for a, b in fields.values()]
