"""What the texts were like that a model was fitted on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from rmgym.models.readers.changes import number_names, with_changes
from rmgym.models.readers.hashing import Name, slot_names
from rmgym.storage.foreign import parse_json
from rmgym.text.batch import TextBatch
from rmgym.text.numbers import IS_WORD, is_template, split_template

ALIKE = 3.0
"""Times by which the spread of a slot's numbers may differ for them to be read by what was seen before."""


def names_of(template: str, *, words: bool) -> list[Name]:
    """The names of a template's slots for phrases, or of its numbers and their changes."""
    if not words:
        return list(number_names(template))
    decimals = split_template(template)[1]
    return [name for name, d in zip(slot_names(template), decimals, strict=True) if d == IS_WORD]


@dataclass(frozen=True)
class Seen:
    """Templates, phrases, and how the numbers of each slot are distributed.

    Attributes:
        numbers: mean and standard deviation, by the slot's name.
        templates: all there were.
        phrases: all there were.
    """

    numbers: Mapping[Name, tuple[float, float]] = field(default_factory=dict[Name, tuple[float, float]])
    templates: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: TextBatch) -> Self:
        """What there is in some texts."""
        texts = texts.used()
        table, _ = with_changes(texts)
        values = dict[Name, list[npt.NDArray[np.float64]]]()
        order = np.argsort(texts.template_index, kind="stable")
        ends = np.bincount(texts.template_index, minlength=len(texts.templates)).cumsum()
        for template, rows in zip(texts.templates, np.split(table[order], ends[:-1]), strict=True):
            for j, name in enumerate(names_of(template, words=False)):
                values.setdefault(name, []).append(rows[:, j])
        numbers = dict[Name, tuple[float, float]]()
        for name, parts in values.items():
            column = np.concatenate(parts)
            varies = column.max() > column.min()  # the spread of one large value is not quite 0
            numbers[name] = (float(column.mean()), float(column.std()) if varies else 1.0)
        return cls(numbers, texts.templates, texts.phrases)

    def has_numbers_like(self, others: Seen) -> bool:
        """Whether the numbers of no slot are spread much wider, or narrower, in other texts, or lie elsewhere."""
        for name, (mean, spread) in others.numbers.items():
            mean_here, spread_here = self.numbers.get(name, (mean, spread))
            if not 1 / ALIKE <= spread / spread_here <= ALIKE or abs(mean - mean_here) > ALIKE * spread_here:
                return False
        return True

    def slots(self, *, words: bool) -> list[Name]:
        """The names of all slots for phrases, or of those for numbers."""
        return list(dict.fromkeys(name for template in self.templates for name in names_of(template, words=words)))

    def table(self, names: Sequence[Name]) -> npt.NDArray[np.float64]:
        """Mean and standard deviation of the numbers in some slots, ``[S, 2]``; 0 and 1 where nothing was seen."""
        return np.array([self.numbers.get(name, (0.0, 1.0)) for name in names]).reshape(-1, 2)

    def to_json(self) -> str:
        """As text; :meth:`from_json` takes it back to the bit."""
        numbers = [[*name, *values] for name, values in self.numbers.items()]
        return json.dumps({"numbers": numbers, "templates": self.templates, "phrases": self.phrases})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of :meth:`to_json`.

        Raises:
            ValueError: a template is none, a number is not finite, or one has no mean.
            KeyError: something is missing.
            TypeError: something is of another type.
        """
        content = parse_json(text)
        numbers = {
            Name(str(clause), int(before), str(words)): (float(mean), float(spread))
            for clause, before, words, mean, spread in content["numbers"]
        }
        templates, phrases = tuple(content["templates"]), tuple(content["phrases"])
        if not all(isinstance(word, str) for word in (*templates, *phrases)):
            raise TypeError("templates and phrases are strings")
        if not all(map(is_template, templates)):
            raise ValueError("templates have slots and no other fields")
        if not np.isfinite([*numbers.values()]).all() or any(spread < 0 for _, spread in numbers.values()):
            raise ValueError("means and standard deviations are finite, and no deviation is negative")
        seen = cls(numbers, templates, phrases)
        if missing := set(seen.slots(words=False)) - numbers.keys():
            raise ValueError(f"no mean of {missing.pop()}")
        return seen
