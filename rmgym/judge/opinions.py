"""A language model's opinion of steps and segments, read off the probabilities of its answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rmgym.errors import JudgeError
from rmgym.judge.inquiry import Inquiry
from rmgym.judge.judge_options import JudgeOptions
from rmgym.judge.prompt_files import Kind, Prompts
from rmgym.judge.step_words import StepWords, step_words

Floats = npt.NDArray[np.float64]
Steps = Sequence[str]
"""The texts of one step, or of several that follow each other."""
CONTENT_FREE = ("N/A", "[MASK]", "")
"""What is judged instead of steps, to see what a judge answers about nothing."""
_SIDES = ("A", "B")
_CONTENTS: dict[Kind, int] = {"rating": 1, "preference": 2}


class Opinions(NamedTuple):
    """Ratings.

    Attributes:
        mean: expected rating, ``float64 [N]``, 1 to ``levels``; NaN where the judge gave none.
        spread: standard deviation of the judge's answers, likewise.
    """

    mean: Floats
    spread: Floats


class Judge:
    """Rates and compares.

    A rating is the expected digit: ``sum(p(d) * d) + 1``, of probabilities divided by those of an answer about nothing
    and averaged over wordings (in logarithms). A comparison is a log-odds, averaged likewise, and over both orders.

    Args:
        inquiry: asks.
        options: how.
        prompts: the wordings; by default those that the options name.
    """

    def __init__(self, inquiry: Inquiry, options: JudgeOptions, prompts: Prompts | None = None) -> None:
        self.inquiry, self.options = inquiry, options
        self.prompts = prompts or Prompts.read(options.prompts, options.paraphrases)
        self._digits = tuple(map(str, range(options.levels)))

    @property
    def identity(self) -> str:
        """What decides every opinion: model, prompts, and how they are asked (16 hex digits)."""
        o = self.options
        parts = [self.inquiry.client.identity, self.prompts.digest, o.levels, o.content_free, o.both_orders]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def rate(self, steps: Sequence[Steps]) -> Opinions:
        """How good each of ``N`` steps or segments is.

        Raises:
            JudgeError: the judge cannot be asked, the budget is spent, or what it answers about nothing is to be
                divided out, and it answers nothing.
        """
        asked = [_Asked(words.task, (words.lines,)) for words in map(step_words, steps)]
        if not asked:
            return Opinions(np.zeros(0), np.zeros(0))
        logs = self._logs("rating", asked, self._digits, content_free=self.options.content_free)
        chances = np.exp(logs - logs.max(axis=1, keepdims=True, initial=-np.inf))
        chances /= chances.sum(axis=1, keepdims=True)
        levels = np.arange(1, self.options.levels + 1)
        mean = chances @ levels
        return Opinions(mean, np.sqrt(np.maximum(chances @ levels**2 - mean**2, 0.0)))

    def compare(self, left: Sequence[Steps], right: Sequence[Steps]) -> Floats:
        """Log-odds that the left one of ``N`` pairs is better, ``float64 [N]``; NaN where the judge gave no answer.

        Raises:
            JudgeError: as :meth:`rate`.
        """
        pairs = [(step_words(one), step_words(other)) for one, other in zip(left, right, strict=True)]
        if not pairs:
            return np.zeros(0)
        turned = self._odds([(other, one) for one, other in pairs]) if self.options.both_orders else None
        odds = self._odds(pairs)
        return odds if turned is None else (odds - turned) / 2

    def _odds(self, pairs: Sequence[tuple[StepWords, StepWords]]) -> Floats:
        """Log-odds of A, in one order."""
        asked = [_Asked(one.task, (one.lines, other.lines)) for one, other in pairs]
        content_free = self.options.content_free and not self.options.both_orders
        logs = self._logs("preference", asked, _SIDES, content_free=content_free)
        odds: Floats = logs[:, 0] - logs[:, 1]
        return odds

    def _logs(self, kind: Kind, asked: Sequence[_Asked], words: tuple[str, ...], *, content_free: bool) -> Floats:
        """Log probabilities of words ``[N, W]``, averaged over wordings, less those about nothing.

        Raises:
            JudgeError: see :meth:`rate`.
        """
        logs: Floats = self._wordings(kind, asked, words).mean(axis=0)
        if not content_free or np.isnan(logs).all():  # there is nothing to correct
            return logs
        tasks = {each.task: i for i, each in enumerate({each.task: each for each in asked}.values())}
        about_nothing = [_Asked(task, (nothing,) * _CONTENTS[kind]) for task in tasks for nothing in CONTENT_FREE]
        # The mean of probabilities over what stands for nothing, as in the paper; then over wordings as above.
        free = np.exp(self._wordings(kind, about_nothing, words)).reshape(-1, len(tasks), len(CONTENT_FREE), len(words))
        if np.isnan(free).all(axis=(2, 3)).any():
            got = f"no answer to any of {len(CONTENT_FREE)} questions about nothing"
            fix = "pass content_free=false (content_free=False), and it is not corrected"
            raise JudgeError("a judge is corrected by what it answers about nothing", got=got, fix=fix)
        bias = np.log(np.nanmean(free, axis=2)).mean(axis=0)  # of those that it answered
        logs -= bias[[tasks[each.task] for each in asked]]
        return logs

    def _wordings(self, kind: Kind, asked: Sequence[_Asked], words: tuple[str, ...]) -> Floats:
        """Log probabilities of words after each wording, ``[wordings, N, W]``."""
        best = self.options.levels - 1
        prompts = [self.prompts.fill(kind, each.task, each.contents, best) for each in asked]
        count = len(self.prompts.of(kind))
        flat = [own[wording] for wording in range(count) for own in prompts]
        return self.inquiry.answers(flat, words).reshape(count, len(asked), len(words))


class _Asked(NamedTuple):
    """What one question is about: the task, and one or two things that happened."""

    task: str
    contents: tuple[str, ...]
