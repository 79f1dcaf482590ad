"""A word is a row of the database, and a row the word that it was."""

from __future__ import annotations

import pytest

from rmgym.errors import FeedbackError
from rmgym.feedback.scales import check_answer
from rmgym.feedback.tables import Query
from rmgym.ui.replies import row_of, word_of

WORDS = [
    ("rating", "1", (1.0, None, False, None)),
    ("rating", "7", (7.0, None, False, None)),
    ("rating", "skip", (None, None, True, None)),
    ("rating", "unsure", (None, None, True, 0.0)),
    ("preference", "left", (None, 1.0, False, None)),
    ("preference", "right", (None, 0.0, False, None)),
    ("preference", "tie", (None, 0.5, False, None)),
    ("preference", "unsure", (None, None, True, 0.0)),
]


@pytest.mark.parametrize(("kind", "word", "values"), WORDS)
def test_words_are_rows(kind: str, word: str, values: tuple[object, ...]) -> None:
    row = row_of(word, kind, 3, "ann", 7)
    assert (row.value, row.choice, row.skipped, row.confidence) == values
    assert (row.query, row.annotator, row.source) == (3, "ann", "human")
    assert row.levels == (7 if row.value is not None else None)
    assert word_of(row) == word
    check_answer(row, Query(id=3, kind=kind, left=1, right=None if kind == "rating" else 2))


OTHERS = {"rating": ("8", "0", "1.0", "left", "", "<b>", "٣"), "preference": ("7", "LEFT", "0.3")}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, words in OTHERS.items() for word in words])
def test_other_words_are_refused(kind: str, word: str) -> None:
    with pytest.raises(FeedbackError, match=kind):
        row_of(word, kind, 3, "ann", 7)
