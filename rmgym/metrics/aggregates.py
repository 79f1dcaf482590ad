"""What many runs on many tasks come to: profiles, improvement, gaps; and what a curve of training says.

Scores are ``[runs, tasks]``, normalised so that tasks may stand beside each other. After Agarwal et al. 2021, "Deep RL
at the Edge of the Statistical Precipice", https://arxiv.org/abs/2108.13264.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def performance_profile(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> Floats:
    """Share of all runs above each threshold, ``[thresholds]``."""
    over: Floats = (_scores(scores)[None] > np.asarray(thresholds, np.float64)[:, None, None]).mean(axis=(1, 2))
    return over


def optimality_gap(scores: npt.ArrayLike, *, target: float = 1.0) -> float:
    """By how much runs fall short of a target in the mean; what lies above it makes up for nothing."""
    return float(target - np.minimum(_scores(scores), target).mean())


def probability_of_improvement(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Chance in [0, 1] that a run of ``x`` does better than one of ``y`` on a task, mean over tasks; a tie is half.

    It is Mann and Whitney's U over the number of pairs (1947), task by task.

    Args:
        x: ``[runs, tasks]``.
        y: ``[other runs, tasks]``.
    """
    one, other = _scores(x), _scores(y)
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"both are of the same tasks; received {one.shape[1]} and {other.shape[1]}")
    return float(((np.sign(one[:, None] - other[None]) + 1) / 2).mean())


def trajectory_alignment(learned: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """How alike two rewards order trajectories: Kendall's tau-b of their returns, in [-1, 1].

    The Trajectory Alignment Coefficient (https://arxiv.org/abs/2503.05996). Shaping that cancels over a trajectory
    leaves it as it is.

    Args:
        learned: return of each trajectory, ``[N]``.
        true: the same by the other reward.

    Returns:
        The coefficient; NaN where one side tells no two of them apart.
    """
    from scipy import stats  # half a second, which whoever imports an agent would wait

    return float(stats.kendalltau(np.asarray(learned, np.float64), np.asarray(true, np.float64), variant="b").statistic)


def over_optimisation(true: npt.ArrayLike) -> float:
    """What of the true return was lost again by the end of a training: its peak less its last value, at least 0.

    Args:
        true: at each evaluation, ``[N]``, in order.
    """
    curve = np.asarray(true, np.float64)
    return float(curve.max() - curve[-1])


def selection_regret(true: npt.ArrayLike, learned: npt.ArrayLike) -> float:
    """What choosing by the learned return costs: the best true return less that of the one that it chooses.

    Args:
        true: of each candidate, ``[N]``.
        learned: the same by the learned reward.
    """
    values, by = np.asarray(true, np.float64), np.asarray(learned, np.float64)
    return float(values.max() - values[int(by.argmax())])


def steps_to_threshold(steps: npt.ArrayLike, returns: npt.ArrayLike, threshold: float) -> float:
    """Training steps after which a return is first at a threshold or above; infinity where it never is.

    Args:
        steps: of each evaluation, ``[N]``, in order.
        returns: at each of them.
        threshold: in units of the return.
    """
    reached = np.flatnonzero(np.asarray(returns, np.float64) >= threshold)
    return float(np.asarray(steps)[reached[0]]) if len(reached) else math.inf


def _scores(values: npt.ArrayLike) -> Floats:
    scores = np.asarray(values, np.float64)
    if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"scores are finite numbers [runs, tasks]; received {list(scores.shape)}: {scores}")
    return scores
