"""Labels in one SQLite file: questions, and the answers of any number of annotators.

Every answer is one transaction that is on disk when the call returns, so that nothing is lost however the process
ends; several processes may ask and answer at the same time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func
from sqlmodel import col, select

from rmgym.errors import AnsweredError, FeedbackError
from rmgym.feedback import cleaning
from rmgym.feedback.assemble import assemble
from rmgym.feedback.database import Database
from rmgym.feedback.given import Given, read_given
from rmgym.feedback.labels import Labels
from rmgym.feedback.queries import Rows
from rmgym.feedback.questions import (
    Asked,
    Question,
    QuestionKey,
    add_questions,
    asked_questions,
    check_segments,
    compare_asked,
    known_keys,
    now,
    read_question,
    row_id,
    rows_of_answers,
    texts_of,
)
from rmgym.feedback.scales import Scale, check_answer, check_scales, scales_of
from rmgym.feedback.tables import Answer, Project, Query, Segment
from rmgym.storage.atomic import replacing
from rmgym.storage.sqlite import connect
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions


class LabelStore:
    """A label database. The file is created by the first question that is added.

    Args:
        path: the SQLite file.

    Raises:
        FeedbackError: the file is not a label database, is damaged, or was written by another version of rmgym.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._database = Database(self.path)

    def add_rating_queries(self, transitions: Transitions, texts: TextBatch, rows: Rows) -> list[int]:
        """Ask for ratings of steps. What is asked already, about the same texts, is not asked again.

        Args:
            transitions: the steps, as :func:`rmgym.collect` gives them.
            texts: one text per step.
            rows: the steps to rate, ``int64 [N]``.

        Returns:
            The questions' ids, in the order of ``rows``.

        Raises:
            FeedbackError: the database is about another card, or cannot be written.
        """
        return self._add("rating", transitions, texts, np.asarray(rows, np.int64)[:, None], 1)

    def add_preference_queries(self, transitions: Transitions, texts: TextBatch, pairs: Rows, length: int) -> list[int]:
        """Ask for comparisons of segments; as :meth:`add_rating_queries`.

        Args:
            transitions: the steps.
            texts: one text per step.
            pairs: first rows of left and right segments, ``int64 [N, 2]``.
            length: steps per segment.

        Raises:
            FeedbackError: a segment is empty or leaves its episode, or as in :meth:`add_rating_queries`.
        """
        return self._add("preference", transitions, texts, np.asarray(pairs, np.int64), length)

    def _add(self, kind: str, transitions: Transitions, texts: TextBatch, starts: Rows, length: int) -> list[int]:
        check_segments(transitions, texts, starts, length)
        if not len(starts):
            return []
        self._database.create()
        with self._database.transaction(write=True) as session:
            return [row_id(q) for q in add_questions(session, kind, transitions, texts, starts, length)]

    def keys(self, kind: str, annotator: str | None = None) -> set[QuestionKey]:
        """What ``rating`` or ``preference`` questions were asked about, or which of them an annotator has answered."""
        if not self._database.exists():
            return set()
        with self._database.transaction() as session:
            return known_keys(session, kind, annotator)

    def asked(self) -> list[Asked]:
        """All questions, oldest first, without their texts."""
        if not self._database.exists():
            return []
        with self._database.transaction() as session:
            return asked_questions(session)

    def questions(self) -> list[Question]:
        """All questions with their texts, oldest first."""
        if not self._database.exists():
            return []
        with self._database.transaction() as session:
            return [read_question(session, query) for query in session.exec(select(Query).order_by(col(Query.id)))]

    def answers(self, annotator: str) -> list[Answer]:
        """What an annotator has answered or skipped, oldest first."""
        if not self._database.exists():
            return []
        with self._database.transaction() as session:
            return [*session.exec(select(Answer).where(Answer.annotator == annotator).order_by(col(Answer.id)))]

    def asked_texts(self) -> TextBatch | None:
        """The texts that ratings were asked of, answered or not; None before the first."""
        if not self._database.exists():
            return None
        with self._database.transaction() as session:
            asked = select(Segment).where(col(Segment.id).in_(select(Query.left).where(Query.kind == "rating")))
            texts = [texts_of(segment) for segment in session.exec(asked.order_by(col(Segment.id)))]
        return TextBatch.concatenate(texts) if texts else None

    def scales(self, annotator: str) -> set[Scale]:
        """What an annotator's answers mean, which later ones keep to; empty before the first."""
        if not self._database.exists():
            return set()
        with self._database.transaction() as session:
            return scales_of(session, annotator)

    def pending(self, annotator: str) -> Iterator[Question]:
        """Questions that an annotator has not answered, oldest first; what is answered meanwhile is left out."""
        last = 0
        while self._database.exists():
            with self._database.transaction() as session:
                answered = select(Answer.query).where(Answer.annotator == annotator)
                left = select(Query).where(col(Query.id) > last, col(Query.id).not_in(answered))
                query = session.exec(left.order_by(col(Query.id)).limit(1)).first()
                if query is None:
                    return
                question = read_question(session, query)
            last = question.id
            yield question

    def rate(self, query: int, value: float, *, annotator: str, source: str, levels: int | None = None) -> None:
        """Record a rating, durably; a second one by the same annotator replaces the first.

        Args:
            query: id of a rating question.
            value: the rating; 1 to ``levels`` where that is given.
            annotator: who says so.
            source: how it came about: ``human``, ``scripted:reward``, ...
            levels: number of levels, None for a continuous rating.

        Raises:
            FeedbackError: there is no such question, or the value is not possible.
        """
        self.record([Answer(query=query, annotator=annotator, source=source, value=value, levels=levels)])

    def prefer(self, query: int, choice: float, *, annotator: str, source: str, margin: float = 0.0) -> None:
        """Record a preference, as :meth:`rate`.

        Args:
            query: id of a preference question.
            choice: probability that the left segment is better: 1 left, 0 right, 0.5 tie, others soft labels.
            annotator: who says so.
            source: how it came about.
            margin: how much better, in units of summed standardised reward; 0 where not said.

        Raises:
            FeedbackError: as :meth:`rate`.
        """
        self.record([Answer(query=query, annotator=annotator, source=source, choice=choice, margin=margin)])

    def skip(self, query: int, *, annotator: str, source: str) -> None:
        """Record that the annotator does not answer: the question is no longer pending and gives no label."""
        self.record([Answer(query=query, annotator=annotator, source=source, skipped=True)])

    def record(self, answers: Sequence[Answer]) -> None:
        """Record many answers in one transaction, all of them or none; their ``time`` is set here.

        Raises:
            FeedbackError: as :meth:`rate`, or an annotator's answers would mean different things.
        """
        if not self._database.exists():
            raise FeedbackError("an answer belongs to a question", got=f"no {self.path}", fix="add questions first")
        with self._database.transaction(write=True) as session:
            for answer in answers:
                check_answer(answer, session.get(Query, answer.query))
                same = select(Answer).where(Answer.query == answer.query, Answer.annotator == answer.annotator)
                for old in session.exec(same):
                    session.delete(old)
                session.flush()
                answer.time = now()
                session.add(answer)
            session.flush()
            for annotator in {answer.annotator for answer in answers}:
                check_scales(annotator, scales_of(session, annotator))

    def ask_to_compare(self, query: int, others: Sequence[int]) -> list[int]:
        """Ask to compare what one question is about with what others are about; ids of the comparisons."""
        with self._database.transaction(write=True) as session:
            return [row_id(compared) for compared in compare_asked(session, query, others)]

    def withdraw(self, annotator: str, queries: Collection[int]) -> None:
        """Take back an annotator's answers to some questions, all of them or, where that fails, none."""
        with self._database.transaction(write=True) as session:
            mine = select(Answer).where(Answer.annotator == annotator, col(Answer.query).in_(queries))
            for answer in session.exec(mine):
                session.delete(answer)

    def undo(self, annotator: str, query: int | None = None) -> Question | None:
        """Take back an annotator's last answer and return its question; None if there is none.

        Args:
            annotator: whose.
            query: the question whose answer that is; by default whichever it is.

        Raises:
            AnsweredError: it is the answer to another question: another program answers under that name.
        """
        if not self._database.exists():
            return None
        with self._database.transaction(write=True) as session:
            mine = select(Answer).where(Answer.annotator == annotator)
            last = session.exec(mine.order_by(col(Answer.id).desc()).limit(1)).first()
            if last is None:
                return None
            if query not in (None, last.query):
                fix = "let one program at a time answer under that name"
                raise AnsweredError("the last answer is taken back", got="another one, given elsewhere", fix=fix)
            session.delete(last)
            return read_question(session, session.get_one(Query, last.query))

    def given(self, annotator: str | None = None) -> Given:
        """What one annotator, or everybody, has answered, with the questions; skipped ones are left out.

        Raises:
            FeedbackError: there is nothing.
        """
        with self._database.explained():
            if self._database.exists():
                with self._database.transaction() as session:
                    given = read_given(session, annotator)
                if given.answers:
                    return given
        whose = f" of annotator {annotator!r}" if annotator else ""
        raise FeedbackError(
            "fitting needs labels",
            got=f"no answers{whose} in {self.path}",
            fix="label steps with 'rmgym label ENV --db FILE'",
        )

    def labels(self, annotator: str | None = None, *, clean: bool = True) -> Labels:
        """Return the labels of one annotator, or of all; skipped questions are left out.

        Args:
            annotator: whose; by default everybody's.
            clean: set aside what cannot be right, and weigh the rest (:func:`rmgym.feedback.clean`). What was done is
                in the labels' ``source["cleaning"]``; the database stays as it is.

        Raises:
            FeedbackError: there are none, or answers that mean different things would be mixed.
        """
        given = self.given(annotator)
        with self._database.explained():
            cleaned = cleaning.clean(given) if clean else cleaning.as_given(given)
            return assemble(cleaned, source={**self.info(), "annotator": annotator, "answers": cleaned.given.by_whom})

    def info(self) -> dict[str, Any]:
        """JSON-able facts about the database.

        Returns:
            ``env_id``, ``env_kwargs``, ``card_hash``, ``language``, ``created`` (None before the first question),
            ``annotators``, and ``counts`` of ``segments``, ``rating_queries``, ``preference_queries``, ``ratings``,
            ``preferences`` and ``skipped``.
        """
        facts: dict[str, Any] = dict.fromkeys(("env_id", "env_kwargs", "card_hash", "language", "created"))
        queries, answers = select(func.count()).select_from(Query), select(func.count()).select_from(Answer)
        counted = {
            "segments": select(func.count()).select_from(Segment),
            "rating_queries": queries.where(Query.kind == "rating"),
            "preference_queries": queries.where(Query.kind == "preference"),
            "ratings": answers.where(col(Answer.value).is_not(None)),
            "preferences": answers.where(col(Answer.choice).is_not(None)),
            "skipped": answers.where(col(Answer.skipped)),
        }
        if not self._database.exists():
            return {**facts, "annotators": [], "counts": dict.fromkeys(counted, 0)}
        with self._database.transaction() as session:
            project = session.exec(select(Project)).first()
            facts |= project.model_dump(exclude={"id", "checksum"}) if project is not None else {}
            facts["annotators"] = sorted(map(str, session.exec(select(Answer.annotator).distinct())))
            facts["counts"] = {name: session.exec(count).one() for name, count in counted.items()}
        return facts

    def progress(self, annotator: str) -> tuple[int, int]:
        """How many questions an annotator has answered or skipped, and how many there are."""
        if not self._database.exists():
            return 0, 0
        with self._database.transaction() as session:
            mine = select(func.count()).select_from(Answer).where(Answer.annotator == annotator)
            return session.exec(mine).one(), session.exec(select(func.count()).select_from(Query)).one()

    def copy(self, path: str | os.PathLike[str]) -> Path:
        """Write the whole database to another file, as it is between two answers.

        Raises:
            StorageError: the file cannot be written.
        """
        with closing(connect(self.path, timeout=5)) as here, closing(sqlite3.connect(":memory:")) as there:
            here.backup(there)  # unlike the file, it holds what still waits in the write-ahead log
            with replacing(Path(path), what="a label database") as file:
                file.write(there.serialize())
        return Path(path)

    def answer_rows(self, annotator: str | None = None) -> list[dict[str, object]]:
        """All answers with their texts as plain values, skipped ones too, oldest first.

        Args:
            annotator: whose; by default everybody's.

        Returns:
            A row per answer: ``kind`` of the question, its texts ``left`` and ``right`` (None for a rating), a line per
            step, and the columns of :class:`rmgym.feedback.tables.Answer`, ``cuts`` as JSON.
        """
        if not self._database.exists():
            return []
        with self._database.transaction() as session:
            return rows_of_answers(session, annotator)
