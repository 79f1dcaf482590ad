"""Late fusion: templates, phrases and names of slots are read once, whatever the numbers; heads put them together.

What is read of a text is the language model's state and, beside it, hashed words, so that a model is never much worse
than one without a language model. A slot is read by its name, the clause before it; a number that was there before with
the same clause is read once more, as how much it has changed (:mod:`rmgym.models.readers.changes`). All are
standardised over what was there when the model was fitted: the states of two templates differ by little, and would
drown otherwise; slots for numbers are told apart further, see :func:`decorrelation`. Without a language model, hashed
words are all.

A slot or a phrase that was not there is read as those that were and mean most the same
(:mod:`rmgym.models.readers.alike`): heads know nothing of other vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from rmgym.errors import ModelError
from rmgym.models.backbones.tower import Tower
from rmgym.models.encoding import Encoded, encode
from rmgym.models.precision import for_keeps
from rmgym.models.readers import hashing
from rmgym.models.readers.alike import blended, cosines, drawn, matched
from rmgym.models.readers.base import HeadInputs, KeptStates
from rmgym.models.readers.changes import with_changes
from rmgym.models.readers.hashing import Name
from rmgym.models.readers.late_reading import Reading
from rmgym.models.readers.seen import Seen, names_of
from rmgym.models.readers.whole_texts import states_of
from rmgym.text.batch import TextBatch
from rmgym.text.recognise import recognise

MOST_TEXTS = 8192
"""Templates and phrases whose states are kept (where every step is said in other words, each text is a template)."""
MOST_READINGS = 16
"""Sets of templates and phrases whose reading is kept while a model is fitted."""
_SEEN = "seen"
_SAME, _FLOOR = 1e-6, 1e-3  # a standard deviation of what is always the same, and what is added to others
_NUMBERS, _WORDS, _TEXTS, _PHRASES = range(4)  # what there are statistics of
LM_SHARE = (0.3, 0.3, 0.9, 0.3)
"""Of their variance, the language model's; the rest are hashed words. Names have few words, which tell them apart;
where each text is another one, what it means has to tell what it is like."""
_LEAST = 1e-8  # of the largest variance: a direction with less holds nothing but rounding


class LateReader(nn.Module):
    """Reads templates and phrases. Heads take a :class:`Reading` and the steps themselves.

    Args:
        state_size: of the language model's states; 0 without one.

    Attributes:
        size: of what it gives of a slot, a text or a phrase.
    """

    micro_batch = 512
    scales: Tensor
    apart: Tensor
    _readings: tuple[object, dict[object, Reading]] | None

    def __init__(self, state_size: int) -> None:
        super().__init__()
        self.size = state_size + hashing.SIZE
        # Mean and standard deviation of slots for numbers and for phrases, of texts and of phrases.
        self.register_buffer("scales", torch.tensor([0.0, 1.0])[None, :, None].repeat(4, 1, self.size))
        self.register_buffer("apart", torch.eye(self.size))
        self.kept = KeptStates[Tensor](MOST_TEXTS, attrgetter("nbytes"))
        self._take(Seen())

    def encode(self, texts: TextBatch) -> Encoded:
        """Texts with their phrases in slots; plain strings like those of the fitted texts are recognised."""
        return encode(self._recognised(texts), with_changes)

    @torch.no_grad()
    def prepare(self, tower: Tower | None, texts: TextBatch) -> None:
        """Take the statistics of these texts."""
        texts = texts.used()
        self._take(Seen.of(texts))
        index = torch.from_numpy(texts.template_index.astype(np.int64)).to(self.scales.device)
        self.scales[:, 0], self.scales[:, 1] = 0.0, 1.0
        numbers, words = (self._slots(tower, list(slots)) for slots in self._slots_seen)
        wholes, phrases = self._texts(tower, texts.templates)[index], self._texts(tower, texts.phrases)
        for scale, states, share in zip(self.scales, (numbers, words, wholes, phrases), LM_SHARE, strict=True):
            if len(states):
                scale[0] = states.mean(dim=0)
                spread = states.std(dim=0, correction=0)
                # What was always the same has taught nothing: another value of it counts for nothing.
                scale[1] = torch.where(spread > _SAME, spread + _FLOOR, torch.inf) / self._weights(share)
        self.apart.copy_(decorrelation(self._scaled(_NUMBERS, numbers)))

    def has_read(self, texts: TextBatch) -> bool:
        """See :class:`rmgym.models.readers.base.Reader`."""
        there = Seen.of(self._recognised(texts))
        words = set(there.templates) <= set(self._seen.templates) and self._phrases_seen.issuperset(there.phrases)
        return words and self._seen.has_numbers_like(there)

    def facts(self) -> dict[str, str]:
        """What was there, as a text to be saved."""
        return {_SEEN: self._seen.to_json()}

    def restore(self, facts: Mapping[str, str]) -> None:
        """Take back what :meth:`facts` gave.

        Raises:
            ModelError: it is not there, or is something else.
        """
        try:
            self._take(Seen.from_json(facts[_SEEN]))
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise ModelError(
                "a late-fusion model is saved with what it was fitted on", got=repr(error), fix="fit it again"
            ) from error

    def forward(self, tower: Tower | None, inputs: Encoded) -> HeadInputs:
        """See :class:`rmgym.models.readers.base.Reader`; what is not learning reads the same words once."""
        words = (inputs.templates, inputs.phrases)
        if tower is not None and tower.learning:
            return self.read(tower, *words), inputs
        version = (None if tower is None else tower.version, self.scales._version, self.apart._version)
        if self._readings is None or self._readings[0] != version or len(self._readings[1]) == MOST_READINGS:
            self._readings = (version, {})
        if words not in self._readings[1]:
            with for_keeps(self.scales.device):
                self._readings[1][words] = self.read(tower, *words)
        return self._readings[1][words], inputs

    def read(self, tower: Tower | None, templates: Sequence[str], phrases: Sequence[str]) -> Reading:
        """What is known of some templates and phrases."""
        texts = self._scaled(_TEXTS, self._texts(tower, templates))
        numbers, words = (self._named(tower, templates, words=words) for words in (False, True))
        slots, word_slots = (
            self._padded(tower, names, which) for which, names in ((_NUMBERS, numbers), (_WORDS, words))
        )
        exact = torch.float32 if texts.device.type == "mps" else torch.float64
        tables = [torch.from_numpy(self._seen.table(names)).to(texts.device, exact) for names in numbers]
        return Reading(
            slots=slots @ self.apart,
            slot_counts=torch.tensor([len(names) for names in numbers], device=texts.device),
            word_slots=word_slots,
            texts=texts,
            phrases=self._phrases(tower, phrases),
            mean=pad_sequence([table[:, 0] for table in tables], batch_first=True),
            spread=pad_sequence([table[:, 1] for table in tables], batch_first=True, padding_value=1.0),
        )

    def guess(self, tower: Tower | None, templates: Sequence[str], phrases: Sequence[str], *, heads: int) -> Reading:
        """As :meth:`read`, but each head takes a phrase never seen for one that was.

        See :func:`rmgym.models.readers.alike.drawn`. How the heads differ then tells how unsure a reward is.
        """
        reading, seen = self.read(tower, templates, phrases), self._seen.phrases
        taken = torch.arange(len(phrases))[:, None].repeat(1, heads)
        is_new = self.are_new(phrases)
        if seen and any(is_new):
            alike = self._alike(tower, [p for p, new in zip(phrases, is_new, strict=True) if new], seen)
            taken[torch.tensor(is_new)] = drawn(alike, heads) + len(phrases)
        others = self._scaled(_PHRASES, self._texts(tower, seen))
        return replace(reading, phrases=torch.cat([reading.phrases, others]), taken=taken.to(others.device))

    def are_new(self, phrases: Sequence[str]) -> list[bool]:
        """Which phrases were not there when the model was fitted."""
        return [phrase not in self._phrases_seen for phrase in phrases]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast; what is kept is forgotten."""
        self.kept.clear()
        self._readings = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _weights(self, lm_share: float) -> Tensor:
        """What standardised vectors are multiplied with, ``[size]``: each part gets its share of the variance."""
        sizes = (self.size - hashing.SIZE, hashing.SIZE)
        if not sizes[0]:
            return torch.ones_like(self.scales[0, 0])
        shares = zip(sizes, (lm_share, 1 - lm_share), strict=True)
        return torch.cat([torch.full((size,), (share * self.size / size) ** 0.5) for size, share in shares]).to(
            self.scales
        )

    def _recognised(self, texts: TextBatch) -> TextBatch:
        return recognise(texts, self._seen.templates, self._seen.phrases) if texts.card_hash is None else texts

    def _take(self, seen: Seen) -> None:
        self._seen, self._readings = seen, None
        self._phrases_seen = frozenset(seen.phrases)
        self._slots_seen = [dict.fromkeys(seen.slots(words=words)) for words in (False, True)]

    def _scaled(self, which: int, states: Tensor) -> Tensor:
        return (states - self.scales[which, 0]) / self.scales[which, 1]

    def _named(self, tower: Tower | None, templates: Sequence[str], *, words: bool) -> list[list[Name]]:
        """The slots of templates for phrases, or those for numbers; of ones never seen, those they are taken for."""
        named, seen = [names_of(t, words=words) for t in templates], self._slots_seen[words]
        new = [i for i, names in enumerate(named) if not seen.keys() >= set(names)]
        if new and seen:
            clauses = [
                list(dict.fromkeys(names))
                for names in ([n.clause for i in new for n in named[i]], [n.clause for n in seen])
            ]
            alike = self._alike(tower, *clauses)  # of each clause once: equal ones are equally like
            row, column = ({clause: i for i, clause in enumerate(each)} for each in clauses)
            columns = [column[name.clause] for name in seen]
            for i in new:
                rows = [row[name.clause] for name in named[i]]
                named[i] = matched(alike[rows][:, columns], named[i], list(seen))
        return named

    def _phrases(self, tower: Tower | None, phrases: Sequence[str]) -> Tensor:
        """Phrases, ``[P, size]``; one never seen as a blend of those that were."""
        vectors = self._scaled(_PHRASES, self._texts(tower, phrases))
        seen = self._seen.phrases
        new = [i for i, is_new in enumerate(self.are_new(phrases)) if is_new]
        if new and seen:
            weights = blended(self._alike(tower, [phrases[i] for i in new], seen)).to(vectors)
            vectors[new] = weights @ self._scaled(_PHRASES, self._texts(tower, seen))
        return vectors

    @torch.no_grad()
    def _alike(self, tower: Tower | None, new: Sequence[str], seen: Sequence[str]) -> Tensor:
        """How much some texts mean the same as others, :func:`cosines`: by the language model if there is one."""
        states, count = self._texts(tower, [*new, *seen]), len(new)
        meaning = states if tower is None else states[:, : -hashing.SIZE]
        return cosines(meaning[:count], meaning[count:])

    def _texts(self, tower: Tower | None, texts: Sequence[str]) -> Tensor:
        """Whole texts, ``[N, size]``."""
        return self._beside(self._states(tower, texts), [hashing.text_vector(text) for text in texts])

    def _slots(self, tower: Tower | None, names: Sequence[Name]) -> Tensor:
        """Slots, ``[N, size]``."""
        states = self._states(tower, [name.clause for name in names])
        return self._beside(states, [hashing.slot_vector(name) for name in names])

    def _padded(self, tower: Tower | None, named: Sequence[Sequence[Name]], which: int) -> Tensor:
        """The slots of each template, standardised, ``[T, S, size]``; zero where it has fewer than ``S``."""
        slots = self._scaled(which, self._slots(tower, [name for names in named for name in names]))
        return pad_sequence(list(torch.split(slots, [len(names) for names in named])), batch_first=True)

    def _beside(self, states: Tensor, hashed: Sequence[hashing.Vector]) -> Tensor:
        vectors = torch.from_numpy(np.array(hashed, np.float32).reshape(-1, hashing.SIZE))
        return torch.cat([states, vectors.to(states)], dim=1)

    def _states(self, tower: Tower | None, texts: Sequence[str]) -> Tensor:
        """The language model's, ``[N, state size]``; what is not learning reads a text once, and they are kept."""
        if tower is None or not texts:
            return self.scales.new_zeros(len(texts), self.size - hashing.SIZE)
        if tower.learning:
            distinct = {text: i for i, text in enumerate(dict.fromkeys(texts))}
            return states_of(tower, list(distinct))[[distinct[text] for text in texts]]
        self.kept.follow(tower)
        states = self.kept.get_all(texts, self.scales.device, lambda unread: list(states_of(tower, unread)))
        return torch.stack(states)


def decorrelation(states: Tensor) -> Tensor:
    """What is multiplied with states ``[N, size]`` of mean 0 to tell them apart, ``[size, size]``.

    A direction of variance ``v`` is scaled by ``v ** -0.4``, most of the way to whitening (ZCA: Kessy et al. 2018,
    "Optimal Whitening and Decorrelation", https://arxiv.org/abs/1512.00809): slots with like words stay alike, but no
    longer so much that a few labels cannot tell which of them matters. What the result makes of the states has mean
    square 1; directions in which they do not differ are dropped.
    """
    states = states.cpu()  # not every device knows double precision
    covariance = states.double().T @ states.double() / max(len(states), 1)
    variance, directions = torch.linalg.eigh(covariance)
    there = variance > _LEAST * variance.max()
    if not bool(there.any()):
        return torch.eye(len(covariance)).to(states)
    directions, factors = directions[:, there], variance[there] ** -0.4
    mean_square = (variance[there] * factors**2).sum() / len(covariance)
    apart: Tensor = (directions * (factors / mean_square.sqrt())) @ directions.T
    return apart.to(states)
