"""Which answers may stand beside which: an answer fits its question, and ratings of several scales are never mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session, col, select

from rmgym.errors import FeedbackError
from rmgym.feedback.tables import Answer, Query


@dataclass(frozen=True, order=True)
class Scale:
    """What a rating's number means.

    Attributes:
        source: how the rating came about.
        levels: number of levels, 0 for exact values.
        cuts: where an exact value changes its level, where that is known.
    """

    source: str
    levels: int
    cuts: tuple[float, ...]

    @classmethod
    def of(cls, source: str, levels: int | None, cuts: Sequence[float] | None) -> Scale:
        """The scale of a row of the label database."""
        return cls(source, levels or 0, tuple(cuts or ()))

    def __str__(self) -> str:
        where = f" cut at {', '.join(f'{cut:.4g}' for cut in self.cuts)}" if self.cuts else ""
        return f"{self.source} with {f'levels {self.levels}' if self.levels else 'exact values'}{where}"


def are_mixed(scales: set[Scale]) -> bool:
    """Whether these are several scales.

    Levels of one count are one scale (people's own cut points are not known), but for levels that are known to be cut
    at different values; exact values compare within one source.
    """
    kinds = {(scale.levels, "" if scale.levels else scale.source) for scale in scales}
    return len(kinds) > 1 or len({scale.cuts for scale in scales if scale.cuts}) > 1


def check_scale(session: Session, annotator: str) -> None:
    """Refuse an annotator whose ratings are on several scales: nobody could sort them out later.

    Raises:
        FeedbackError: they are.
    """
    rated = select(Answer.source, Answer.levels, Answer.cuts).where(
        Answer.annotator == annotator, col(Answer.value).is_not(None)
    )
    scales = {Scale.of(*row) for row in session.exec(rated.distinct())}
    if are_mixed(scales):
        raise FeedbackError(
            "one annotator rates on one scale",
            got=f"{annotator}: " + "; ".join(map(str, sorted(scales))),
            fix="keep to the same levels and cut points (ScriptedTeacher(cuts=...)), rate exact values (--levels 0), "
            "or choose another annotator (--annotator NAME) or database (--db FILE)",
        )


def check_answer(answer: Answer, query: Query | None) -> None:
    """Refuse an answer that does not fit its question.

    Raises:
        FeedbackError: it does not.
    """
    if query is None:
        raise FeedbackError("an answer belongs to a question", got=answer.query, fix="take ids from pending()")
    given = {"rating": answer.value, "preference": answer.choice}
    if [k for k, v in given.items() if v is not None] != ([] if answer.skipped else [query.kind]):
        raise FeedbackError(f"question {query.id} asks for a {query.kind}", got=given, fix="use rate() or prefer()")
    if answer.value is not None:
        fits = np.isfinite(answer.value) and (answer.levels is None or 1 <= answer.value <= answer.levels)
        if not fits:
            span = "a finite number" if answer.levels is None else f"1 to {answer.levels}"
            raise FeedbackError(f"a rating is {span}", got=answer.value, fix="rate again")
    if answer.choice is not None and not 0 <= answer.choice <= 1:
        raise FeedbackError("a choice is a probability", got=answer.choice, fix="use 1 left, 0 right, 0.5 tie")
