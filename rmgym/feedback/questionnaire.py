"""Questions as a table to be filled in anywhere, and its answers read back into the label database."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from numbers import Real

from rmgym.errors import FeedbackError
from rmgym.feedback.questions import QuestionKey
from rmgym.feedback.sheets import Sheet, TableLike, in_rows
from rmgym.feedback.store import LabelStore
from rmgym.feedback.tables import Answer

TABLE = "table"
"""Source of answers whose author nobody knows."""
SKIP = "skip"
_SIDES = {"left": 1.0, "l": 1.0, "right": 0.0, "r": 0.0, "tie": 0.5, "t": 0.5}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What came of a table of answers: how many were new, replaced another one, or were there already."""

    new: int
    changed: int
    same: int


def code_of(kind: str, key: QuestionKey) -> str:
    """The id of a question in tables: of what it asks about, so that it is the same in every database."""
    return kind[0] + hashlib.sha256(f"{kind} {key[0]} {key[1]}".encode()).hexdigest()[:12]


def write_questions(store: LabelStore, path: str | os.PathLike[str], *, annotator: str) -> int:
    """Write the questions that an annotator has not answered to a table, with a blank column ``answer``.

    Args:
        store: where they are.
        path: a file ending in ``.csv``, ``.jsonl`` or ``.parquet``.
        annotator: who is to answer.

    Returns:
        How many; where there are none, no file is written.

    Raises:
        FeedbackError: the file has another ending.
        StorageError: it cannot be written.
    """
    codes = {asked.id: code_of(asked.kind, asked.key) for asked in store.asked()}
    columns: dict[str, list[str | None]] = {name: [] for name in ("id", "text", "left", "right", "answer")}
    for question in store.pending(annotator):
        left = "\n".join(question.left.strings())
        right = None if question.right is None else "\n".join(question.right.strings())
        texts = (left, None, None) if right is None else (None, left, right)
        for name, cell in zip(columns, (codes[question.id], *texts, None), strict=True):
            columns[name].append(cell)
    used = {name: cells for name, cells in columns.items() if name == "answer" or any(cells)}
    if columns["id"]:
        Sheet("questions", used).write(path)
    return len(columns["id"])


def read_answers(
    store: LabelStore, table: TableLike, *, annotator: str, source: str = TABLE, levels: int | None = None
) -> Reading:
    """Read answers to questions of the database, all of them or, where one is wrong, none.

    Its columns are ``id`` and ``answer``; others are not read. An answer is a number for a step; ``left``, ``right``,
    ``tie`` or the probability that the left one is better for two segments; or ``skip``. Rows without an answer are
    still open. An answer that was there before is left as it is, one that is another now is replaced.

    Args:
        store: where the questions are.
        table: a path, a DataFrame, or anything else that :meth:`Sheet.read` takes.
        annotator: who answers.
        source: how the answers came about.
        levels: ratings are whole numbers from 1 to so many; None for any number.

    Raises:
        FeedbackError: a column is missing, a row is about no question or one that another row is about, an answer is
            not on the scale, or this annotator's earlier answers are on another one.
    """
    sheet = Sheet.read(table, fallback="latin-1")
    asked = {code_of(each.kind, each.key): each for each in store.asked()}
    before = {answer.query: answer for answer in store.answers(annotator)}
    rows, wrong = dict[str, int](), list[str]()
    new, changed, same = list[Answer](), list[Answer](), 0
    for row, (given, value) in enumerate(zip(sheet.column("id"), sheet.column("answer"), strict=True), 1):
        code = str(given).strip()
        if code in rows:
            wrong.append(f"row {row}: {code} stands in row {rows[code]} too")
            continue
        rows[code] = row
        if code not in asked:
            wrong.append(f"row {row}: {code!r:.20} is no question there")
        elif value is not None:
            question = asked[code]
            try:
                answer = _answer(question.id, question.kind, value, annotator, source, levels)
            except ValueError as error:
                wrong.append(f"row {row} ({code}): {error}, not {value!r:.40}")
                continue
            old = before.get(question.id)
            if old is None:
                new.append(answer)
            elif _meaning(old) != _meaning(answer):
                changed.append(answer)
            else:
                same += 1
    if wrong:
        raise FeedbackError(
            "each row of answers is about one question of the database, once, and on its scale",
            got=in_rows(sheet, wrong),
            fix="correct these rows (counted without the header), or name their own database; nothing was read",
        )
    if new or changed:
        store.record([*new, *changed])
    return Reading(new=len(new), changed=len(changed), same=same)


def _meaning(answer: Answer) -> tuple[object, ...]:
    return answer.source, answer.value, answer.choice, answer.levels, answer.skipped


def _answer(query: int, kind: str, value: object, annotator: str, source: str, levels: int | None) -> Answer:
    """An answer as a row of the database.

    Raises:
        ValueError: it is none; the message says what one is.
    """
    word = value.strip().lower() if isinstance(value, str) else ""
    if word == SKIP:
        return Answer(query=query, annotator=annotator, source=source, skipped=True)
    if kind == "preference":
        choice = _SIDES[word] if word in _SIDES else number_in(value)
        if choice is None or not 0 <= choice <= 1:
            raise ValueError("an answer is left, right, tie, skip, or a probability from 0 to 1")
        return Answer(query=query, annotator=annotator, source=source, choice=choice)
    rating = number_in(value)
    on_scale = rating is not None and (levels is None or (1 <= rating <= levels and rating == round(rating)))
    if not on_scale:
        span = "a number" if levels is None else f"a whole number from 1 to {levels}"
        raise ValueError(f"an answer is {span}, or skip")
    return Answer(query=query, annotator=annotator, source=source, value=rating, levels=levels)


def number_in(value: object) -> float | None:
    """A finite number of a cell, None where it holds something else."""
    if isinstance(value, bool) or not isinstance(value, str | Real):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
