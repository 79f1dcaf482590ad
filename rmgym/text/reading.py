"""The text of a step taken apart again, so that a person can be shown a table instead of one long line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rmgym.cards import EnvCard
from rmgym.text.language import phrases

_PARTS = ("state", "action", "next_state", "ending")
_STEPS = "steps"
_SHORT = (*_PARTS, _STEPS)
"""Parts that are as short as they can be; the task and facts, which come before them, are as long."""


@dataclass(frozen=True, kw_only=True)
class StepText:
    """One step as shown values by field name; what there is nothing to say about is empty."""

    task: str
    history: str
    state: dict[str, str]
    action: dict[str, str]
    next_state: dict[str, str]
    ending: str


class StepReader:
    """Reads texts that were made with a card.

    Args:
        card: the card; None for an environment without one.
        language: language of the texts.

    Raises:
        TextError: the language is not known.
    """

    def __init__(self, card: EnvCard | None, language: str) -> None:
        self._phrases = phrases(language)
        layout = card.text.get(language, self._phrases.layout) if card is not None else self._phrases.layout
        histories = (self._phrases.earlier, self._phrases.nothing_earlier) if card and card.history else ("",)
        self._layouts = [re.split(r"\{(\w+)\}", layout.replace("{history}", history)) for history in histories]

    def read(self, text: str) -> StepText | None:
        """Return the parts of one step's text, or None where the text has another form; in time linear in the text."""
        readings = [parts for layout in self._layouts if (parts := _parts(text, layout[::2], layout[1::2])) is not None]
        parts = max(readings, key=lambda reading: len(reading.get("task", "")), default={})
        if not parts.keys() >= set(_PARTS):
            return None
        state, action, next_state = (self._fields(parts[part]) for part in _PARTS[:3])
        ending = "" if parts["ending"] == self._phrases.going_on else parts["ending"]
        if not state or not action or state.keys() != next_state.keys():
            return None
        return StepText(
            task=parts.get("task", ""),
            history=self._history(parts),
            state=state,
            action=action,
            next_state=next_state,
            ending=ending,
        )

    def _history(self, parts: dict[str, str]) -> str:
        if len(self._layouts) == 1:
            return ""
        earlier, nothing = self._phrases.earlier, self._phrases.nothing_earlier
        return (earlier.replace("{steps}", parts[_STEPS]) if _STEPS in parts else nothing).strip()

    def _fields(self, content: str) -> dict[str, str]:
        values, name = dict[str, list[str]](), ""
        for piece in content.split(self._phrases.separator):
            before, colon, value = piece.rpartition(": ")
            if colon:
                name = before
                values[name] = [value]
            elif name:  # the words of a value held a separator
                values[name].append(piece)
        return {name: self._phrases.separator.join(pieces) for name, pieces in values.items()}


def _parts(text: str, literals: list[str], names: list[str]) -> dict[str, str] | None:
    """What stands between literals, by name; None where they do not all stand in a text, in order.

    What a pattern of ``.*`` and ``.*?`` would match, without trying again: wherever a literal stands, those behind it
    fit behind it if they do behind its last place.
    """
    last = _last_places(text, literals)
    if last is None or not text.startswith(literals[0]):
        return None
    parts, begin = dict[str, str](), len(literals[0])
    for i, (name, literal, latest) in enumerate(zip(names, literals[1:], last, strict=True), 1):
        is_short = name in _SHORT and i < len(names)  # the last one ends where the text does
        end = text.find(literal, begin) if is_short else latest
        if not begin <= end <= latest:
            return None
        parts[name] = text[begin:end]
        begin = end + len(literal)
    return parts


def _last_places(text: str, literals: list[str]) -> list[int] | None:
    """Where each literal but the first stands for the last time with all others behind it, the last one at the end."""
    end, places = len(text), list[int]()
    for literal in reversed(literals[1:]):
        place = text.rfind(literal, 0, end)
        if place < 0 or (not places and place != len(text) - len(literal)):
            return None
        places.append(place)
        end = place
    return places[::-1]
