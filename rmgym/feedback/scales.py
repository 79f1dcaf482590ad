"""Which answers may stand beside which: an answer fits its question, and what means different things is not mixed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session, col, select

from rmgym.errors import FeedbackError
from rmgym.feedback.tables import Answer, DamagedRowError, Query


@dataclass(frozen=True, order=True)
class Scale:
    """What an answer means.

    Attributes:
        source: how it came about.
        levels: number of levels of a rating, 0 for exact values; -1 for a comparison, which has none.
        cuts: where an exact value changes its level, where that is known.
    """

    source: str
    levels: int
    cuts: tuple[float, ...] = ()

    @classmethod
    def of(cls, source: str, compared: bool, levels: int | None, cuts: Sequence[float] | None) -> Scale:
        """The scale of a row of the label database."""
        return cls(source, -1 if compared else levels or 0, tuple(cuts or ()))

    def __str__(self) -> str:
        if self.levels < 0:
            return f"{self.source}, comparisons"
        where = f" cut at {', '.join(f'{cut:.4g}' for cut in self.cuts)}" if self.cuts else ""
        return f"{self.source} with {f'levels {self.levels}' if self.levels else 'exact values'}{where}"


def are_mixed(scales: Iterable[Scale]) -> bool:
    """Whether these mean different things: several sources, several counts of levels, or levels cut differently.

    People who rate on one count of levels are taken to mean one thing, because their cut points are not known.
    """
    scales = set(scales)
    several = (
        {scale.source for scale in scales},
        {scale.levels for scale in scales if scale.levels >= 0},
        {scale.cuts for scale in scales if scale.cuts},
    )
    return any(len(values) > 1 for values in several)


def scales_of(session: Session, annotator: str) -> set[Scale]:
    """What an annotator's answers mean; empty where there are none."""
    given = select(Answer.source, col(Answer.value).is_(None), Answer.levels, Answer.cuts).where(
        Answer.annotator == annotator, col(Answer.skipped).is_(False)
    )
    return {_scale(annotator, *row) for row in session.exec(given.distinct())}


def _scale(annotator: str, source: object, compared: bool, levels: object, cuts: object) -> Scale:
    """The scale of some columns, of which nobody has checked what SQLite gave.

    Raises:
        DamagedRowError: it is something else.
    """
    numbers = cuts if isinstance(cuts, list) else []
    if not (
        isinstance(source, str)
        and isinstance(levels, int | None)
        and isinstance(cuts, list | None)
        and all(isinstance(number, int | float) for number in numbers)
    ):
        raise DamagedRowError(f"an answer of {annotator!r}: source {source!r}, levels {levels!r}, cuts {cuts!r:.40}")
    return Scale.of(source, compared, levels, numbers)


def check_scales(annotator: str, scales: Iterable[Scale]) -> None:
    """Refuse an annotator whose answers mean different things: nobody could sort them out later.

    Raises:
        FeedbackError: they do.
    """
    scales = set(scales)
    if are_mixed(scales):
        raise FeedbackError(
            "one annotator answers in one way and rates on one scale",
            got=f"{annotator}: " + "; ".join(map(str, sorted(scales))),
            fix="keep to the teacher, levels and cut points of the earlier answers, or choose another annotator "
            "(--annotator NAME) or database (--db FILE)",
        )


def check_answer(answer: Answer, query: Query | None) -> None:
    """Refuse an answer that does not fit its question.

    Raises:
        FeedbackError: it does not.
    """
    check_kind(answer, query)
    check_value(answer)


def check_kind(answer: Answer, query: Query | None) -> Query:
    """Refuse an answer to no question, or of another kind than its question asks for; else give that question.

    Raises:
        FeedbackError: it is.
    """
    if query is None:
        raise FeedbackError("an answer belongs to a question", got=answer.query, fix="take ids from pending()")
    given = {"rating": answer.value, "preference": answer.choice}
    if [k for k, v in given.items() if v is not None] != ([] if answer.skipped else [query.kind]):
        raise FeedbackError(f"question {query.id} asks for a {query.kind}", got=given, fix="use rate() or prefer()")
    return query


def check_value(answer: Answer) -> None:
    """Refuse an answer that is off its scale.

    Raises:
        FeedbackError: it is.
    """
    if answer.value is not None:
        fits = np.isfinite(answer.value) and (answer.levels is None or 1 <= answer.value <= answer.levels)
        if not fits:
            span = "a finite number" if answer.levels is None else f"1 to {answer.levels}"
            raise FeedbackError(f"a rating is {span}", got=answer.value, fix="rate again")
    if answer.choice is not None and not 0 <= answer.choice <= 1:
        raise FeedbackError("a choice is a probability", got=answer.choice, fix="use 1 left, 0 right, 0.5 tie")
    if not (answer.margin >= 0 and np.isfinite(answer.margin)):
        fix = "say by the choice which is better, and pass how much, 0 or more"
        raise FeedbackError("a margin is a finite number of at least 0", got=answer.margin, fix=fix)
    if answer.confidence is not None and not 0 <= answer.confidence <= 1:
        raise FeedbackError("confidence is in [0, 1]", got=answer.confidence, fix="pass a probability")
