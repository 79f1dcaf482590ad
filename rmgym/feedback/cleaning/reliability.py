"""How much each annotator's answer counts where several answered one question."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from rmgym.feedback.cleaning.constant import ALPHA
from rmgym.feedback.given import KINDS, Given, Kind, value_of

Floats = npt.NDArray[np.float64]
_SHUFFLES, _ROUNDS = 399, 50
_PRIOR, _USUAL = 4.0, 0.75  # so many answers of such an accuracy, or of the usual variance, everybody begins with
_LEAST = 0.1  # of the largest weight


def reliabilities(given: Given, values: Floats) -> tuple[Floats, list[str]]:
    """A weight for each answer, ``[N]``, and a note where they are not all 1.

    They are 1 unless annotators differ: a permutation test, which changes hands within each question, has to tell them
    apart at :data:`~rmgym.feedback.cleaning.constant.ALPHA`, of ratings that were standardised by what is left when
    scales are fitted to the questions themselves: a mean and a spread of few ratings are a guess, and who was guessed
    wrong is not less reliable. Of comparisons, a weight then is the log odds of being
    right, where everybody has one accuracy (Dawid & Skene 1979, with one parameter for each annotator); of ratings, the
    inverse of the variance about the question's value. Both are found by expectation-maximisation, as if everybody had
    given four usual answers before.

    Args:
        given: answers.
        values: ratings on one scale, and choices as they were given, ``[N]``.
    """
    weights, notes = np.ones(len(given.answers)), list[str]()
    rows = np.array([answer.choice is None for answer in given.answers], np.bool_)
    for kind in KINDS:
        mine = np.flatnonzero(rows == (kind == "rating"))
        names, table = _shared(given, kind, mine, values)
        standardised = any(not np.isclose(values[i], value_of(given.answers[int(i)])) for i in mine)
        if len(names) < 3 or not (table.on_fitted_scales() if standardised else table).differ():
            continue
        weight = table.inverse_variances() if kind == "rating" else table.log_odds()
        weight = np.maximum(weight / weight.max(), _LEAST)
        by = dict(zip(names, weight.tolist(), strict=True))
        weights[mine] = [by.get(given.answers[int(i)].annotator, 1.0) for i in mine]
        each = ", ".join(f"{name} {by[name]:.2f}" for name in names)
        notes.append(f"{_WORDS[kind]} of several people to one question count by how reliable these are: {each}")
    return weights, notes


_WORDS: dict[Kind, str] = {"rating": "ratings", "preference": "choices"}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shared:
    """``N`` answers to questions that several annotators answered, ordered by question.

    Attributes:
        question: number of the question, ascending, ``int64 [N]``.
        annotator: number of the annotator, ``int64 [N]``.
        values: what was answered, ``float64 [N]``.
        compared: whether these are comparisons: probabilities that one side is better.
    """

    question: npt.NDArray[np.int64]
    annotator: npt.NDArray[np.int64]
    values: Floats
    compared: bool

    def on_fitted_scales(self) -> _Shared:
        """The same with each annotator's mean and spread fitted to the questions (alternating least squares)."""
        values, annotator, count = self.values, self.annotator, np.bincount(self.annotator)
        mean, spread, each = np.zeros(len(count)), np.ones(len(count)), values
        for _ in range(_ROUNDS):
            own = spread[annotator]
            total = np.bincount(self.question, own * (values - mean[annotator]))
            middle = total / (np.bincount(self.question, own**2) + 1e-12)
            each = ((middle - middle.mean()) / (middle.std() or 1.0))[self.question]
            centre = np.bincount(annotator, each) / count
            away = each - centre[annotator]
            spread = np.bincount(annotator, away * values) / (np.bincount(annotator, away**2) + 1e-12)
            mean = np.bincount(annotator, values) / count - spread * centre
        return replace(self, values=each + values - mean[annotator] - spread[annotator] * each)

    def differ(self) -> bool:
        """Whether some annotators are farther from the others than changing hands within each question explains."""
        rng, here = np.random.default_rng(0), self._spread(self.values)
        shuffled = (self.values[np.lexsort((rng.random(len(self.values)), self.question))] for _ in range(_SHUFFLES))
        as_far = sum(self._spread(values) >= here - 1e-12 for values in shuffled)
        return (as_far + 1) / (_SHUFFLES + 1) <= ALPHA

    def _spread(self, values: Floats) -> float:
        """How much annotators differ in how far they are from the others, or how seldom on their side of a tie."""
        answers, total = np.bincount(self.question), np.bincount(self.question, values)
        others = (total[self.question] - values) / (answers[self.question] - 1)
        distance = -(values - 0.5) * (others - 0.5) if self.compared else (values - others) ** 2
        count = np.bincount(self.annotator)
        return float((count * (np.bincount(self.annotator, distance) / count - distance.mean()) ** 2).sum())

    def log_odds(self) -> Floats:
        """Of being right, by annotator; ties tell nothing."""
        sign = 2 * self.values - 1
        strict, accuracy = np.abs(sign), np.full(self.annotator.max() + 1, _USUAL)
        for _ in range(_ROUNDS):
            first = expit(np.bincount(self.question, sign * logit(accuracy)[self.annotator]))[self.question]
            right = strict * np.where(sign > 0, first, 1 - first)
            accuracy = (np.bincount(self.annotator, right) + _PRIOR * _USUAL) / (
                np.bincount(self.annotator, strict) + _PRIOR
            )
        return np.maximum(logit(accuracy), 0.0) + 1e-6

    def inverse_variances(self) -> Floats:
        """About the questions' values, by annotator."""
        count = np.bincount(self.annotator)
        variance = np.ones(len(count))
        for _ in range(_ROUNDS):
            weight = 1 / variance[self.annotator]
            total = np.bincount(self.question, weight)
            middle = np.bincount(self.question, weight * self.values) / total
            error = (self.values - middle[self.question]) ** 2 + 1 / total[self.question]
            usual = max(float(error.mean()), 1e-12)
            variance = (np.bincount(self.annotator, error) + _PRIOR * usual) / (count + _PRIOR)
        return 1 / variance


def _shared(given: Given, kind: Kind, rows: npt.NDArray[np.int64], values: Floats) -> tuple[list[str], _Shared]:
    """Who answered questions that others answered too, and these answers; sides as they are older in the database."""
    answers, seen = [given.answers[int(i)] for i in rows], values[rows].copy()
    asked = list[tuple[int, int]]()
    for place, answer in enumerate(answers):
        left, right = given.sides(answer)
        if right is not None and left > right:
            left, right, seen[place] = right, left, 1 - seen[place]
        asked.append((left, -1 if right is None else right))
    _, question = np.unique(np.array(asked, np.int64).reshape(-1, 2), axis=0, return_inverse=True)
    several = np.flatnonzero(np.bincount(question)[question] > 1) if len(rows) else rows
    several = several[np.argsort(question[several], kind="stable")]
    names, annotator = np.unique([answers[int(i)].annotator for i in several], return_inverse=True)
    number = np.unique(question[several], return_inverse=True)[1]
    return names.tolist(), _Shared(
        question=number.astype(np.int64),
        annotator=annotator.astype(np.int64),
        values=seen[several],
        compared=kind == "preference",
    )
