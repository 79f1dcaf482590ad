"""Whatever holds labels: the labels themselves, a database, a table of texts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.feedback.preprocess import guess_language, preprocess
from rmgym.feedback.questionnaire import number_in
from rmgym.feedback.sheets import ENDINGS, Sheet, TableLike, in_rows
from rmgym.feedback.store import LabelStore
from rmgym.text.batch import TextBatch

LabelSource = Labels | LabelStore | TableLike
"""What :func:`labels_of` takes."""
_FORMS = "text and rating; chosen and rejected; or state, action and reward"


def labels_of(source: LabelSource, *, annotator: str | None = None, clean: bool = True) -> Labels:
    """Labels, wherever they are.

    Args:
        source: labels as they are; a :class:`rmgym.LabelStore`, or the path of one; or a table (a path ending in
            ``.csv``, ``.jsonl`` or ``.parquet``, a folder that ``dataset.save_to_disk`` of the library datasets wrote,
            a DataFrame, columns by name, rows that are mappings). A table has the columns ``text`` and ``rating``; or
            ``chosen`` and ``rejected`` (texts, conversations, or lists of texts, one for each step of a segment), with
            ``prompt`` and ``margin`` where they are there; or ``state``, ``action`` and ``reward``, as
            :func:`rmgym.preprocess` takes them. Rows of one ``group``, where there is such a column, are never on both
            sides of a split.
        annotator: of a database; by default all.
        clean: as for :meth:`rmgym.LabelStore.labels`, of a database.

    Raises:
        FeedbackError: there are none, a column is missing, a row is no label, or an annotator of a table is asked for.
    """
    if isinstance(source, Labels):
        return source
    store = store_of(source)
    if store is not None:
        return store.labels(annotator, clean=clean)
    if annotator is not None:
        fix = "leave the annotator out, or pass the rows that are theirs"
        raise FeedbackError("annotators are those of a database", got=f"{annotator!r} of a table", fix=fix)
    return _of_sheet(Sheet.read(source))


def store_of(source: LabelSource) -> LabelStore | None:
    """The database that labels are in; None for labels and tables.

    Raises:
        FeedbackError: there is no such file, or it is no database.
    """
    if isinstance(source, LabelStore):
        return source
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(cast("str | os.PathLike[str]", source))
    if path.suffix.lower() in ENDINGS or path.is_dir():
        return None
    if not path.exists():
        fix = f"write one with 'rmgym label', or name a table: {', '.join(ENDINGS)}"
        raise FeedbackError("labels are read from a database", got=str(path), fix=fix)
    return LabelStore(path)


def _of_sheet(sheet: Sheet) -> Labels:
    if "chosen" in sheet or "rejected" in sheet:
        return _pairs(sheet)
    if "state" in sheet and "action" in sheet:
        rows = zip(*(sheet.column(name) for name in ("state", "action", "reward")), strict=True)
        return preprocess(rows)
    if "id" in sheet and "answer" in sheet:
        raise FeedbackError(
            "answers to questions are read into their database, which holds what was asked",
            got=f"{sheet.name} with the columns {[*sheet.columns]}",
            fix="rmgym label ENV --answers FILE, then fit on the database",
        )
    if not ("text" in sheet or "rating" in sheet):
        raise FeedbackError(f"a table of labels has the columns {_FORMS}", got=[*sheet.columns], fix="rename them")
    return _rated(sheet)


def _rated(sheet: Sheet) -> Labels:
    """Ratings of texts; rows without one are left out."""
    texts, ratings = sheet.column("text"), [number_in(value) for value in sheet.column("rating")]
    rows = [i for i, value in enumerate(sheet.column("rating")) if value is not None]
    wrong = [f"row {i + 1}: no text, but {texts[i]!r:.40}" for i in rows if not isinstance(texts[i], str)]
    wrong += [f"row {i + 1}: no number, but {sheet.column('rating')[i]!r:.40}" for i in rows if ratings[i] is None]
    _refuse(sheet, wrong, "each row of a table of ratings is a text and a number")
    strings = [str(texts[i]) for i in rows]
    values = np.array([ratings[i] for i in rows], np.float32)
    batch = TextBatch.from_strings(strings, language=guess_language(strings))
    groups = _groups(sheet)[rows]
    given = Ratings(texts=batch, values=values, groups=groups) if rows else None
    return Labels(ratings=given, source={"kind": "table", "table": sheet.name, "ratings": len(rows)})


def _pairs(sheet: Sheet) -> Labels:
    """Comparisons of two texts, as preference datasets of language models have them, or of two lists of texts."""
    blank: Sequence[object] = [None] * len(sheet)
    chosen, rejected = ([_steps(value) for value in sheet.column(name)] for name in ("chosen", "rejected"))
    prompts = [_text(value or "") for value in sheet.columns.get("prompt", blank)]
    margins = [0.0 if value is None else number_in(value) for value in sheet.columns.get("margin", blank)]
    wrong = list[str]()
    for row, (better, worse, prompt, margin) in enumerate(zip(chosen, rejected, prompts, margins, strict=True), 1):
        sides = {"chosen": better, "rejected": worse, "prompt": prompt}
        wrong += [f"row {row}: {name} is no text" for name, text in sides.items() if text is None]
        if better is not None and better == worse:
            wrong.append(f"row {row}: both are {better[0]!r:.40}")
        if margin is None or margin < 0:
            wrong.append(f"row {row}: the margin is no number of at least 0")
    _refuse(sheet, wrong, "each row of a table of comparisons holds two different texts, the better one as 'chosen'")
    source = {"kind": "table", "table": sheet.name, "preferences": len(sheet)}
    if not len(sheet):
        return Labels(source=source)
    segments = [
        [f"{prompt}{text}" for text in side or ()]
        for prompt, *pair in zip(prompts, chosen, rejected, strict=True)
        for side in pair
    ]
    strings = [text for segment in segments for text in segment]
    ends = np.cumsum([len(segment) for segment in segments], dtype=np.int64)
    spans = np.stack([np.append(0, ends[:-1]), ends], axis=1)
    preferences = Preferences(
        steps=TextBatch.from_strings(strings, language=guess_language(strings)),
        left=spans[0::2],
        right=spans[1::2],
        choice=np.ones(len(sheet), np.float32),
        margin=np.array(margins, np.float32),
        groups=_groups(sheet, prompts),
    )
    return Labels(preferences=preferences, source=source)


def _groups(sheet: Sheet, prompts: Sequence[str | None] = ()) -> npt.NDArray[np.int64]:
    """Numbers of what stays together where labels are split, ``int64 [rows]``.

    That is what the column ``group`` says, else the prompt: answers to one are alike. A row without either is alone.
    """
    kin: Sequence[object] = sheet.columns["group"] if "group" in sheet else prompts or [None] * len(sheet)
    number = dict[object, int]()
    return np.array([number.setdefault(str(k) if k else row, len(number)) for row, k in enumerate(kin)], np.int64)


def _steps(value: object) -> list[str] | None:
    """The texts of a side: one, or one for each step of a segment; None where it is neither."""
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return [str(text) for text in value]
    text = _text(value)
    return None if text is None else [text]


def _text(value: object) -> str | None:
    """A text, or that of a conversation: a list of messages; None for anything else."""
    if isinstance(value, list):
        contents = [message.get("content") if isinstance(message, Mapping) else None for message in value]
        return "".join(f"{content}\n" for content in contents) if all(isinstance(c, str) for c in contents) else None
    return value if isinstance(value, str) else None


def _refuse(sheet: Sheet, wrong: Sequence[str], rule: str) -> None:
    if wrong:
        raise FeedbackError(rule, got=in_rows(sheet, wrong), fix="correct these rows (counted without the header)")
