"""Comparing segments by what their steps add up to, for teachers that know it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions

Floats = npt.NDArray[np.float64]


class TiedPreferencesWarning(UserWarning):
    """More than half of the comparisons are ties; ties teach little."""


def compared(
    asked: PreferenceQuestions,
    sums: tuple[Floats, Floats],
    tolerance: float,
    *,
    refusal: Callable[[str, str], FeedbackError],
    advice: str,
) -> Answers:
    """Answers to ``N`` comparisons: 1 where the left segment is better, 0, or 0.5 for a tie.

    Args:
        asked: the questions; where they are one's share of more, all may be ties.
        sums: of the left segments, ``[N]``, and of the right ones.
        tolerance: sums that differ by at most this much are tied.
        refusal: makes the error that is raised where all are ties and nothing else was answered, from the rule and
            what was received.
        advice: what to use instead where most are ties.

    Raises:
        FeedbackError: all are ties.

    Warns:
        TiedPreferencesWarning: more than half are.
    """
    left, right = sums
    tied = np.abs(left - right) <= tolerance
    if tied.all() and asked.alone:
        raise refusal("some segments are better than others", f"{len(tied)} comparisons, all tied")
    if len(tied) > 1 and tied.mean() > 0.5 and not asked.shared:
        warnings.warn(
            f"{tied.sum()} of {len(tied)} comparisons are ties, which teach little: use {advice}",
            TiedPreferencesWarning,
            stacklevel=3,
        )
    return Answers(values=np.where(tied, 0.5, left > right).astype(np.float32))
