"""The fixed words of a step's text, by language. The task comes first and a field's name and unit stand before its
slot, so that a causal language model has read them when it reaches the number.
"""

from __future__ import annotations

from dataclasses import dataclass

from rmgym.errors import TextError, nearest


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """How one language says it. ``layout`` may be replaced by a card's ``[text]`` table."""

    layout: str
    field: str
    field_with_unit: str
    separator: str
    going_on: str
    terminated: str
    truncated: str
    both: str

    def ending(self, terminated: bool, truncated: bool) -> str:
        """The words for the two flags, which are never merged."""
        if terminated:
            return self.both if truncated else self.terminated
        return self.truncated if truncated else self.going_on


PHRASES = {
    "en": Phrases(
        layout="Task: {task} State: {state}. Action: {action}. Next state: {next_state}. {ending}.",
        field="{name}: {value}",
        field_with_unit="{name} in {unit}: {value}",
        separator=", ",
        going_on="The episode goes on",
        terminated="The episode terminated here",
        truncated="The time limit truncated the episode here",
        both="The episode terminated here, at the time limit that truncates it",
    ),
    "zh": Phrases(
        layout="任务: {task} 状态: {state}。 行动: {action}。 下一状态: {next_state}。 {ending}。",
        field="{name}: {value}",
        field_with_unit="{name} ({unit}): {value}",
        separator="， ",
        going_on="回合继续",
        terminated="回合在此终止",
        truncated="回合因时间限制在此截断",
        both="回合在此终止，同时达到时间限制",
    ),
}


def phrases(language: str) -> Phrases:
    """Return a language's phrases.

    Raises:
        TextError: the language is not known.
    """
    if language not in PHRASES:
        raise TextError("text is made in a known language", got=language, fix=nearest(language, PHRASES))
    return PHRASES[language]
