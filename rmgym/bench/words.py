"""Numbers as people write them, in tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Callable

from rmgym.metrics import Interval


def number(value: float) -> str:
    """A number as people write it: ``-1,203``, ``-17.2``, ``0.97``; a dash where it is unknown."""
    if not math.isfinite(value):
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{round(value, digits) + 0.0:,.{digits}f}"  # adding zero turns -0.0 into 0.0


def percent(share: float) -> str:
    """A share as ``97%``; what is more than all of it is ``≥100%``, a dash stands where it is unknown."""
    if not math.isfinite(share):
        return "–"
    return "≥100%" if share > 1 else f"{100 * share:.0f}%"


def portion(share: float) -> str:
    """A share in a sentence: ``97%``, ``at least all``, ``none``; to be followed by "of"."""
    return "at least all" if share > 1 else "none" if share <= 0 else percent(share)


def estimate(value: Interval, show: Callable[[float], str] = number) -> str:
    """``-172 [-190, -155]``; without brackets where there is no interval.

    Seeds that do not define the number are counted: ``undefined``, or ``0.43 (2 of 3 seeds)``.
    """
    if not math.isfinite(value.value):
        return "undefined" if value.undefined else "–"
    if math.isinf(value.low):
        bounds = " [unbounded]"
    else:
        bounds = f" [{show(value.low)}, {show(value.high)}]" if math.isfinite(value.low) else ""
    counted = f" ({value.seeds} of {value.seeds + value.undefined} seeds)" if value.undefined else ""
    return show(value.value) + bounds + counted
