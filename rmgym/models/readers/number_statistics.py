"""What the numbers of each slot were like when a model was fitted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from rmgym.models.readers.hashing import slot_names
from rmgym.text.batch import TextBatch
from rmgym.text.numbers import IS_WORD, split_template
from rmgym.text.rows import padded

Name = tuple[str, int]
"""What a slot is: see :func:`rmgym.models.readers.hashing.slot_names`."""


def number_names(template: str) -> tuple[Name, ...]:
    """The names of a template's slots for numbers."""
    decimals = split_template(template)[1]
    return tuple(name for name, d in zip(slot_names(template), decimals, strict=True) if d != IS_WORD)


@dataclass(frozen=True)
class NumberStatistics:
    """Mean and standard deviation of the numbers in each slot.

    Attributes:
        slots: by the slot's name.
        templates: those that these slots are in.
    """

    slots: Mapping[Name, tuple[float, float]] = field(default_factory=dict[Name, tuple[float, float]])
    templates: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: TextBatch) -> Self:
        """Of the numbers in some texts."""
        texts = texts.used()
        table = padded(texts.numbers, np.diff(texts.offsets))
        values = dict[Name, list[npt.NDArray[np.float64]]]()
        for t, template in enumerate(texts.templates):
            rows = table[texts.template_index == t]
            for j, name in enumerate(number_names(template)):
                values.setdefault(name, []).append(rows[:, j])
        slots = dict[Name, tuple[float, float]]()
        for name, parts in values.items():
            column = np.concatenate(parts)
            spread = float(column.std())
            slots[name] = (float(column.mean()), spread if spread > 1e-6 else 1.0)
        return cls(slots, texts.templates)

    def table(self, template: str, nearest: Callable[[str, int], Name | None]) -> npt.NDArray[np.float64]:
        """Mean and standard deviation of each slot for numbers of a template, ``[S, 2]``.

        Args:
            template: the template.
            nearest: gives a known slot that means what the ``j``-th slot of a template does; asked where that is not
                known by its own name.
        """
        rows = list[tuple[float, float]]()
        for j, (piece, before) in enumerate(number_names(template)):
            row = next((self.slots[piece, n] for n in range(before, -1, -1) if (piece, n) in self.slots), None)
            if row is None and self.slots and (name := nearest(template, j)) is not None:
                row = self.slots[name]
            rows.append(row or (0.0, 1.0))
        return np.array(rows).reshape(-1, 2)

    def to_json(self) -> str:
        """As text; :meth:`from_json` takes it back to the bit."""
        slots = [[*name, *values] for name, values in self.slots.items()]
        return json.dumps({"slots": slots, "templates": self.templates})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of :meth:`to_json`."""
        content = json.loads(text)
        slots = {(piece, before): (mean, spread) for piece, before, mean, spread in content["slots"]}
        return cls(slots, tuple(content["templates"]))
