"""Labels in one call: steps, and who says what they are worth."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from rmgym.environments.build import build_env
from rmgym.environments.collect import collected_in
from rmgym.errors import FeedbackError
from rmgym.feedback.ask import ask
from rmgym.feedback.labels import Labels
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.questionnaire import TABLE, number_in
from rmgym.feedback.sheets import Sheet, TableLike, in_rows
from rmgym.feedback.step_function import Function
from rmgym.feedback.store import LabelStore
from rmgym.feedback.tables import Answer
from rmgym.feedback.teachers.base import Teacher
from rmgym.feedback.teachers.panel import BOTH, check_habits
from rmgym.feedback.teachers.program import as_teacher
from rmgym.text.batch import TextBatch
from rmgym.text.textualizer import textualizer
from rmgym.transitions import Transitions


def label(
    transitions: Transitions,
    teacher: Teacher | Function | TableLike,
    *,
    ratings: int | None = None,
    preferences: int = 0,
    length: int = 25,
    seed: int = 0,
    texts: TextBatch | None = None,
    db: str | os.PathLike[str] | None = None,
    annotator: str | None = None,
) -> Labels:
    """Have some of the collected steps labelled: what ``rmgym label`` does, from Python.

    Args:
        transitions: steps, as :func:`rmgym.collect` gives them.
        teacher: a function that says what a step is worth (:class:`rmgym.ProgramTeacher`), any :class:`Teacher` that
            answers at once, or a table of your own ratings (a file, a DataFrame, columns by name) with the columns
            ``row``, the place of a step among these, and ``rating``; rows without a rating are left out.
        ratings: steps to have rated; by default 100, or none where segments are compared.
        preferences: pairs of segments to have compared.
        length: steps per segment.
        seed: of choosing; the same seed and steps give the same questions.
        texts: what the steps say; by default in the words of the environment's card.
        db: a label database to keep the answers in, beside those that this annotator has given there before.
        annotator: name stored with the answers; by default the teacher's source, which is ``table`` for a table.

    Raises:
        FeedbackError: there are not enough steps, the teacher cannot tell them apart, a row of the table is no rating
            of a step, or the database is about something else.
    """
    texts = _texts(transitions) if texts is None else texts
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore(Path(folder) / "labels.sqlite" if db is None else db)
        if not isinstance(teacher, Teacher) and not callable(teacher):
            if ratings is not None or preferences:
                got = f"ratings={ratings}, preferences={preferences}"
                raise FeedbackError(
                    "a table of ratings says itself which steps it rates", got=got, fix="leave them out"
                )
            rate_by_table(store, Sheet.read(teacher), transitions, texts, annotator or TABLE)
            return store.labels(annotator or TABLE)
        who = as_teacher(teacher)
        plan = QuestionPlan(
            ratings=ratings if ratings is not None else 0 if preferences else 100,
            preferences=preferences,
            length=length,
            seed=seed,
        )
        check_habits(who, rated=plan.ratings > 0, compared=length if preferences else 0, fix=BOTH)
        ask(store, who, transitions, texts, plan, annotator=annotator)
        return store.labels(annotator or who.source)


def rate_by_table(
    store: LabelStore, sheet: Sheet, transitions: Transitions, texts: TextBatch, annotator: str
) -> list[int]:
    """Store ratings that a table has of collected steps, all of them or, where one is wrong, none.

    Args:
        store: where they go.
        sheet: with the columns ``row`` and ``rating``.
        transitions: the steps.
        texts: one text per step.
        annotator: who rated.

    Returns:
        The ids of the questions that are answered now.

    Raises:
        FeedbackError: a row is of no step or of one that another row rates, a rating is no number, or steps that read
            the same are rated differently.
    """
    rated, wrong = dict[int, float](), list[str]()
    by_text = dict[str, tuple[int, float]]()
    for number, (place, value) in enumerate(zip(sheet.column("row"), sheet.column("rating"), strict=True), 1):
        row, rating = number_in(place), number_in(value)
        if row is None or row != int(row) or not 0 <= row < len(transitions):
            wrong.append(f"row {number}: {place!r:.20} is no step from 0 to {len(transitions) - 1}")
        elif int(row) in rated:
            wrong.append(f"row {number}: step {row:g} is rated twice")
        elif value is not None and rating is None:
            wrong.append(f"row {number}: a rating is a number, not {value!r:.20}")
        elif rating is not None:
            rated[int(row)] = rating
            first, before = by_text.setdefault(texts[[int(row)]].strings()[0], (int(row), rating))
            if before != rating:
                wrong.append(f"row {number}: step {row:g} reads as step {first} does, which is rated {before:g}")
    if wrong:
        raise FeedbackError(
            "each row of a table of ratings rates one step, once",
            got=in_rows(sheet, wrong),
            fix="correct these rows (counted without the header)",
        )
    rows = np.array([row for row, _ in by_text.values()], np.int64)
    queries = store.add_rating_queries(transitions, texts, rows)
    ratings = [rating for _, rating in by_text.values()]
    if queries:
        store.record(
            [
                Answer(query=query, annotator=annotator, source=TABLE, value=rating)
                for query, rating in zip(queries, ratings, strict=True)
            ]
        )
    return queries


def _texts(transitions: Transitions) -> TextBatch:
    """What steps say, in the words of the environment that they were collected in."""
    env = collected_in(transitions)
    if env is None:
        raise FeedbackError(
            "steps are put into words by their environment",
            got="steps that do not tell where they were collected",
            fix="pass texts=rmgym.textualizer(env).batch(steps)",
        )
    with closing(build_env(env)) as live:
        return textualizer(live, card=env.card, language=env.language).batch(transitions)
