"""Comparing segments by what their steps add up to, for teachers that know it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers.answers import Answers

Floats = npt.NDArray[np.float64]


class TiedPreferencesWarning(UserWarning):
    """More than half of the comparisons are ties; ties teach little."""


def compared(
    left: Floats, right: Floats, tolerance: float, *, refusal: Callable[[str, str], FeedbackError] | None, advice: str
) -> Answers:
    """Answers to ``N`` comparisons: 1 where the left segment is better, 0, or 0.5 for a tie.

    Args:
        left: sums of the left segments, ``[N]``.
        right: sums of the right ones, ``[N]``.
        tolerance: sums that differ by at most this much are tied.
        refusal: makes the error that is raised where all are ties, from the rule and what was received; None where
            earlier answers tell segments apart.
        advice: what to use instead where most are ties.

    Raises:
        FeedbackError: all are ties.

    Warns:
        TiedPreferencesWarning: more than half are.
    """
    tied = np.abs(left - right) <= tolerance
    if tied.all() and refusal is not None:
        raise refusal("some segments are better than others", f"{len(tied)} comparisons, all tied")
    if len(tied) > 1 and tied.mean() > 0.5:
        warnings.warn(
            f"{tied.sum()} of {len(tied)} comparisons are ties, which teach little: use {advice}",
            TiedPreferencesWarning,
            stacklevel=3,
        )
    return Answers(values=np.where(tied, 0.5, left > right).astype(np.float32))
