"""Agreement between learned and true reward, step by step.

A reward is used through its order and its shape, not its units: rank correlation first, then linear correlation, then
the share of pairs in the right order. All are NaN where one side is constant, since agreement is then undefined.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def spearman(learned: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Spearman's rank correlation in [-1, 1] of two ``[B]`` arrays; NaN where one is constant or ``B < 2``."""
    from scipy import stats  # half a second, which whoever imports an agent would wait

    x, y = _pair(learned, true)
    return _correlation(stats.rankdata(x), stats.rankdata(y))


def pearson(learned: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Pearson's linear correlation in [-1, 1] of two ``[B]`` arrays; NaN where one is constant or ``B < 2``."""
    return _correlation(*_pair(learned, true))


def r_squared(predicted: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Coefficient of determination ``1 - SS_residual / SS_total``, at most 1; NaN where the target is constant."""
    x, y = _pair(predicted, target)
    total = float(np.sum((y - y.mean()) ** 2)) if len(y) else 0.0
    return 1.0 - float(np.sum((y - x) ** 2)) / total if total > 0 else float("nan")


def pair_accuracy(learned: npt.ArrayLike, true: npt.ArrayLike, *, pairs: int = 10_000, seed: int = 0) -> float:
    """Share in [0, 1] of random pairs with different true rewards that the learned reward orders rightly.

    A pair that the learned reward ties counts half.

    Args:
        learned: ``[B]``.
        true: ``[B]``.
        pairs: how many pairs are drawn, with replacement.
        seed: of the draw.

    Returns:
        The share, NaN where no drawn pair differs in true reward.
    """
    x, y = _pair(learned, true)
    if len(x) < 2:
        return float("nan")
    rng = np.random.default_rng(seed)
    i, j = rng.integers(len(x), size=(2, pairs))
    differ = y[i] != y[j]
    if not differ.any():
        return float("nan")
    agreement = np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])
    return float(np.mean((agreement[differ] + 1) / 2))


def order_agreement(values: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """How far judges agree with a reference on the order of some policies, from 0 to 1; 0.5 is chance.

    That is chance for a judge that has no part in the reference. It is the mean over judges and pairs of policies of
    whether the judge orders the pair as the reference does (a tie counts half). A pair weighs as much as the reference
    sets it apart: nearly equal policies may change places without harm; did all pairs weigh the same, it would be
    (Kendall's tau + 1) / 2.

    Args:
        values: what each judge takes each policy for, ``[policies, judges]``.
        reference: the same of the reference, ``[policies]``.

    Returns:
        The agreement, NaN where the reference tells no two policies apart.
    """
    judged, middle = np.asarray(values, np.float64), np.asarray(reference, np.float64)
    i, j = np.triu_indices(len(middle), k=1)
    apart = middle[i] - middle[j]
    if not np.abs(apart).sum() > 0:
        return float("nan")
    same = (np.sign(judged[i] - judged[j]) * np.sign(apart)[:, None] + 1) / 2
    return float(np.average(same.mean(axis=1), weights=np.abs(apart)))


def _pair(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    x, y = np.asarray(a, np.float64).reshape(-1), np.asarray(b, np.float64).reshape(-1)
    if len(x) != len(y):
        raise ValueError(f"both sides have one value per step; received {len(x)} and {len(y)}")
    return x, y


def _correlation(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)), -1, 1))
