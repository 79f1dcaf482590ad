"""Annotators who answer the other way round, or by chance: told by what the others say of the same and of like steps.

No question need be answered twice. What the others would say is foretold by a smooth function of a step's numbers and
words, summed over segments, that is fitted to their answers (ridge regression on random Fourier features: Rahimi &
Recht 2007, "Random Features for Large-Scale Kernel Machines"). From comparisons, and from ratings on any scale, the
same is counted: in how many pairs somebody's order is the foretold one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, fisher_exact, rankdata

from rmgym.feedback.cleaning.audit import Finding, What
from rmgym.feedback.cleaning.constant import ALPHA
from rmgym.feedback.given import KINDS, Given, answer_id, value_of
from rmgym.feedback.queries import features_of
from rmgym.feedback.questions import texts_of
from rmgym.text.batch import TextBatch

Floats = npt.NDArray[np.float64]
_FEATURES, _WORDS = 400, 64  # of a step, and columns that tell texts of different words apart
_REACH, _RIDGE = 0.8, 0.3  # in root mean square distances of two steps; in mean squares of the features
_CLEAR = 0.05  # at which somebody is no longer by chance, for better or worse


@dataclass(frozen=True)
class Tally:
    """In how many pairs somebody's order was the foretold one."""

    hits: int
    pairs: int

    def below_chance(self) -> float:
        """How likely so few hits are by chance."""
        return float(binomtest(self.hits, self.pairs, 0.5, "less").pvalue) if self.pairs else 1.0

    def above_chance(self) -> float:
        """How likely so many hits are by chance."""
        return float(binomtest(self.hits, self.pairs, 0.5, "greater").pvalue) if self.pairs else 1.0

    def below(self, other: Tally) -> float:
        """How likely this is so much below another one, if both are alike (Fisher's exact test)."""
        table = np.array([[self.hits, self.pairs - self.hits], [other.hits, other.pairs - other.hits]])
        return float(fisher_exact(table, alternative="less").pvalue)

    def __str__(self) -> str:
        return f"{self.hits} of {self.pairs} pairs"


def disagreeing(given: Given) -> tuple[list[Finding], list[str]]:
    """Who agrees with the others less than by chance, or no better and clearly less than they agree among themselves.

    Both tests are exact (binomial; Fisher's) at :data:`~rmgym.feedback.cleaning.constant.ALPHA` over the number of
    annotators; whoever is above chance at 5 % stays in any case. The worst is taken out first, and the others are
    judged anew without them. Nobody is judged unless at least two others agree with each other; of two who contradict
    each other, a note says so. It is taken for granted that chance decides who is asked what.

    Returns:
        Whose answers are set aside, and notes.
    """
    findings, notes = list[Finding](), list[str]()
    for kind in KINDS:
        points = _points(given.of(kind))
        left = sorted(set(points.names.tolist()))
        while len(left) > 2 and (finding := _worst(points, left)) is not None:
            findings.append(finding)
            left = [name for name in left if name != finding.annotator]
        if len(left) == 2:
            tally = min((points.tally(name, left) for name in left), key=Tally.below_chance)
            if tally.below_chance() < ALPHA / 2:
                who = " and ".join(left)
                notes.append(f"{who} contradict each other (the same order in {tally}): who is right, nobody can tell")
    return findings, notes


def _worst(points: _Points, names: Sequence[str]) -> Finding | None:
    """Whoever disagrees most with the others, if clearly so."""
    by = {name: points.tally(name, names) for name in names}
    level = ALPHA / len(names)
    for name in sorted(names, key=lambda name: by[name].below_chance()):
        tally, others = by[name], [other for other in names if other != name]
        if tally.above_chance() < _CLEAR:
            continue
        among = [points.tally(other, others) for other in others]
        # That one agrees with another is counted from either side: of two others, every time.
        share = (len(others) - 1) / len(others)
        total = Tally(round(share * sum(t.hits for t in among)), round(share * sum(t.pairs for t in among)))
        if total.above_chance() > _CLEAR or min(tally.below_chance(), tally.below(total)) > level:
            continue
        why = f"orders {tally} as the others' answers to the like foretell; they themselves, {total}"
        ids = tuple(sorted(points.ids[points.of([name])].tolist()))
        what: What = "reversed" if tally.below_chance() < _CLEAR else "by chance"
        return Finding(what=what, annotator=name, answers=ids, why=why)
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Points:
    """``N`` answers of one kind as points: what they are about, and what was answered.

    Attributes:
        rated: whether they are ratings.
        ids: of the answers, ``int64 [N]``.
        names: who gave each, ``[N]``.
        where: what each is about, ``float64 [N, D]``: a step, or by how much two segments differ.
        values: what was answered: a rank among one's own ratings, or who is better; from -0.5 to 0.5, ``float64 [N]``.
    """

    rated: bool
    ids: npt.NDArray[np.int64]
    names: npt.NDArray[np.str_]
    where: Floats
    values: Floats

    def of(self, names: Collection[str]) -> npt.NDArray[np.int64]:
        """The answers of some annotators."""
        return np.flatnonzero(np.isin(self.names, list(names)))

    def tally(self, name: str, among: Sequence[str]) -> Tally:
        """How often somebody's answers are those that the others, of some annotators, foretell."""
        own, others = self.of([name]), self.of([other for other in among if other != name])
        foretold, values = self._foretold(self.where[own], others), self.values[own]
        if self.rated:  # each answer in one pair, with one that is foretold to be far from it: pairs are independent
            order, half = np.argsort(foretold, kind="stable"), len(own) // 2
            low, high = order[:half], order[len(own) - half :]
            foretold, values = foretold[high] - foretold[low], values[high] - values[low]
        tells = foretold * values != 0
        return Tally(int((foretold * values > 0).sum()), int(tells.sum()))

    def _foretold(self, where: Floats, others: npt.NDArray[np.int64]) -> Floats:
        """What some answers foretell elsewhere."""
        there = self.where[others]
        ridge = _RIDGE * max(float((there**2).sum(axis=1).mean()), 1e-12)
        slope = np.linalg.solve(there.T @ there + ridge * np.eye(there.shape[1]), there.T @ self.values[others])
        foretold: Floats = (where @ slope).round(12)
        return foretold


def _points(given: Given) -> _Points:
    """Answers of one kind as points."""
    answers = given.answers
    names = np.array([answer.annotator for answer in answers], np.str_)
    values = np.array([value_of(answer) for answer in answers])
    rated = not answers or answers[0].choice is None
    place = _places(given)
    sides = [given.sides(answer) for answer in answers]
    where = np.array([place[left] - (0 if right is None else place[right]) for left, right in sides])
    if rated:
        for name in set(names.tolist()):
            own = names == name
            values[own] = (rankdata(values[own]) - 0.5) / own.sum()
    ids = np.array([answer_id(answer) for answer in answers], np.int64)
    return _Points(rated=rated, ids=ids, names=names, where=where, values=values - 0.5)


def _places(given: Given) -> dict[int, Floats]:
    """Features of each segment, the sums of its steps', ``[D]``: what is near has like ones."""
    used = sorted({side for answer in given.answers for side in given.sides(answer) if side is not None})
    if not used:
        return {}
    texts = [texts_of(given.segments[segment]) for segment in used]
    numbers, words = features_of(TextBatch.concatenate(texts))
    apart = float(np.sqrt(2 * numbers.astype(np.float64).var(axis=0).sum())) or 1.0
    table = np.concatenate([numbers / apart, np.eye(_WORDS)[words % _WORDS] / np.sqrt(2)], axis=1)
    rng = np.random.default_rng(0)
    waves, phase = rng.normal(size=(table.shape[1], _FEATURES)) / _REACH, rng.uniform(0, 2 * np.pi, _FEATURES)
    lengths = np.array([len(each) for each in texts], np.int64)
    sums = np.add.reduceat(np.cos(table @ waves + phase), np.cumsum(lengths) - lengths)
    return dict(zip(used, sums, strict=True))
