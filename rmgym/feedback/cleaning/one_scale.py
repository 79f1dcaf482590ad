"""Ratings of several people on one scale: each has a mean and a spread of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, polygamma
from scipy.stats import kruskal, levene

from rmgym.feedback.tables import Answer
from rmgym.feedback.teachers.panel import PANEL
from rmgym.feedback.teachers.person import HUMAN

Floats = npt.NDArray[np.float64]
DIFFER = 0.05
"""How likely people who rate on one scale are taken to rate on several: half of it by a test of where their ratings lie
(Kruskal & Wallis), half by one of how far they spread (Brown & Forsythe)."""


def on_one_scale(rated: Sequence[Answer], *, of_people: bool) -> tuple[Floats, str]:
    """Ratings ``[N]`` that say the same by the same number, and a note where that is not what was given.

    Each annotator's are standardised by their own mean and spread, both shrunk to those of all annotators the more, the
    fewer ratings there are and the less annotators differ (empirical Bayes: :func:`standardised`).

    * Of a panel's members always: each has a scale of their own.
    * Of people whose counts of levels differ: as shares of their scales.
    * Of people with one count of levels where they are told apart by a test (:data:`DIFFER`). They stay in levels.
    * Other ratings are as they were given.

    Args:
        rated: ratings of one source, at least one.
        of_people: those of people too, and not of panels alone.
    """
    values = np.array([a.value for a in rated], np.float32).astype(np.float64)
    names = np.array([a.annotator for a in rated], np.str_)
    several = len(set(names.tolist())) > 1
    if rated[0].source.startswith(PANEL):
        return standardised(values, names)[0], ""
    if not (of_people and several and rated[0].source == HUMAN):
        return values, ""
    if len({a.levels for a in rated}) > 1:
        shares = [v if a.levels is None else (v - 1) / (a.levels - 1) for v, a in zip(values, rated, strict=True)]
        return standardised(np.array(shares), names)[0], "ratings on several scales are standardised for each person"
    if not _differ([values[names == name] for name in sorted(set(names.tolist()))]):
        return values, ""
    scores, mean, spread = standardised(values, names)
    return mean + spread * scores, "people use the levels differently: their ratings are standardised for each person"


def standardised(values: Floats, names: npt.NDArray[np.str_]) -> tuple[Floats, float, float]:
    """Each annotator's values, less their mean, over their spread; and the mean and spread of all annotators.

    Means and log spreads of annotators are taken to be drawn from a normal distribution each, whose variance is
    estimated by moments (DerSimonian & Laird 1986, https://doi.org/10.1016/0197-2456(86)90046-2); each annotator's is
    then the best guess between their own and that of all (Efron & Morris 1975; how little a log spread of few values is
    worth: Smyth 2004, https://doi.org/10.2202/1544-6115.1027). Alone, somebody's own count.

    Args:
        values: ``[N]``.
        names: whose each is, ``[N]``.
    """
    _, which = np.unique(names, return_inverse=True)
    count = np.bincount(which)
    mean = np.bincount(which, values) / count
    squares = np.bincount(which, (values - mean[which]) ** 2)
    if len(count) == 1:
        spread = float(np.sqrt(squares[0] / count[0])) or 1.0
        return (values - mean[0]) / spread, float(mean[0]), spread
    log_spread, common, varied = np.zeros(len(count)), 0.0, squares > 1e-12 * count
    if varied.any():
        free = count[varied] - 1
        bias = (digamma(free / 2) - np.log(free / 2)) / 2
        own, common = _shrunk(np.log(squares[varied] / free) / 2 - bias, polygamma(1, free / 2) / 4)
        log_spread[:] = common
        log_spread[varied] = own
    spreads = np.exp(log_spread)
    mean, centre = _shrunk(mean, spreads**2 / count)
    return (values - mean[which]) / spreads[which], centre, float(np.exp(common))


def _shrunk(estimates: Floats, variances: Floats) -> tuple[Floats, float]:
    """Estimates moved to their common mean, as far as their variances explain how they differ; and that mean."""
    if len(estimates) == 1:
        return estimates, float(estimates[0])
    weight = 1 / variances
    total = weight.sum()
    scatter = (weight * (estimates - (weight @ estimates) / total) ** 2).sum()
    between = max(0.0, (scatter - (len(estimates) - 1)) / (total - (weight**2).sum() / total))
    weight = 1 / (variances + between)
    centre = float((weight @ estimates) / weight.sum())
    return centre + (estimates - centre) * between / (between + variances), centre


def _differ(groups: Sequence[Floats]) -> bool:
    """Whether these are unlikely to be ratings on one scale."""
    groups = [group for group in groups if len(group) > 1]
    if len(groups) < 2 or np.ptp(np.concatenate(groups)) == 0:
        return False
    with np.errstate(invalid="ignore", divide="ignore"):  # of people who rate everything alike
        where, spread = kruskal(*groups).pvalue, levene(*groups, center="median").pvalue
    return bool(where < DIFFER / 2 or spread < DIFFER / 2)
