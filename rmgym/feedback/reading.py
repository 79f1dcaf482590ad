"""The text of a step taken apart again, so that a person can be shown a table instead of one long line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rmgym.cards import EnvCard
from rmgym.text.language import phrases

_PARTS = ("state", "action", "next_state")


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
        if card is None or not card.history:
            layout = layout.replace("{history}", "")
        pieces = re.split(r"\{(\w+)\}", layout)
        pattern = "".join(self._group(piece) if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
        self._pattern = re.compile(pattern, re.DOTALL)

    def read(self, text: str) -> StepText | None:
        """Return the parts of one step's text, or None where the text has another form."""
        parts = self._pattern.fullmatch(text)
        if parts is None:
            return None
        state, action, next_state = (self._fields(parts[part]) for part in _PARTS)
        ending = "" if parts["ending"] == self._phrases.going_on else parts["ending"]
        if not state or not action or state.keys() != next_state.keys():
            return None
        task = parts.groupdict().get("task", "")
        history = (parts.groupdict().get("history") or "").strip()
        return StepText(task=task, history=history, state=state, action=action, next_state=next_state, ending=ending)

    def _group(self, name: str) -> str:
        """Parts of a step match as little as they can; the task and facts, which come before them, as much."""
        if name in (*_PARTS, "ending"):
            return f"(?P<{name}>.*?)"
        if name == "history":
            earlier = re.escape(self._phrases.earlier).replace(re.escape("{steps}"), ".*?")
            return f"(?P<history>{earlier}|{re.escape(self._phrases.nothing_earlier)})"
        return "(?P<task>.*)" if name == "task" else ".*"

    def _fields(self, content: str) -> dict[str, str]:
        values, name = dict[str, str](), ""
        for piece in content.split(self._phrases.separator):
            before, colon, value = piece.rpartition(": ")
            if colon:
                name = before
                values[name] = value
            elif name:  # the words of a value held a separator
                values[name] += self._phrases.separator + piece
        return values
