"""Questions in the label database: segments of collected steps, to be rated or compared."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlmodel import Session, select

from rmgym.environments.collect import collected_in
from rmgym.errors import FeedbackError
from rmgym.feedback.queries import Rows
from rmgym.feedback.tables import Project, Query, Segment
from rmgym.text.batch import TextBatch
from rmgym.transitions import ARRAY_FIELDS, Transitions
from rmgym.trees import leaves


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """What an annotator is asked: to rate ``left`` (one step), or to compare ``left`` and ``right`` (segments)."""

    id: int
    kind: str
    left: TextBatch
    right: TextBatch | None


def read_question(session: Session, query: Query) -> Question:
    """Return a question with its texts."""
    left = session.get_one(Segment, query.left)
    right = session.get_one(Segment, query.right) if query.right is not None else None
    return Question(
        id=row_id(query),
        kind=query.kind,
        left=TextBatch.from_json(left.texts),
        right=TextBatch.from_json(right.texts) if right is not None else None,
    )


def check_segments(transitions: Transitions, texts: TextBatch, starts: Rows, length: int) -> None:
    """Refuse segments that are empty or leave their episode.

    Raises:
        FeedbackError: they are, or a step has no text.
    """
    if length < 1:
        raise FeedbackError("a segment has at least one step", got=f"length {length}", fix="pass a positive length")
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
    collection = _digest(transitions)
    stored = session.exec(select(Segment).where(Segment.collection == collection, Segment.length == length))
    by_place = {(s.episode, s.start): s for s in stored}
    by_row = dict[int, Segment]()
    for row in starts.tolist():
        episode, start = int(transitions.episode[row]), int(transitions.step[row])
        if (episode, start) not in by_place:
            content = texts[row : row + length].to_json()
            segment = Segment(collection=collection, episode=episode, start=start, length=length, texts=content)
            session.add(segment)
            by_place[episode, start] = segment
        by_row[row] = by_place[episode, start]
    session.flush()
    return {row: row_id(segment) for row, segment in by_row.items()}


def _digest(transitions: Transitions) -> str:
    """Identity of collected steps (16 hex digits)."""
    digest = hashlib.sha256()
    for name in ARRAY_FIELDS:
        for leaf in leaves(getattr(transitions, name)).values():
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
