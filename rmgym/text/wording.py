"""The words of one card in one language: its layout with task and facts filled in, and templates made from it."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict
from typing import Literal

import numpy as np

from rmgym.cards import EnvCard, Field, Grid
from rmgym.cards.schema import FREE_NUMBER
from rmgym.errors import CardError
from rmgym.text.grid_words import GridWords
from rmgym.text.language import phrases
from rmgym.text.numbers import WORD, escape, extract_numbers, fill, render, slot, slot_counts, split_template
from rmgym.trees import Array

PARTS = ("state", "action", "next_state")
HISTORY = "history"
"""The part, and the key of its one fragment, that says what came before."""
ENDING = "ending"
"""The part, and the key of its one field, that says how a step ends."""


class Wording:
    """Says what a card says.

    Args:
        card: the environment's card.
        facts: values of the card's facts, by key.
        language: language of the words; a text that the card lacks in it falls back to English.
        fragments: keys of ``state`` and ``action`` that are fragments of text of their own, neither words nor numbers.
        of: ``"step"``, or ``"past"`` for the observation and action of an earlier step.

    Attributes:
        shown: what a text shows in its order, as ``(part, key, field)``; the field is None where it is a fragment, and
            how a step ends is a field with labels, by ``4 * absorbing + 2 * terminated + truncated``.

    Raises:
        CardError: the layout does not name every part once, or a fact shown in the text holds a number.
        TextError: the language is not known.
    """

    def __init__(
        self,
        card: EnvCard,
        facts: Mapping[str, Array],
        language: str,
        fragments: Mapping[str, Container[str]],
        *,
        of: Literal["step", "past"] = "step",
    ) -> None:
        self._card, self._language, self._fragments = card, language, fragments
        self._phrases = phrases(language)
        layout, parts = self._layout(of)
        self._pieces = re.split(r"\{(\w*)\}", _fill_in(layout, facts))  # plain text and parts in turn
        named = self._pieces[1::2]
        if sorted(named) != sorted(parts):
            raise CardError(
                f"{card.file or card.id}: a layout names {' and '.join('{' + part + '}' for part in parts)} "
                "once each, besides {task} and facts",
                got=layout,
                fix="correct the [text] table or the task of the card",
            )
        state: list[Field | Grid] = [field for field in [*card.observation, *card.derived] if field.shown]
        state += card.grid
        action: list[Field | Grid] = [field for field in card.action if field.shown]
        self._fields = {"state": state, "action": action, "next_state": state}
        self.shown = tuple(shown for part in named for shown in self._shown(part))
        self._unchecked = ("x", *self.phrases)

    @property
    def phrases(self) -> tuple[str, ...]:
        """Every phrase that a labelled field or the ending can be, each once."""
        labelled = (field for _, _, field in self.shown if field is not None and field.labels)
        return tuple(dict.fromkeys(phrase for field in labelled for phrase in self.labels(field).values()))

    def labels(self, field: Field) -> dict[int, str]:
        """The phrases of a labelled field by value, in order."""
        return {value: self._say(field.labels[value]) for value in sorted(field.labels)}

    def template(self, fragments: tuple[str, ...] = ()) -> str:
        """The template around some fragments of text.

        Args:
            fragments: the templates of the fragments, in the order of ``shown``.

        Raises:
            CardError: the card's words run into its numbers, so that the text would not be read as it is written.
        """
        chosen = iter(fragments)
        pieces = {part: self._part(part, chosen) for part in self._pieces[1::2]}
        template = "".join(pieces[p] if i % 2 else escape(p) for i, p in enumerate(self._pieces))
        words = slot_counts(template)[1]
        for phrase in self._unchecked:  # with one template, they have all been tried
            self._check(fill(template, (phrase,) * words))
        self._unchecked = ("x",)
        return template

    def _check(self, template: str) -> None:
        slots = len(split_template(template)[1])
        for number in (1.0, -1.0):
            text = render(template, [number] * slots)
            if extract_numbers(text)[0] != template:
                raise CardError(
                    f"{self._card.file or self._card.id}: in a text the values of fields, and only they, stand free",
                    got=text,
                    fix="put spaces around {state} and its like, and write fixed numbers as words",
                )

    def fixed(self) -> dict[str, object]:
        """Everything that shapes all templates besides the card's fields (for the hash), JSON-able."""
        content: dict[str, object] = {"language": self._language, "layout": self._pieces}
        content["phrases"] = asdict(self._phrases)
        if self._card.grid:
            content["grid"] = GridWords(self._card.grid[0], self._language).fixed()
        return content

    def _layout(self, of: Literal["step", "past"]) -> tuple[str, tuple[str, ...]]:
        """Plain text with parts, and which parts there must be."""
        if of == "past":
            return self._phrases.earlier_step, ("state", "action")
        layout = self._card.text.get(self._language, self._phrases.layout).replace("{task}", self._say(self._card.task))
        if self._card.history:
            return layout, (HISTORY, *PARTS, ENDING)
        return layout.replace("{history}", ""), (*PARTS, ENDING)

    def _shown(self, part: str) -> list[tuple[str, str, Field | None]]:
        if part == HISTORY:
            return [(HISTORY, HISTORY, None)]
        if part == ENDING:
            return [(ENDING, ENDING, self._ending())]
        return [
            (part, field.key, None if isinstance(field, Grid) or self._is_fragment(part, field) else field)
            for field in self._fields[part]
        ]

    def _ending(self) -> Field:
        sentences = {f: self._phrases.ending(bool(f & 2), bool(f & 1), f >> 2) for f in range(12)}
        return Field(key=ENDING, name={"en": ENDING}, labels={f: {"en": say} for f, say in sentences.items()})

    def _is_fragment(self, part: str, field: Field | Grid) -> bool:
        return field.key in self._fragments["action" if part == "action" else "state"]

    def _part(self, part: str, chosen: Iterator[str]) -> str:
        if part == HISTORY:
            return next(chosen)
        if part == ENDING:
            return WORD
        shown = list[str]()
        for field in self._fields[part]:
            if isinstance(field, Grid):  # its fragment says what its values are
                shown.append(next(chosen))
                continue
            pattern = self._phrases.field_with_unit if field.unit else self._phrases.field
            value = WORD if field.labels else slot(field.decimals)
            if self._is_fragment(part, field):
                value = next(chosen)
            shown.append(pattern.format(name=escape(self._say(field.name)), unit=escape(field.unit), value=value))
        return self._phrases.separator.join(shown)

    def _say(self, words: Mapping[str, str]) -> str:
        return words.get(self._language, words["en"])


def _fill_in(layout: str, facts: Mapping[str, Array]) -> str:
    """Replace ``{fact}`` in a layout by the fact in words."""
    for key, fact in facts.items():
        if "{" + key + "}" in layout:
            words = show_fact(fact)
            if number := FREE_NUMBER.search(words):
                raise CardError(
                    f"a fact shown in the text holds no numbers, which {key!r} does",
                    got=number[0],
                    fix="use it in a derived field instead, or describe it in words",
                )
            layout = layout.replace("{" + key + "}", words)
    return layout


def show_fact(fact: Array) -> str:
    """A fact in words: letters row by row, such as ``SFFF FHFH FFFH HFFG``."""
    if fact.dtype.kind == "S":
        fact = np.char.decode(fact, "ascii")
    if fact.ndim == 2 and fact.dtype.kind == "U":
        return " ".join("".join(row) for row in fact)
    return " ".join(str(value) for value in np.ravel(fact).tolist())
