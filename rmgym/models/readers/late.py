"""Late fusion: each template and each phrase is read once, whatever the numbers; heads put them together.

What is read of a slot, a text or a phrase is the language model's state and, beside it, hashed words, so that a model
is never much worse than one without a language model. Both are standardised over what was there when the model was
fitted: the states of two templates differ by little, and would drown otherwise. Without a language model, hashed words
are all. Slots for numbers are told apart further, see :func:`decorrelation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from rmgym.errors import ModelError
from rmgym.models.backbones.states_file import StatesFile
from rmgym.models.backbones.tower import Tower
from rmgym.models.encoding import Encoded, encode
from rmgym.models.readers import hashing
from rmgym.models.readers.base import HeadInputs, KeptStates
from rmgym.models.readers.late_reading import Reading
from rmgym.models.readers.number_statistics import Name, NumberStatistics, number_names
from rmgym.models.readers.templates import read_templates
from rmgym.text.batch import TextBatch
from rmgym.text.numbers import IS_WORD, split_template
from rmgym.text.recognise import recognise

MOST_TEXTS = 8192
"""Templates and phrases whose states are kept (where every step is said in other words, each text is a template)."""
_STATISTICS = "statistics"
_SAME, _FLOOR = 1e-6, 1e-3  # a standard deviation of what is always the same, and what is added to others
_NUMBERS, _WORDS, _TEXTS, _PHRASES = range(4)  # what there are statistics of
_LEAST = 1e-8  # of the largest variance: a direction with less holds nothing but rounding


@dataclass(frozen=True, eq=False)
class _Read:
    """One template or phrase: its slots for numbers and for phrases, ``[slots, size]``, and its whole, ``[size]``."""

    numbers: Tensor
    words: Tensor
    whole: Tensor


class LateReader(nn.Module):
    """Reads templates and phrases. Heads take ``(reading, combinations, combination, values, mask)``.

    These are a :class:`Reading` and what :class:`rmgym.models.encoding.Encoded` says of the steps.

    Args:
        state_size: of the language model's states; 0 without one.

    Attributes:
        size: of what it gives of a slot, a text or a phrase.
    """

    micro_batch = 512
    scales: Tensor
    apart: Tensor

    def __init__(self, state_size: int) -> None:
        super().__init__()
        self.size = state_size + hashing.SIZE
        # Mean and standard deviation of slots for numbers and for phrases, of texts and of phrases.
        self.register_buffer("scales", torch.tensor([0.0, 1.0])[None, :, None].repeat(4, 1, self.size))
        self.register_buffer("apart", torch.eye(self.size))
        self.kept = KeptStates[_Read](MOST_TEXTS)
        self._numbers = NumberStatistics()
        self._tables = dict[str, Tensor]()

    def encode(self, texts: TextBatch) -> Encoded:
        """Texts with their phrases in slots; plain strings like those of the fitted texts are recognised."""
        return encode(recognise(texts, self._numbers.templates) if texts.card_hash is None else texts)

    @torch.no_grad()
    def prepare(self, tower: Tower | None, texts: TextBatch) -> None:
        """Take the statistics of these texts."""
        texts = texts.used()
        self._take(NumberStatistics.of(texts))
        read, spoken = self._read(tower, texts.templates), self._read(tower, texts.phrases)
        index = torch.from_numpy(texts.template_index.astype(np.int64)).to(self.scales.device)
        wholes = torch.stack([r.whole for r in read])[index]
        numbers, words = torch.cat([r.numbers for r in read]), torch.cat([r.words for r in read])
        phrases = torch.stack([r.whole for r in spoken]) if spoken else wholes[:0]
        for scale, states in zip(self.scales, (numbers, words, wholes, phrases), strict=True):
            if len(states):
                scale[0] = states.mean(dim=0)
                spread = states.std(dim=0, correction=0)
                # What was always the same has taught nothing: another value of it counts for nothing.
                scale[1] = torch.where(spread > _SAME, spread + _FLOOR, torch.inf)
        self.apart.copy_(decorrelation((numbers - self.scales[_NUMBERS, 0]) / self.scales[_NUMBERS, 1]))

    def facts(self) -> dict[str, str]:
        """The statistics of numbers, as a text to be saved."""
        return {_STATISTICS: self._numbers.to_json()}

    def restore(self, facts: Mapping[str, str]) -> None:
        """Take back what :meth:`facts` gave.

        Raises:
            ModelError: it is not there, or is something else.
        """
        try:
            self._take(NumberStatistics.from_json(facts[_STATISTICS]))
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(
                "a late-fusion model is saved with the statistics of its numbers", got=repr(error), fix="fit it again"
            ) from error

    def forward(self, tower: Tower | None, inputs: Encoded) -> HeadInputs:
        """See :class:`rmgym.models.readers.base.Reader`."""
        reading = self.read(tower, inputs.templates, inputs.phrases)
        return reading, inputs.combinations, inputs.combination, inputs.values, inputs.mask

    def read(self, tower: Tower | None, templates: Sequence[str], phrases: Sequence[str]) -> Reading:
        """What is known of some templates and phrases."""
        read, spoken = self._read(tower, templates), self._read(tower, phrases)
        tables = [self._table(tower, template) for template in templates]
        texts = self._scaled(_TEXTS, torch.stack([r.whole for r in read]))
        return Reading(
            slots=self._scaled(_NUMBERS, pad_sequence([r.numbers for r in read], batch_first=True)) @ self.apart,
            slot_counts=torch.tensor([float(len(r.numbers)) for r in read]).to(texts),
            word_slots=self._scaled(_WORDS, pad_sequence([r.words for r in read], batch_first=True)),
            texts=texts,
            phrases=self._scaled(_PHRASES, torch.stack([r.whole for r in spoken])) if spoken else texts[:0],
            mean=pad_sequence([table[:, 0] for table in tables], batch_first=True),
            spread=pad_sequence([table[:, 1] for table in tables], batch_first=True, padding_value=1.0),
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast; what is kept is forgotten."""
        self.kept.clear()
        self._tables.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _take(self, numbers: NumberStatistics) -> None:
        self._numbers = numbers
        self._tables.clear()

    def _scaled(self, which: int, states: Tensor) -> Tensor:
        return (states - self.scales[which, 0]) / self.scales[which, 1]

    def _table(self, tower: Tower | None, template: str) -> Tensor:
        """Mean and standard deviation of the numbers in each slot, ``[S, 2]``."""
        if template not in self._tables:
            if len(self._tables) >= MOST_TEXTS:
                self._tables.clear()
            table = self._numbers.table(template, lambda template, j: self._nearest(tower, template, j))
            with torch.inference_mode(False):  # it outlives the call
                self._tables[template] = torch.from_numpy(table).float().to(self.scales.device)
        return self._tables[template]

    @torch.no_grad()
    def _nearest(self, tower: Tower | None, template: str, j: int) -> Name | None:
        """The known slot whose state is most like that of a template's ``j``-th slot for a number."""
        templates = self._numbers.templates
        names = [name for t in templates for name in number_names(t)]
        if not names:
            return None
        states = self._scaled(_NUMBERS, torch.cat([read.numbers for read in self._read(tower, templates)]))
        wanted = self._scaled(_NUMBERS, self._read(tower, [template])[0].numbers[j])
        return names[int(torch.cosine_similarity(states, wanted[None]).argmax())]

    def _read(self, tower: Tower | None, texts: Sequence[str]) -> list[_Read]:
        """Read each text; what is not learning is read once and kept."""
        if tower is not None and tower.learning:
            return _read(tower, texts, self.scales)
        if tower is not None:
            self.kept.follow(tower)
        return self.kept.get_all(texts, self.scales.device, lambda unread: _read(tower, unread, self.scales))


def decorrelation(states: Tensor) -> Tensor:
    """What is multiplied with states ``[N, size]`` of mean 0 to tell them apart, ``[size, size]``.

    A direction of variance ``v`` is scaled by ``v ** -0.25``, halfway to whitening (ZCA: Kessy et al. 2018, "Optimal
    Whitening and Decorrelation", https://arxiv.org/abs/1512.00809): slots with like words stay alike, but no longer so
    much that a few labels cannot tell which of them matters. What the result makes of the states has mean square 1;
    directions in which they do not differ are dropped.
    """
    covariance = states.double().T @ states.double() / max(len(states), 1)
    variance, directions = torch.linalg.eigh(covariance)
    there = variance > _LEAST * variance.max()
    if not bool(there.any()):
        return torch.eye(len(covariance)).to(states)
    directions, factors = directions[:, there], variance[there] ** -0.25
    mean_square = (variance[there] * factors**2).sum() / len(covariance)
    apart: Tensor = (directions * (factors / mean_square.sqrt())) @ directions.T
    return apart.to(states)


def _states(tower: Tower, texts: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
    """As :func:`read_templates`; those of a published LM are kept on disk."""
    if not tower.as_published:
        return read_templates(tower, texts)
    file = StatesFile(tower.backbone)
    states = file.get(texts)
    if unread := [text for text in dict.fromkeys(texts) if text not in states]:
        read = zip(unread, read_templates(tower, unread), strict=True)
        new = {text: torch.cat([slots, whole[None]]).numpy() for text, (slots, whole) in read}
        file.put(new)
        states |= new
    return [(rows[:-1], rows[-1]) for rows in (torch.from_numpy(states[text]) for text in texts)]


def _read(tower: Tower | None, texts: Sequence[str], like: Tensor) -> list[_Read]:
    """Read texts now; hashed words are a tensor like that one."""
    states = None if tower is None else _states(tower, texts)
    read = list[_Read]()
    for i, text in enumerate(texts):
        vectors = np.stack([hashing.text_vector(text), *map(hashing.slot_vector, hashing.slot_names(text))])
        hashed = torch.from_numpy(vectors).to(like)
        slots, whole = hashed[1:], hashed[0]
        if states is not None:
            slots, whole = torch.cat([states[i][0], slots], dim=1), torch.cat([states[i][1], whole])
        is_word = torch.tensor([d == IS_WORD for d in split_template(text)[1]], dtype=torch.bool, device=like.device)
        read.append(_Read(slots[~is_word], slots[is_word], whole))
    return read
