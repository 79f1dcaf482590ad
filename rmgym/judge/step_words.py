"""What a judge reads of a step or a segment: its states and actions in words, with every change worked out for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache

from rmgym.text.language import PHRASES
from rmgym.text.reading import StepReader, StepText

_UNREAD = "as the text below says"


@dataclass(frozen=True)
class StepWords:
    """One step, or several in a row.

    Attributes:
        task: what is to be done.
        lines: what happened.
    """

    task: str
    lines: str


def step_words(texts: Sequence[str]) -> StepWords:
    """Put steps that follow each other into words that leave no arithmetic to their reader.

    A field's value before the first and after the last step, by how much it rose or fell and whether it came nearer to
    zero; the least and the greatest value on the way where they lie outside of those; how often each action was taken.
    Texts of another form than rmgym's own layout are given as they are.

    Args:
        texts: of the steps, at least one.

    Example:
        >>> text = "Task: Go. State: angle: 0.10. Action: push: left. Next state: angle: 0.25. The episode goes on."
        >>> print(step_words([text]).lines)
        - angle: 0.10 before, 0.25 after: up by 0.15, farther from 0
        - push: left
    """
    steps = [step for step in map(_read, texts) if step is not None]
    same = {(tuple(step.state), tuple(step.action)) for step in steps}
    if len(steps) < len(texts) or len(same) != 1:
        return StepWords(_UNREAD, "\n".join(texts))
    lines = [
        f"- {name}: {_change([steps[0].state[name], *(step.next_state[name] for step in steps)])}"
        for name in steps[0].state
    ]
    lines += [f"- {name}: {_taken([step.action[name] for step in steps])}" for name in steps[0].action]
    if len(steps) == 1 and steps[0].history:
        lines.append(f"- {steps[0].history}")
    lines += [f"- {ending}" for ending in dict.fromkeys(step.ending for step in steps) if ending]
    return StepWords(steps[0].task, "\n".join(lines))


def _read(text: str) -> StepText | None:
    return next((step for reader in _readers() if (step := reader.read(text)) is not None), None)


@cache
def _readers() -> tuple[StepReader, ...]:
    return tuple(StepReader(None, language) for language in PHRASES)


def _change(values: Sequence[str]) -> str:
    """How a value went, from the first to the last."""
    first, last = values[0], values[-1]
    numbers = _numbers(values)
    if numbers is None:
        if set(values) == {first}:
            return f"{first}, before and after"
        between = [value for value in dict.fromkeys(values) if value not in (first, last)]
        return f"{first} before, {last} after" + (f"; on the way {', '.join(between)}" if between else "")
    before, after = numbers[0], numbers[-1]
    if before == after:
        words = f"{first} before and after, unchanged"
    else:
        nearer = "closer to 0" if abs(after) < abs(before) else "farther from 0" if abs(after) > abs(before) else ""
        by = f"{'up' if after > before else 'down'} by {abs(after - before):f}"
        words = f"{first} before, {last} after: {by}" + (f", {nearer}" if nearer else "")
    low, high = min(numbers), max(numbers)
    beyond = low < min(before, after) or high > max(before, after)
    return words + (f"; on the way between {low:f} and {high:f}" if beyond else "")


def _taken(values: Sequence[str]) -> str:
    """What was done at each step."""
    counts = Counter(values)
    if len(counts) == 1:
        return values[0]
    numbers = _numbers(values)
    if numbers is None:
        return ", ".join(f"{value} ({count} of {len(values)} times)" for value, count in counts.most_common())
    mean = sum(numbers) / len(numbers)
    return f"between {min(numbers):f} and {max(numbers):f}, {mean:.2f} in the mean"


def _numbers(values: Sequence[str]) -> list[Decimal] | None:
    """The numbers that all of some values are; None where one is words."""
    try:
        numbers = [Decimal(value) for value in values]
    except InvalidOperation:
        return None
    return numbers if all(number.is_finite() for number in numbers) else None
