"""Aggregates over seeds, after Agarwal et al. 2021, "Deep RL at the Edge of the Statistical Precipice".

Average the episodes of a seed first; a seed, not an episode, is the unit of these statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Statistic = Callable[[npt.NDArray[np.float64]], float]


class Interval(NamedTuple):
    """A point estimate with its confidence interval."""

    value: float
    low: float
    high: float


def interquartile_mean(values: npt.ArrayLike) -> float:
    """Mean of the middle half (25 % trimmed mean) over all values."""
    from scipy import stats  # half a second, which whoever imports an agent would wait

    return float(stats.trim_mean(np.asarray(values, np.float64).reshape(-1), 0.25))


def bootstrap_ci(
    values: npt.ArrayLike,
    *,
    statistic: Statistic = lambda x: float(np.mean(x)),
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap over seeds, stratified by task.

    Args:
        values: ``[seeds]`` or ``[seeds, tasks]``; seeds are resampled within each task.
        statistic: of an array of that shape.
        level: coverage in (0, 1).
        resamples: bootstrap samples.
        seed: of the resampling; the global NumPy state is not touched.

    Returns:
        The statistic of ``values`` and its interval; the interval is NaN with fewer than two seeds.
    """
    table = np.asarray(values, np.float64)
    point = statistic(table)
    if len(table) < 2:
        return Interval(point, float("nan"), float("nan"))
    columns = table.reshape(len(table), -1)
    rng = np.random.default_rng(seed)
    estimates = np.empty(resamples)
    task = np.arange(columns.shape[1])
    for i in range(resamples):
        rows = rng.integers(len(columns), size=columns.shape)
        estimates[i] = statistic(columns[rows, task].reshape(table.shape))
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(point, float(low), float(high))


def normalised_score(value: npt.ArrayLike, *, random: float, reference: float) -> npt.NDArray[np.float64]:
    """``(value - random) / (reference - random)``: 0 for a random policy, 1 for an agent on the true reward.

    Raises:
        ValueError: both references are the same.
    """
    if reference == random:
        raise ValueError(f"the references differ; received {random} for both")
    return (np.asarray(value, np.float64) - random) / (reference - random)
