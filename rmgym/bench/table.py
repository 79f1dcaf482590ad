"""The table of arms: one list of cells for the terminal, the page and the README."""

from __future__ import annotations

import math
from collections.abc import Callable

from rmgym.bench.arms import Arm
from rmgym.bench.compare import Match
from rmgym.bench.words import estimate, number, percent
from rmgym.metrics import Interval

HEADERS = (
    "reward",
    "seeds",
    "labels",
    "true return",
    "of the range",
    "Spearman",
    "Pearson",
    "pairs right",
    "label + fit",
    "training",
    "steps/s",
)
"""Columns of :func:`cells` that every match has; all but the first are numbers."""
_MEASURE = HEADERS.index("true return") + 1


def headers(match: Match) -> tuple[str, ...]:
    """Columns of :func:`cells`: success, where environments tell, and a measure of the user's own beside the return."""
    return (*HEADERS[:_MEASURE], *(name for name, _ in _further(match)), *HEADERS[_MEASURE:])


def cells(match: Match) -> list[list[str]]:
    """One row per arm of a match and one for a random policy; means over seeds, with 95 % intervals of them."""
    dashes = ["–"] * (len(HEADERS) - 4)
    played = ["random policy", "–", "–", number(match.random.mean), *dashes]
    rows = [_row(arm) for arm in match.arms] + ([played] if match.random.size else [])
    columns = [column for _, column in _further(match)]
    return [[*row[:_MEASURE], *(column[i] for column in columns), *row[_MEASURE:]] for i, row in enumerate(rows)]


def _further(match: Match) -> list[tuple[str, list[str]]]:
    """Headers and columns that not every match has; the last cell is the random policy's."""
    columns = list[tuple[str, list[str]]]()
    if match.has_success:
        success = [estimate(arm.success, percent) for arm in match.arms]
        columns.append(("success", [*success, percent(match.random_success.mean)]))
    if match.measure is not None:
        measured = [estimate(arm.measured) for arm in match.arms]
        columns.append((match.measure, [*measured, number(match.random_measured.mean)]))
    return columns


def duration(seconds: float) -> str:
    """``48 s``, ``3 min 12 s``, ``2 h 05 min``; a dash where it is unknown."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _mean(value: Interval, show: Callable[[float], str]) -> str:
    """Without the interval, which would make the table too wide."""
    return estimate(value._replace(low=math.nan, high=math.nan), show)


def _row(arm: Arm) -> list[str]:
    done = sum(run.status == "done" for run in arm.runs)
    seeds = str(len(arm.runs)) if done == len(arm.runs) else f"{done} of {len(arm.runs)} done"
    # The true reward agrees with itself: a correlation there would only repeat that.
    agreement = [estimate(arm.spearman), _mean(arm.pearson, number), _mean(arm.pair_accuracy, percent)]
    return [
        arm.reward,
        seeds,
        "–" if arm.labels is None else f"{arm.labels:,}",
        estimate(arm.true_return),
        estimate(arm.share, percent),
        *(agreement if arm.kind != "true" else ["–"] * 3),
        duration(arm.reward_seconds),
        duration(arm.mean("wall_seconds")),
        number(arm.mean("steps_per_second")),
    ]
