"""Answers as they were given, with the questions and the segments that they are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sqlmodel import Session, col, select

from rmgym.errors import FeedbackError
from rmgym.feedback.questions import row_id
from rmgym.feedback.scales import check_kind
from rmgym.feedback.tables import Answer, DamagedRowError, Query, Segment

Kind = Literal["rating", "preference"]
KINDS: tuple[Kind, ...] = ("rating", "preference")


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """Rows of a label database that belong together.

    Attributes:
        answers: those that were not skipped, oldest first.
        queries: questions by id.
        segments: segments by id.

    Raises:
        DamagedRowError: an answer does not fit its question, or a question is about nothing.
    """

    answers: tuple[Answer, ...]
    queries: Mapping[int, Query]
    segments: Mapping[int, Segment]

    def __post_init__(self) -> None:
        for answer in self.answers:
            try:
                query = check_kind(answer, self.queries.get(answer.query))
            except FeedbackError as error:
                raise DamagedRowError(f"answer {answer.id}: {error.rule}, not {error.got}") from error
            sides = [query.left] if query.kind == "rating" else [query.left, query.right]
            if missing := [side for side in sides if side not in self.segments]:
                raise DamagedRowError(f"query {query.id}: there is no segment {missing[0]}")
            if query.kind == "rating" and self.segments[query.left].length != 1:
                raise DamagedRowError(f"query {query.id}: a rating is of one step, not of {self._length(query)}")

    def of(self, kind: Kind) -> Given:
        """The ratings, or the comparisons."""
        return replace(self, answers=tuple(a for a in self.answers if (a.choice is None) == (kind == "rating")))

    def without(self, answers: Collection[int]) -> Given:
        """All but the answers of these ids."""
        return replace(self, answers=tuple(a for a in self.answers if answer_id(a) not in answers))

    def sides(self, answer: Answer) -> tuple[int, int | None]:
        """The segments that were asked about, left and right; a segment is known by its texts."""
        query = self.queries[answer.query]
        return query.left, query.right

    @property
    def by_whom(self) -> dict[str, dict[str, int]]:
        """How many answers each annotator gave, and how they came about."""
        counts = Counter((answer.annotator, answer.source) for answer in self.answers)
        return {who: {how: n for (whose, how), n in counts.items() if whose == who} for who, _ in counts}

    def _length(self, query: Query) -> int:
        return self.segments[query.left].length


def read_given(session: Session, annotator: str | None) -> Given:
    """The answers of one annotator, or of all.

    Raises:
        DamagedRowError: a row is not as it was written, or see :class:`Given`.
    """
    asked = select(Answer)  # also the skipped ones: only a row that is read is checked
    if annotator is not None:
        asked = asked.where(Answer.annotator == annotator)
    answers = session.exec(asked.order_by(col(Answer.id)))  # later ones come after: fits that go on count on it
    return Given(
        answers=tuple(answer for answer in answers if not answer.skipped),
        queries={row_id(query): query for query in session.exec(select(Query))},
        segments={row_id(segment): segment for segment in session.exec(select(Segment))},
    )


def answer_id(answer: Answer) -> int:
    """The id of an answer that is in the database."""
    assert answer.id is not None
    return answer.id


def value_of(answer: Answer) -> float:
    """What was answered: a rating, or the probability that the left side is better."""
    value = answer.value if answer.choice is None else answer.choice
    assert value is not None
    return value
