"""Labels for other programs: the answers as they were given, rated texts, or pairs of texts as TRL takes them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from rmgym.errors import FeedbackError, RmgymError, nearest
from rmgym.feedback.cleaning import Audit
from rmgym.feedback.dataset_folders import write_folder
from rmgym.feedback.given import Kind, answer_id
from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.feedback.sheets import Sheet, ending_of
from rmgym.feedback.sources import LabelSource, labels_of, store_of
from rmgym.storage.atomic import refuse_existing

Content = Literal["answers", "ratings", "pairs"]
CONTENTS: tuple[Content, ...] = get_args(Content)
_ASKED: Mapping[str, Kind] = {"ratings": "rating", "pairs": "preference"}
"""The kind of questions that rows come of."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was written.

    Attributes:
        path: where.
        content: what its rows are.
        rows: how many.
        ties: comparisons without a better side, which no pair can say: they are left out.
        alike: comparisons of two equal texts, which are left out too.
        skipped: answers that say nothing: rows of the answers, but neither rating nor pair.
        set_aside: answers to questions of this kind that cleaning left out of ratings and pairs.
        cleaning: what it did, a line for each thing, as :meth:`rmgym.feedback.cleaning.Audit.lines` says it.
    """

    path: Path
    content: Content
    rows: int
    ties: int = 0
    alike: int = 0
    skipped: int = 0
    set_aside: int = 0
    cleaning: tuple[str, ...] = ()


def export_labels(
    labels: LabelSource,
    path: str | os.PathLike[str],
    *,
    content: Content | None = None,
    annotator: str | None = None,
    clean: bool = True,
    overwrite: bool = False,
) -> Export:
    """Write labels to a table that other programs read.

    ``pairs`` are a preference dataset as the RewardTrainer of TRL takes it
    (https://huggingface.co/docs/trl/dataset_formats): ``chosen`` and ``rejected``, and, where anybody gave one,
    ``margin``, in units of summed standardised reward. A segment is the texts of its steps, a line each. ``ratings``
    are ``text`` and ``rating``, in the annotator's units; on one scale where cleaning has put those of several people
    on one (:attr:`Export.cleaning` says so), and those of a panel always. Both have a row per question, in which the
    answers of several annotators are one, as for :func:`rmgym.fit`. ``answers`` have a row per answer as it was given,
    skipped ones too, with who gave it, how and when.

    Args:
        labels: a database or its path; labels, or a table of them, for pairs and ratings.
        path: a file that ends in ``.csv``, ``.jsonl`` or ``.parquet``; without an ending a folder for
            ``datasets.load_from_disk``, which needs the package datasets (extra ``data``).
        content: what the rows are; None for pairs or ratings, whichever there are.
        annotator: whose answers; by default everybody's.
        clean: as for :meth:`rmgym.LabelStore.labels`, of pairs and ratings from a database.
        overwrite: let it take the place of what is there.

    Raises:
        FeedbackError: there are no such labels, the file has another ending, or a package is missing.
        StorageError: it is there already or cannot be written; what was there before is intact.
    """
    target, store = Path(path), store_of(labels)
    name = "the labels" if store is None else str(store.path)
    if target.suffix:
        ending_of(target)
    if not overwrite:
        refuse_existing(target, what="labels")
    answers = [] if store is None else store.answer_rows(annotator)
    ties = alike = set_aside = 0
    audit: Audit | None = None
    if content == "answers":
        if not answers:
            got, fix = f"none in {name}", "name a database in which steps were labelled"
            raise FeedbackError("there are answers to export", got=got, fix=fix)
        columns: Mapping[str, Sequence[object]] = {key: [row[key] for row in answers] for key in answers[0]}
    else:
        given = labels_of(labels if store is None else store, annotator=annotator, clean=clean)
        content = _one_of(given, content, name)
        answers = [row for row in answers if row["kind"] == _ASKED[content]]
        if (audit := Audit.of(given.source)) is not None:
            ids = audit.set_aside
            if store is not None and ids:  # those of this kind
                ids &= {answer_id(answer) for answer in store.given(annotator).of(_ASKED[content]).answers}
            set_aside = len(ids)
        if content == "ratings":
            assert given.ratings is not None, "_one_of has seen to it"
            columns = _rated(given.ratings)
        else:
            assert given.preferences is not None, "_one_of has seen to it"
            columns, ties, alike = _paired(given.preferences)
    _write(target, columns)
    return Export(
        path=target,
        content=content,
        rows=len(next(iter(columns.values()))),
        ties=ties,
        alike=alike,
        skipped=sum(bool(row["skipped"]) for row in answers),
        set_aside=set_aside,
        cleaning=() if audit is None else tuple(audit.lines()),
    )


def _one_of(labels: Labels, content: Content | None, name: str) -> Content:
    """Which kind of labels is exported.

    Raises:
        FeedbackError: there are none of it, or nobody says of which.
    """
    if content not in (None, *CONTENTS):
        raise FeedbackError("what is exported is known", got=content, fix=nearest(str(content), CONTENTS))
    parts: dict[Content, Ratings | Preferences | None] = {"ratings": labels.ratings, "pairs": labels.preferences}
    there: list[Content] = [kind for kind, part in parts.items() if part]
    if content is None and len(there) == 1:
        return there[0]
    if content is None or content not in there:
        got = f"{name}, which holds {' and '.join(there) or 'none'}"
        fix = f"ask for {' or '.join(f'content={kind!r}' for kind in there)}" if there else "label steps first"
        raise FeedbackError("labels of one kind are exported, of which there are some", got=got, fix=fix)
    return content


def _rated(ratings: Ratings) -> Mapping[str, Sequence[object]]:
    return {"text": ratings.texts.strings(), "rating": ratings.values.tolist()}


def _paired(preferences: Preferences) -> tuple[Mapping[str, Sequence[object]], int, int]:
    """Columns of pairs, the better text first, and how many comparisons are ties, or of equal texts.

    Raises:
        FeedbackError: no pair is left.
    """
    steps = preferences.steps.strings()
    left, right = (
        ["\n".join(steps[begin:end]) for begin, end in spans.tolist()]
        for spans in (preferences.left, preferences.right)
    )
    choices, margins = preferences.choice.tolist(), preferences.margin.tolist()
    columns: dict[str, list[object]] = {"chosen": [], "rejected": [], "margin": []}
    ties = alike = 0
    for one, other, choice, margin in zip(left, right, choices, margins, strict=True):
        if choice == 0.5:
            ties += 1
        elif one == other:
            alike += 1
        else:
            pair = (one, other) if choice > 0.5 else (other, one)
            for column, cell in zip(columns.values(), (*pair, margin), strict=True):
                column.append(cell)
    if not columns["chosen"]:
        got = f"{ties} ties, {alike} comparisons of equal texts"
        raise FeedbackError("a pair has a better text and a worse one", got=got, fix="have more segments compared")
    if not any(columns["margin"]):
        del columns["margin"]
    return columns, ties, alike


def _write(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    try:
        if path.suffix:
            Sheet("labels", columns).write(path)
        else:
            write_folder(path, columns)
    except RmgymError:
        raise
    except (TypeError, ValueError) as error:  # half a surrogate pair, values of several types
        got, fix = f"{path}: {error}", "see what is in it by content='answers' to a file .jsonl"
        raise FeedbackError("what is exported is text and numbers", got=got, fix=fix) from error
