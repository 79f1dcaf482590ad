"""How many questions are asked, about what, and which steps are collected to choose them from: the defaults, once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmgym.errors import FeedbackError
from rmgym.feedback.queries import Method, Rows, check_method, select_segments, select_steps
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions

_STEPS = 4000
_RESET_EVERY = 25


@dataclass(frozen=True, kw_only=True)
class QuestionPlan:
    """What to ask a teacher.

    Attributes:
        ratings: steps to have rated.
        preferences: pairs of segments to have compared.
        length: steps per segment.
        method: how steps and segments are chosen (:func:`select_steps`, :func:`select_segments`).
        whole_episodes: ask only about episodes that ended by themselves, because the teacher judges a step by what
            follows from it: how a cut episode would have ended is not known.
        steps: steps to collect; None for enough: 4,000, or three times as many as the compared segments hold.
        reset_every: steps after which an episode is cut while collecting, 0 for never; None for 25, which visits more
            kinds of states, or the length of a compared segment where that is longer, or never where whole episodes
            are asked about.
        seed: of collecting and choosing; same seed and steps, same questions.

    Raises:
        FeedbackError: nothing is asked, or a count or the method is impossible.
    """

    ratings: int = 100
    preferences: int = 0
    length: int = 25
    method: Method = "coverage"
    whole_episodes: bool = False
    steps: int | None = None
    reset_every: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.ratings, self.preferences) < 0 or self.ratings + self.preferences == 0:
            got = f"{self.ratings} ratings, {self.preferences} preferences"
            raise FeedbackError("something is asked", got=got, fix="ask for at least one: ratings=100")
        if self.length < 1:
            raise FeedbackError("a segment has at least one step", got=self.length, fix="pass length=25")
        check_method(self.method)

    @property
    def collect_steps(self) -> int:
        """Steps to collect."""
        return self.steps or max(_STEPS, 3 * self.preferences * self.length)

    @property
    def collect_reset_every(self) -> int | None:
        """Steps after which an episode is cut while collecting, None for never: ``reset_every`` of :func:`collect`."""
        if self.reset_every is not None:
            return self.reset_every or None
        if self.whole_episodes:
            return None
        return max(_RESET_EVERY, self.length if self.preferences else 0)

    def rows(self, transitions: Transitions, texts: TextBatch) -> Rows:
        """The steps to rate, ``int64 [ratings]``.

        Raises:
            FeedbackError: there are not enough steps with distinct texts.
        """
        if not self.ratings:
            return np.zeros(0, np.int64)
        return select_steps(transitions, texts, self.ratings, method=self.method, seed=self.seed)

    def pairs(self, transitions: Transitions, texts: TextBatch) -> Rows:
        """First rows of the segments to compare, ``int64 [preferences, 2]``.

        Raises:
            FeedbackError: there are not enough segments.
        """
        if not self.preferences:
            return np.zeros((0, 2), np.int64)
        return select_segments(
            transitions, self.preferences, self.length, method=self.method, seed=self.seed, texts=texts
        )
