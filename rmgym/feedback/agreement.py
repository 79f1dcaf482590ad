"""Do annotators agree? Krippendorff's alpha over what several of them answered, and of each one with the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = Mapping[str, Mapping[str, float]]
"""What annotators answered, by their names and by the questions."""

_MOST = 50
"""Values that answers are told apart by; where there are more, each is rounded to a fiftieth."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far some answers agree.

    Attributes:
        alpha: 1 where all are the same, 0 where they agree no more than by chance, below where they contradict each
            other; None where there is nothing to tell it from.
        questions: that two or more have answered.
    """

    alpha: float | None
    questions: int


def agreement(values: Values) -> Agreement:
    """How far annotators agree on what several of them answered.

    Krippendorff's alpha for intervals: differences of answers count by their squares (Krippendorff 2004, "Content
    Analysis", chapter 11). Questions that one alone answered do not count.

    Args:
        values: answers as numbers from 0 to 1.
    """
    return _alpha([*values.values()])


def agreement_of_each(values: Values) -> dict[str, Agreement]:
    """How far each annotator agrees with the mean of the others' answers, on what one of these answered too.

    Args:
        values: as those of :func:`agreement`.
    """
    each = dict[str, Agreement]()
    for name, own in values.items():
        others = dict[str, list[float]]()
        for other in values.keys() - {name}:
            for question in values[other].keys() & own.keys():
                others.setdefault(question, []).append(values[other][question])
        each[name] = _alpha([own, {question: float(np.mean(given)) for question, given in others.items()}])
    return each


def _alpha(answers: Sequence[Mapping[str, float]]) -> Agreement:
    asked = sorted({question for given in answers for question in given})
    rows = [[given.get(question, np.nan) for question in asked] for given in answers]
    table = np.array(rows, np.float64).reshape(len(answers), len(asked))
    shared: npt.NDArray[np.float64] = table[:, np.isfinite(table).sum(axis=0) > 1]
    alpha = None
    if shared.shape[1] > 1 and np.nanmin(shared) < np.nanmax(shared):  # it compares with chance, and there is none
        from krippendorff import alpha as krippendorff_alpha

        if len(np.unique(shared)) > _MOST:  # its time and memory grow with the square of how many there are
            shared = np.round(shared * _MOST) / _MOST
        alpha = float(krippendorff_alpha(reliability_data=shared, level_of_measurement="interval"))
    return Agreement(alpha=alpha, questions=shared.shape[1])
