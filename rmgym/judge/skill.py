"""How often a judge is right, measured on pairs whose order is known: it labels with that confidence, or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from rmgym.errors import JudgeError
from rmgym.judge.opinions import Judge, Steps
from rmgym.judge.prompt_files import Kind
from rmgym.metrics.statistics import Interval, wilson_ci

Floats = npt.NDArray[np.float64]
FEWEST_PAIRS = 20
"""Pairs that say something: of fewer, a judge would have to be right about nearly all."""


@dataclass(frozen=True, kw_only=True)
class OrderedPairs:
    """Pairs of steps, or of segments, one of which is better.

    Attributes:
        better: texts of the better ones.
        worse: of the others, in the same order.
        by: who says so.

    Raises:
        JudgeError: there are fewer than :data:`FEWEST_PAIRS`.
    """

    better: tuple[Steps, ...]
    worse: tuple[Steps, ...]
    by: str

    def __post_init__(self) -> None:
        if len(self) < FEWEST_PAIRS:
            raise JudgeError(
                f"a judge is measured on at least {FEWEST_PAIRS} pairs of known order",
                got=f"{len(self)} by {self.by}",
                fix="collect more varied steps, have more pairs compared, or let another say the order: check=",
            )

    def __len__(self) -> int:
        return len(self.better)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What a judge's answers to one kind of question are worth.

    Attributes:
        kind: of the question: ``rating`` (two are compared by their ratings) or ``preference``.
        by: who knows the order.
        pairs: of known order that the judge answered.
        unanswered: others.
        right: how many of them it has in order, where a tie counts half.
        slope: the probability that one is better is ``expit(slope * apart)``, where ``apart`` is the difference of two
            ratings, or the log-odds of a comparison; 0 or more.
        centre: mean of the ratings; 0 of comparisons.
        scale: their standard deviation; 1 of comparisons.
    """

    kind: Kind
    by: str
    pairs: int
    unanswered: int
    right: float
    slope: float
    centre: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        counts = 0 <= self.right <= self.pairs and self.unanswered >= 0
        if not (counts and math.isfinite(self.slope + self.centre + self.scale) and self.slope >= 0 < self.scale):
            raise JudgeError("what was measured of a judge is numbers that can be", got=self, fix="measure it again")

    @classmethod
    def of(cls, kind: Kind, by: str, apart: Floats, ratings: Floats | None = None) -> Self:
        """From how far the better one of each pair is ahead, ``[N]``, NaN where there was no answer."""
        given = apart[~np.isnan(apart)]
        rated = np.zeros(0) if ratings is None else ratings[~np.isnan(ratings)]
        scale = float(rated.std()) if len(rated) else 0.0
        return cls(
            kind=kind,
            by=by,
            pairs=len(given),
            unanswered=len(apart) - len(given),
            right=float(((np.sign(given) + 1) / 2).sum()),
            slope=fitted_slope(given),
            centre=float(rated.mean()) if len(rated) else 0.0,
            scale=scale if scale > 0 else 1.0,
        )

    @property
    def accuracy(self) -> Interval:
        """Share of pairs in order with Wilson's 95 % interval."""
        return wilson_ci(self.right, self.pairs)

    @property
    def is_reliable(self) -> bool:
        """Whether it is better than chance: the interval lies above one half."""
        return self.accuracy.low > 0.5

    def probability(self, apart: Floats) -> Floats:
        """Probability that the first of two is better, which is so far ahead."""
        chance: Floats = 1 / (1 + np.exp(-np.clip(self.slope * apart, -500, 500)))
        return chance

    def confidence(self, ratings: Floats) -> Floats:
        """Mean probability that a rating and that of another step tell which is better, ``float64 [N]`` in [0.5, 1].

        The other step's rating is taken at seven points of a normal distribution with the measured mean and spread.
        """
        others = self.centre + self.scale * np.array([-1.47, -0.79, -0.37, 0.0, 0.37, 0.79, 1.47])
        chance = self.probability(ratings[:, None] - others)
        sure: Floats = np.maximum(chance, 1 - chance).mean(axis=1)
        return sure

    def check(self, *, accept_unreliable: bool) -> None:
        """Refuse a judge that is no better than chance.

        Raises:
            JudgeError: it is not, and ``accept_unreliable`` is False; or it answered nothing.
        """
        if not self.pairs or not (self.is_reliable or accept_unreliable):
            raise JudgeError(
                "a judge labels where it is better than chance",
                got=str(self),
                fix="take a larger model, other prompts or more pairs; accept_unreliable=true takes it nonetheless",
            )

    def __str__(self) -> str:
        share = self.accuracy
        what = "ratings" if self.kind == "rating" else "comparisons"
        if math.isnan(share.value):
            return f"{what}: no answer to {self.unanswered} pairs"
        return (
            f"{what}: {share.value:.0%} of {self.pairs} pairs in order (95 % interval {share.low:.0%} to "
            f"{share.high:.0%}; order by {self.by})"
            + (f", no answer to {self.unanswered} more" if self.unanswered else "")
        )


def measured(judge: Judge, kind: Kind, pairs: OrderedPairs, *, seed: int = 0) -> Reliability:
    """Try a judge on pairs of known order.

    Args:
        judge: who is tried.
        kind: how it is asked.
        pairs: with their order.
        seed: which of a pair is asked about as A, so that a taste for it is no skill.

    Raises:
        JudgeError: the judge cannot be asked, or the budget is spent.
    """
    if kind == "rating":
        ratings = judge.rate([*pairs.better, *pairs.worse]).mean.reshape(2, -1)
        return Reliability.of(kind, pairs.by, ratings[0] - ratings[1], ratings)
    turned = np.random.default_rng(seed).random(len(pairs)) < 0.5
    sides: list[tuple[Steps, Steps]] = [
        (worse, better) if swap else (better, worse)
        for better, worse, swap in zip(pairs.better, pairs.worse, turned, strict=True)
    ]
    odds = judge.compare([left for left, _ in sides], [right for _, right in sides])
    return Reliability.of(kind, pairs.by, np.where(turned, -odds, odds))


def fitted_slope(apart: Sequence[float] | Floats) -> float:
    """Slope of a logistic curve through the origin by maximum likelihood, 0 or more.

    As Platt 1999 ("Probabilistic outputs for support vector machines") does, each pair counts as right with probability
    ``(N + 1) / (N + 2)``, so that a judge that is right about all of ``N`` pairs is not infinitely sure.

    Args:
        apart: how far the better one of each pair is ahead.
    """
    from scipy.optimize import brentq

    x = np.asarray(apart, np.float64)
    size = float(np.sqrt(np.mean(x**2))) if len(x) else 0.0
    if not size > 0:
        return 0.0
    target = (len(x) + 1) / (len(x) + 2)

    def gradient(slope: float) -> float:
        return float(np.sum(x / size * (target - 1 / (1 + np.exp(-np.clip(slope * x / size, -500, 500))))))

    if gradient(0.0) <= 0:
        return 0.0
    high = 1.0
    while gradient(high) > 0 and high < 1e6:
        high *= 2
    return float(brentq(gradient, 0.0, high)) / size if gradient(high) < 0 else high / size
