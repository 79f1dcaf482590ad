"""Is a model's std what its errors are, and larger where it knows less?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.spatial import KDTree

Column = npt.NDArray[np.floating]
LEVELS = np.arange(0.05, 1, 0.05)


def calibration(mean: Column, std: Column, true: Column) -> dict[str, float]:
    """How often Gaussian intervals around predictions hold the truth.

    Args:
        mean: predictions ``[B]``.
        std: their standard deviations ``[B]``.
        true: what is true ``[B]``.

    Returns:
        ``ece``, the expected calibration error of regression, mean over the levels 0.05 to 0.95 of the distance between
        a central interval's level and the share of truths in it (Kuleshov et al. 2018, "Accurate Uncertainties for Deep
        Learning Using Calibrated Regression"); ``within1`` and ``within2``, the shares within one and two std.
    """
    distance = np.abs(true - mean) / np.maximum(std, 1e-12)
    shares = (distance[:, None] <= stats.norm.ppf(0.5 + LEVELS / 2)).mean(axis=0)
    within1, within2 = (float((distance <= k).mean()) for k in (1, 2))
    return {"ece": float(np.abs(shares - LEVELS).mean()), "within1": within1, "within2": within2}


def auroc(outside: Column, inside: Column) -> float:
    """How well larger values tell ``outside [M]`` from ``inside [N]``: 1 always, 0.5 by chance; ties count half."""
    return float(stats.mannwhitneyu(outside, inside).statistic) / (len(outside) * len(inside))


def far(outside: Column, inside: Column, pool: Column) -> npt.NDArray[np.bool_]:
    """Which rows of ``outside [M, D]`` are out of the distribution of ``pool [P, D]``, ``bool [M]``.

    Those whose nearest row of the pool, each column in units of its standard deviation there, is further than that of
    95 % of ``inside [N, D]``, which is of that distribution.
    """
    spread = pool.std(axis=0)
    scale = np.where(spread > 1e-6, spread, 1.0)
    tree = KDTree(pool / scale)
    (to_outside, _), (to_inside, _) = tree.query(outside / scale), tree.query(inside / scale)
    return to_outside > np.quantile(to_inside, 0.95)
