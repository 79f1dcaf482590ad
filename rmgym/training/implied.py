"""What comparisons imply: a rating for each compared step, from all comparisons at once.

Comparisons say no more than an order, each of two segments. Chains of them imply further ones, and how far steps are
apart, where steps with like numbers are worth alike. That is what a Gaussian process says that knows of the comparisons
alone: the reward of a step is drawn with a covariance that falls with the distance of the numbers, and a comparison
follows from summed rewards by Bradley and Terry (Chu & Ghahramani 2005, "Preference Learning with Gaussian Processes",
https://doi.org/10.1145/1102351.1102369). Its mean is found by Laplace's approximation. How large rewards are, and how
far each number of the text has to change until another reward is likely (automatic relevance determination), is what
makes the answers most likely (the evidence): numbers that nothing speaks for are left out, and contradictions make the
reward flatter (Rasmussen & Williams 2006, "Gaussian Processes for Machine Learning", algorithm 3.1, eqs. 3.32 and 5.2).

A head that is fitted on these ratings has many of them, and need not find out from a few answers what matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.special import expit, log_expit

from rmgym.errors import FitError
from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.feedback.queries import features_of

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
MOST_PAIRS = 1000
"""Comparisons that are understood at once; the time grows with their third power."""
MOST_STEPS = 1000
"""Steps of them that are looked at and rated, evenly spaced in each segment, but at least :data:`OF_EACH`."""
OF_EACH = 5
"""Steps of each segment that are looked at, if it has so many. Fewer do not tell its sum: by two of 15, the better of
two segments of Pendulum is told no better than by chance."""
_REACHES = (0.3, 0.5, 0.8, 1.3, 2.0)  # what all numbers begin with, in root mean square distances of two steps
_SIZES = (0.5, 1.6, 5.0, 16.0, 50.0, 160.0, 500.0)  # standard deviations of an answer's log odds, over the pairs
_FACTOR, _LEAST, _LARGEST = 4.0, 1e-4, 4.0  # by what a relevance is changed, and its bounds
_TRIES = 100  # changes of a relevance that are tried
_STEPS, _ENOUGH = 60, 1e-6  # of Newton's method


def with_implied(labels: Labels, given: Rows) -> Labels:
    """Comparisons with a rating of mean 0 and variance 1 for steps of theirs, as some of the comparisons imply it.

    Args:
        labels: comparisons alone. What they say of a margin is not read.
        given: those that may be known; steps of others get no rating.

    Raises:
        FitError: there are ratings, or more comparisons than :data:`MOST_PAIRS`.
    """
    pairs = labels.preferences
    if labels.ratings is not None or pairs is None:
        fix = "leave 'implied' out: ratings say themselves how far steps are apart"
        raise FitError("ratings are implied by comparisons alone", got="ratings", fix=fix)
    if len(given) > MOST_PAIRS:
        raise FitError(f"'implied' is for {MOST_PAIRS} comparisons at most", got=len(given), fix="leave it out")
    rows, sums = _sums(pairs, given)
    steps = pairs.steps[rows]
    numbers, words = features_of(steps)
    compared = _Compared(
        numbers=numbers.astype(np.float64), words=words, sums=sums, choice=pairs.choice[given].astype(np.float64)
    )
    values = compared.rewards(_most_likely(compared))
    spread = float(values.std())
    values = (values - values.mean()) / (spread if spread > 0 else 1.0)
    groups = pairs.groups[given][np.abs(sums).argmax(axis=0)]
    return replace(labels, ratings=Ratings(texts=steps, values=values.astype(np.float32), groups=groups))


def _sums(pairs: Preferences, given: Rows) -> tuple[Rows, Floats]:
    """Rows of the steps that are looked at, and how often each counts for the left side of each pair, ``[N, M]``."""
    spans = np.stack([pairs.left[given], pairs.right[given]], axis=1)
    most = max(OF_EACH, MOST_STEPS // max(2 * len(given), 1))
    taken = [
        np.unique(np.linspace(start, end - 1, min(most, end - start)).round().astype(np.int64))
        for start, end in spans.reshape(-1, 2)
    ]
    rows = np.unique(np.concatenate(taken))
    sums = np.zeros((len(given), len(rows)))
    for i, (steps, (start, end)) in enumerate(zip(taken, spans.reshape(-1, 2), strict=True)):
        sums[i // 2, np.searchsorted(rows, steps)] += (1 - 2 * (i % 2)) * (end - start) / len(steps)
    return rows, sums


@dataclass(frozen=True, kw_only=True, eq=False)
class _Process:
    """A Gaussian process that knows the comparisons.

    Attributes:
        relevance: of each number, and of the words, in the squared distance of two steps.
        size: standard deviation of an answer's log odds, in the mean of the pairs.
        variance: of a step's reward.
        weights: of the pairs: the reward of a step is the sum of its covariances with the pairs times these.
        evidence: log likelihood of the answers, over all rewards, and of the relevance: many numbers that matter, or
            rewards that change within little, are unlikely (exponentially, with mean 1), whatever noise suggests.
    """

    relevance: Floats
    size: float
    variance: float
    weights: Floats
    evidence: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Compared:
    """What is known: the steps, how often each counts for the left side of each pair, and the answers."""

    numbers: Floats
    words: Rows
    sums: Floats
    choice: Floats

    def rewards(self, process: _Process) -> Floats:
        """Of the steps."""
        return process.variance * self._toward(process.relevance) @ process.weights

    def best(self, relevance: Floats, sizes: tuple[float, ...], start: Floats) -> _Process:
        """The size under which the answers are most likely, and what is known then; begins with some weights."""
        covariance, of_each = self.sums @ self._toward(relevance), list[_Process]()
        of_one = float(np.diagonal(covariance).mean())
        for size in sizes:
            variance = size**2 / of_one if of_one > 0 else 0.0
            weights, evidence = _laplace(covariance * variance, self.choice, start)
            evidence -= float(relevance.sum())
            of_each.append(
                _Process(relevance=relevance, size=size, variance=variance, weights=weights, evidence=evidence)
            )
        return max(of_each, key=lambda each: each.evidence)

    def _toward(self, relevance: Floats) -> Floats:
        """Covariance of each step with each pair, of size 1, ``[M, N]``."""
        scaled = self.numbers * np.sqrt(relevance[:-1])
        squares = (scaled**2).sum(axis=1)
        # Of many steps the sums are nearly all zeros, and all covariances at once would not fit into memory.
        sums = self.sums.T if len(scaled) <= MOST_STEPS else csr_array(self.sums.T)
        toward = list[Floats]()
        for start in range(0, len(scaled), MOST_STEPS):
            some = slice(start, start + MOST_STEPS)
            apart = np.maximum(squares[some, None] + squares - 2 * scaled[some] @ scaled.T, 0)
            apart += relevance[-1] * (self.words[some, None] != self.words)
            toward.append(np.exp(-0.5 * apart) @ sums)
        return np.concatenate(toward)


def _most_likely(compared: _Compared) -> _Process:
    """The relevance of each number and the size that make the answers most likely: from one for all, one by one."""
    differ = [*(compared.numbers.std(axis=0) > 0).tolist(), bool(np.ptp(compared.words) > 0)]
    nothing = np.zeros(len(compared.choice))
    equal = np.array(differ, np.float64) / max(2 * sum(differ), 1)
    best = max((compared.best(equal / r**2, _SIZES, nothing) for r in _REACHES), key=lambda each: each.evidence)
    tries, improves = 0, True
    while improves:
        improves = False
        for i in np.flatnonzero(differ):
            for factor in (1 / _FACTOR, _FACTOR):
                better = True
                while better and tries < _TRIES and _LEAST < best.relevance[i] * factor < _LARGEST:
                    relevance = best.relevance.copy()
                    relevance[i] *= factor
                    near = tuple(size for size in _SIZES if 0.25 < size / best.size < 4)
                    tried, tries = compared.best(relevance, near, best.weights), tries + 1
                    better = tried.evidence > best.evidence
                    best, improves = (tried, True) if better else (best, improves)
    return best


def _laplace(covariance: Floats, choice: Floats, weights: Floats) -> tuple[Floats, float]:
    """The most likely weights of the pairs by Newton's method with halved steps, and the evidence."""
    identity, odds = np.eye(len(choice)), covariance @ weights
    now, factor = _likelihood(weights, odds, choice), cho_factor(identity, lower=True)
    for _ in range(_STEPS):
        chance = expit(odds)
        curve = np.sqrt(chance * (1 - chance))
        factor = cho_factor(identity + curve[:, None] * covariance * curve, lower=True)
        gradient = curve**2 * odds + choice - chance
        change = gradient - curve * cho_solve(factor, curve * (covariance @ gradient)) - weights
        tried, step, gain = weights, 1.0, -1.0
        while step > _ENOUGH and not gain >= 0:
            tried = weights + step * change
            gain = _likelihood(tried, covariance @ tried, choice) - now
            step /= 2
        if not gain > 0:
            break
        weights, odds, now = tried, covariance @ tried, now + gain
        if gain < _ENOUGH:
            break
    return weights, now - float(np.log(np.diagonal(factor[0])).sum())


def _likelihood(weights: Floats, odds: Floats, choice: Floats) -> float:
    """Log likelihood of the answers and of the rewards."""
    return float((choice * log_expit(odds) + (1 - choice) * log_expit(-odds)).sum() - 0.5 * weights @ odds)
