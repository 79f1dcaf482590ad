"""Questions in the label database: segments of collected steps, to be rated or compared, known by their texts."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from rmgym.environments.collect import collected_in
from rmgym.errors import FeedbackError, TextError
from rmgym.feedback.queries import Rows
from rmgym.feedback.tables import Answer, DamagedRowError, Project, Query, Segment
from rmgym.text.batch import TextBatch
from rmgym.transitions import ARRAY_FIELDS, Transitions
from rmgym.trees import leaves

QuestionKey = tuple[str, str | None]
"""What a question asks about: :func:`segment_digest` of its left and its right side, None where one step is rated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """What an annotator is asked: to rate ``left`` (one step), or to compare ``left`` and ``right`` (segments)."""

    id: int
    kind: str
    left: TextBatch
    right: TextBatch | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question without its texts."""

    id: int
    kind: str
    key: QuestionKey


def read_question(session: Session, query: Query) -> Question:
    """Return a question with its texts."""
    left = session.get_one(Segment, query.left)
    right = session.get_one(Segment, query.right) if query.right is not None else None
    return Question(
        id=row_id(query),
        kind=query.kind,
        left=texts_of(left),
        right=texts_of(right) if right is not None else None,
    )


def texts_of(segment: Segment) -> TextBatch:
    """The texts of a segment's steps.

    Raises:
        DamagedRowError: they are none, or of another number of steps.
    """
    try:
        texts = TextBatch.from_json(segment.texts)
    except TextError as error:
        raise DamagedRowError(f"segment {segment.id}: its texts: {error.got}") from error
    if len(texts) != segment.length:
        raise DamagedRowError(f"segment {segment.id}: {segment.length} steps with {len(texts)} texts")
    return texts


def check_segments(transitions: Transitions, texts: TextBatch, starts: Rows, length: int) -> None:
    """Refuse segments that are empty or leave their episode.

    Raises:
        FeedbackError: they are, or a step has no text.
    """
    if length < 1:
        raise FeedbackError("a segment has at least one step", got=f"length {length}", fix="pass length=25")
    if len(texts) != len(transitions):
        raise FeedbackError("every step has one text", got=(len(transitions), len(texts)), fix="pass all texts")
    last = starts + length - 1
    if starts.size and (starts.min() < 0 or last.max() >= len(transitions)):
        raise FeedbackError("segments lie inside the collected steps", got=starts, fix="pass rows of these steps")
    whole = transitions.episode[starts] == transitions.episode[last]
    whole &= transitions.step[last] - transitions.step[starts] == length - 1
    if not whole.all():
        raise FeedbackError(
            "a segment stays in one episode",
            got=f"{length} steps from row {starts[~whole][0]}",
            fix="choose pairs with select_segments, or shorter segments",
        )


def add_questions(
    session: Session, kind: str, transitions: Transitions, texts: TextBatch, starts: Rows, length: int
) -> list[Query]:
    """Add the questions that are not there yet.

    Args:
        session: of a writing transaction.
        kind: ``rating`` or ``preference``.
        transitions: the steps.
        texts: one text per step.
        starts: first rows of segments, ``int64 [N, 1]`` to rate, ``[N, 2]`` to compare.
        length: steps per segment.

    Returns:
        The ``N`` questions, in order.

    Raises:
        FeedbackError: the database is about another card.
    """
    _join_project(session, transitions, texts)
    ids = _segments(session, transitions, texts, np.unique(starts), length)
    asked = {(q.left, q.right): q for q in session.exec(select(Query).where(Query.kind == kind))}
    queries = list[Query]()
    for sides in starts.tolist():
        left, right = ids[sides[0]], (ids[sides[1]] if len(sides) == 2 else None)
        if (left, right) not in asked:
            asked[left, right] = Query(kind=kind, left=left, right=right)
            session.add(asked[left, right])
        queries.append(asked[left, right])
    session.flush()
    return queries


def compare_asked(session: Session, query: int, others: Sequence[int]) -> list[Query]:
    """Ask to compare what one question is about with what others are about, where that is not asked yet.

    Args:
        session: of a writing transaction.
        query: id of a question; its left side is the left one of each comparison.
        others: ids of questions, whose left sides are the right ones.

    Returns:
        The comparisons, in order.
    """
    left, queries = session.get_one(Query, query).left, list[Query]()
    for other in others:
        right = session.get_one(Query, other).left
        same = select(Query).where(Query.kind == "preference", Query.left == left, Query.right == right)
        asked = session.exec(same).first() or Query(kind="preference", left=left, right=right)
        session.add(asked)
        queries.append(asked)
    session.flush()
    return queries


def _join_project(session: Session, transitions: Transitions, texts: TextBatch) -> None:
    """Set what this database is about, or refuse what is about something else."""
    project = session.exec(select(Project)).first()
    if project is None:
        env = collected_in(transitions)
        project = Project(
            env_id=None if env is None else env.id,
            env_kwargs={} if env is None else env.to_json()["kwargs"],
            card_hash=texts.card_hash,
            language=texts.language,
            created=now(),
        )
        session.add(project)
    elif project.card_hash != texts.card_hash:
        raise FeedbackError(
            "one database holds labels of one environment, card and language",
            got=f"text of card {texts.card_hash}; the database is about {project.env_id}, card {project.card_hash}",
            fix="choose another database file",
        )


def _segments(
    session: Session, transitions: Transitions, texts: TextBatch, starts: Rows, length: int
) -> dict[int, int]:
    """Ids of the segments that start at these rows; missing ones are added."""
    stored = session.exec(select(Segment).where(Segment.length == length))
    by_digest = {s.digest: s for s in stored}
    by_row, openings = dict[int, Segment](), dict[int, str]()
    for row in starts.tolist():
        content = texts[row : row + length]
        digest = segment_digest(content)
        if digest not in by_digest:
            episode = int(transitions.episode[row])
            if episode not in openings:
                openings[episode] = _opening(transitions, episode)
            by_digest[digest] = Segment(
                digest=digest,
                opening=openings[episode],
                episode=episode,
                start=int(transitions.step[row]),
                length=length,
                texts=content.to_json(),
            )
            session.add(by_digest[digest])
        by_row[row] = by_digest[digest]
    session.flush()
    return {row: row_id(segment) for row, segment in by_row.items()}


def segment_digest(texts: TextBatch) -> str:
    """Identity of steps by what is read of them: SHA-256 (32 hex digits) of card and texts."""
    return hashlib.sha256(json.dumps([texts.card_hash, *texts.strings()]).encode()).hexdigest()[:32]


def keys_of(texts: TextBatch, starts: Rows, length: int) -> list[QuestionKey]:
    """What questions ask about.

    Args:
        texts: one text per step.
        starts: first rows of segments, ``int64 [N, 1]`` to rate, ``[N, 2]`` to compare.
        length: steps per segment.
    """
    digest = {row: segment_digest(texts[row : row + length]) for row in np.unique(starts).tolist()}
    return [(digest[sides[0]], digest[sides[1]] if len(sides) == 2 else None) for sides in starts.tolist()]


def known_keys(session: Session, kind: str, annotator: str | None = None) -> set[QuestionKey]:
    """What was asked about before, or what an annotator has answered or skipped of that."""
    left, right = aliased(Segment), aliased(Segment)
    asked = select(left.digest, right.digest).select_from(Query).join(left, col(Query.left) == left.id)
    asked = asked.outerjoin(right, col(Query.right) == right.id).where(Query.kind == kind)
    if annotator is not None:
        asked = asked.where(col(Query.id).in_(select(Answer.query).where(Answer.annotator == annotator)))
    return set(session.exec(asked))


def asked_questions(session: Session) -> list[Asked]:
    """All questions, oldest first, by what they ask about."""
    left, right = aliased(Segment), aliased(Segment)
    asked = select(Query.id, Query.kind, left.digest, right.digest).select_from(Query)
    asked = asked.join(left, col(Query.left) == left.id).outerjoin(right, col(Query.right) == right.id)
    rows = session.exec(asked.order_by(col(Query.id)))
    return [Asked(id=query or 0, kind=kind, key=(first, second)) for query, kind, first, second in rows]


def _opening(transitions: Transitions, episode: int) -> str:
    """Identity of an episode's first step (16 hex digits)."""
    first = transitions[np.flatnonzero(transitions.episode == episode)[:1]]
    digest = hashlib.sha256()
    for name in ARRAY_FIELDS:
        for leaf in leaves(getattr(first, name)).values():
            # Objects (strings, graphs) are digested as they show themselves, whole; tobytes() would be their addresses.
            with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
                content = repr(leaf.tolist()).encode() if leaf.dtype == object else leaf.tobytes()
            digest.update(content)
    return digest.hexdigest()[:16]


def row_id(row: Query | Segment) -> int:
    """The id of a row that was flushed."""
    assert row.id is not None
    return row.id


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


def rows_of_answers(session: Session, annotator: str | None) -> list[dict[str, object]]:
    """See :meth:`rmgym.feedback.store.LabelStore.answer_rows`."""
    given = select(Answer) if annotator is None else select(Answer).where(Answer.annotator == annotator)
    rows = list[dict[str, object]]()
    for answer in session.exec(given.order_by(col(Answer.id))):
        asked = read_question(session, session.get_one(Query, answer.query))
        sides = {"left": asked.left, "right": asked.right}
        strings = {side: "\n".join(texts.strings()) if texts else None for side, texts in sides.items()}
        cells = answer.model_dump(exclude={"id", "checksum"})
        cells["cuts"] = None if answer.cuts is None else json.dumps(answer.cuts)  # CSV holds no lists
        rows.append({"kind": asked.kind, **strings, **cells})
    return rows
