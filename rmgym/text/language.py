"""The fixed words of a step's text, by language. The task comes first and a field's name and unit stand before its
slot, so that a causal language model has read them when it reaches the number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rmgym.errors import TextError, nearest
from rmgym.transitions import IN_ABSORBING


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """How one language says it. ``layout`` may be replaced by a card's ``[text]`` table.

    ``earlier`` and ``nothing_earlier`` stand for ``{history}`` where the card wants one, with their own space behind.
    """

    layout: str
    earlier: str
    earlier_step: str
    then: str
    nothing_earlier: str
    field: str
    field_with_unit: str
    separator: str
    going_on: str
    terminated: str
    truncated: str
    both: str
    enters_absorbing: str
    in_absorbing: str

    def ending(self, terminated: bool, truncated: bool, absorbing: int = 0) -> str:
        """The words for the two flags, which are never merged, and for the absorbing state of a fixed horizon."""
        if absorbing:
            sentence = self.in_absorbing if absorbing == IN_ABSORBING else self.enters_absorbing
            return f"{sentence}. {self.truncated}" if truncated else sentence
        if terminated:
            return self.both if truncated else self.terminated
        return self.truncated if truncated else self.going_on


PHRASES = {
    "en": Phrases(
        layout="Task: {task} {history}State: {state}. Action: {action}. Next state: {next_state}. {ending}.",
        earlier="Earlier steps, the oldest first: {steps}. ",
        earlier_step="{state}; action: {action}",
        then="; then ",
        nothing_earlier="The episode begins here. ",
        field="{name}: {value}",
        field_with_unit="{name} in {unit}: {value}",
        separator=", ",
        going_on="The episode goes on",
        terminated="The episode terminated here",
        truncated="The time limit truncated the episode here",
        both="The episode terminated here, at the time limit that truncates it",
        enters_absorbing="The task ended here, and nothing happens any more until the time limit",
        in_absorbing="The task ended earlier, and nothing happens any more",
    ),
    "zh": Phrases(
        layout="任务: {task} {history}状态: {state}。 行动: {action}。 下一状态: {next_state}。 {ending}。",
        earlier="先前的步骤，从最早开始: {steps}。 ",
        earlier_step="{state}； 行动: {action}",
        then="； 然后 ",
        nothing_earlier="回合从这里开始。 ",
        field="{name}: {value}",
        field_with_unit="{name} ({unit}): {value}",
        separator="， ",
        going_on="回合继续",
        terminated="回合在此终止",
        truncated="回合因时间限制在此截断",
        both="回合在此终止，同时达到时间限制",
        enters_absorbing="任务在此结束，时间限制之前不再发生任何事",
        in_absorbing="任务早已结束，不再发生任何事",
    ),
}


def tells_of_absorbing(templates: Iterable[str], language: str) -> bool:
    """Whether one of these templates is that of a step into, or in, the absorbing state of a fixed horizon."""
    words = PHRASES.get(language)
    endings = () if words is None else (words.enters_absorbing, words.in_absorbing)
    return any(ending in template for template in templates for ending in endings)


def phrases(language: str) -> Phrases:
    """Return a language's phrases.

    Raises:
        TextError: the language is not known.
    """
    if language not in PHRASES:
        raise TextError("text is made in a known language", got=language, fix=nearest(language, PHRASES))
    return PHRASES[language]
