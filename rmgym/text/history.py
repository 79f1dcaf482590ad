"""The steps before a step, for tasks where one observation does not tell the state: found, and put into words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from rmgym.errors import TextError
from rmgym.text.batch import Numbered, TextBatch
from rmgym.text.language import Phrases
from rmgym.text.numbers import escape
from rmgym.text.rows import Counts, distinct_rows, interleave, offsets_of
from rmgym.transitions import Transitions
from rmgym.trees import Tree, take

Render = Callable[[Tree, Tree], TextBatch]
"""From observations and actions to one text each."""


def past_of(steps: Transitions, k: int) -> Tree:
    """The ``k`` steps before each, as ``Transitions.past`` holds them: given with the steps, or found among them.

    Raises:
        TextError: ``steps`` hold fewer, or miss the step before one that does not begin its episode.
    """
    if steps.past or k == 0:
        if len(steps.past) < k:
            raise TextError(
                "steps bring the history that their text shows",
                got=f"{len(steps.past)} steps before each instead of {k}",
                fix="use the card that they were recorded with",
            )
        return steps.past[:k]
    size = len(steps)
    before, lags = _previous(steps), list[dict[str, Tree]]()
    at = before
    for _ in range(k):
        there = at >= 0
        rows = np.where(there, at, np.arange(size))
        lags.append({"there": there, "obs": take(steps.obs, rows), "action": take(steps.action, rows)})
        at = np.where(there, before[rows], -1)
    return tuple(lags)


def _previous(steps: Transitions) -> npt.NDArray[np.int64]:
    """The row of the step before each, -1 where it begins its episode."""
    previous = np.full(len(steps), -1, np.int64)
    order = np.lexsort((steps.step, steps.episode))
    episode, step = steps.episode[order], steps.step[order]
    follows = (episode[1:] == episode[:-1]) & (step[1:] == step[:-1] + 1)
    previous[order[1:][follows]] = order[:-1][follows]
    lost = np.flatnonzero((previous < 0) & (steps.step > 0))
    if len(lost):
        row = lost[0]
        raise TextError(
            "a text with history needs the steps before",
            got=f"step {steps.step[row]} of episode {steps.episode[row]} without step {steps.step[row] - 1}",
            fix="put whole episodes into words, and select among the texts",
        )
    return previous


def history_text(past: Tree, size: int, render: Render, phrases: Phrases) -> TextBatch:
    """One fragment of text per step: what came before it in its episode, oldest first.

    Args:
        past: see :func:`past_of`.
        size: number of steps ``B``.
        render: puts the observation and action of an earlier step into words.
        phrases: words around them.

    Raises:
        TextError: an earlier step holds NaN or a value without words.
    """
    lags, phrases_said = list[_Lag](), Numbered()
    for lag in reversed(past):
        there = lag["there"]
        text = render(take(lag["obs"], there), take(lag["action"], there)) if there.any() else None
        lags.append(_Lag.of(text, there, phrases_said))
    combinations, template_index = distinct_rows(np.stack([lag.position for lag in lags], axis=1))
    begin, end = (escape(piece) for piece in phrases.earlier.split("{steps}"))

    def template(chosen: list[int]) -> str:
        steps = [lag.templates[position - 1] for lag, position in zip(lags, chosen, strict=True) if position]
        return begin + phrases.then.join(steps) + end if steps else escape(phrases.nothing_earlier)

    return TextBatch(
        templates=tuple(template(chosen) for chosen in combinations.tolist()),
        template_index=template_index,
        numbers=interleave([lag.numbers for lag in lags]),
        offsets=offsets_of(np.stack([lag.numbers[1] for lag in lags]).sum(axis=0)),
        phrases=tuple(phrases_said),
        words=interleave([lag.words for lag in lags]),
    )


@dataclass(frozen=True, eq=False)
class _Lag:
    """The text of one earlier step of each of ``B`` steps: its template's position plus one, zero where there is none;
    numbers and words, and how many of them each has.
    """

    templates: tuple[str, ...]
    position: npt.NDArray[np.int32]
    numbers: tuple[npt.NDArray[np.float64], Counts]
    words: tuple[npt.NDArray[np.int32], Counts]

    @classmethod
    def of(cls, text: TextBatch | None, there: npt.NDArray[np.bool_], spoken: Numbered) -> Self:
        """Of the texts of those that are there."""
        position, counts, word_counts = np.zeros(len(there), np.int32), *np.zeros((2, len(there)), np.int64)
        if text is None:
            return cls((), position, (np.zeros(0), counts), (np.zeros(0, np.int32), word_counts))
        position[there] = text.template_index + 1
        counts[there], word_counts[there] = np.diff(text.offsets), text.word_counts
        words = spoken.moved(text.phrases)[text.words]
        return cls(text.templates, position, (text.numbers, counts), (words, word_counts))
