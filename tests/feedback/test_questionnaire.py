"""Questions to a table and back: what is answered is stored once, what cannot be is refused by its row."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.ask import ask
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.questionnaire import Reading, read_answers, write_questions
from rmgym.feedback.sheets import Sheet
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers import Person
from rmgym.text import textualizer

PLAN = QuestionPlan(ratings=4, preferences=2, length=3)


@pytest.fixture(scope="module")
def pendulum():
    steps = collect("Pendulum-v1", 200, reset_every=25, progress=False)
    return steps, textualizer("Pendulum-v1").batch(steps)


def asked(folder: Path, pendulum) -> LabelStore:
    store = LabelStore(folder / "labels.sqlite")
    ask(store, Person(), *pendulum, PLAN, annotator="ann")
    return store


@pytest.fixture
def store(tmp_path, pendulum):
    return asked(tmp_path, pendulum)


def ids(store):
    """Ids of the ratings and of the comparisons, as tables have them."""
    file = store.path.with_name("all.csv")
    write_questions(store, file, annotator="nobody")
    codes = [str(code) for code in Sheet.read(file).column("id")]
    return codes[:4], codes[4:]


def test_a_table_holds_what_is_asked(store, pendulum):
    file = store.path.with_name("q.csv")
    assert write_questions(store, file, annotator="ann") == 6
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
    texts = pendulum[1].strings()
    assert [row["text"] for row in rows[:4]] == [texts[row] for row in PLAN.rows(*pendulum)]
    left, right = PLAN.pairs(*pendulum)[0]
    assert rows[4]["left"].split("\n") == texts[left : left + 3]
    assert rows[4]["right"].split("\n") == texts[right : right + 3]
    assert {row["answer"] for row in rows} == {""}
    assert len({row["id"] for row in rows}) == 6


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_answers_come_back_in_any_order_and_in_parts(store, ending):
    rated, compared = ids(store)
    given = {
        rated[2]: "7",
        rated[0]: "skip",
        compared[1]: "right",
        rated[3]: None,
        rated[1]: " 3 ",
        compared[0]: "0.25",
    }
    file = store.path.with_name(f"a.{ending}")
    Sheet("a", {"answer": [*given.values()], "id": [*given]}).write(file)
    assert read_answers(store, file, annotator="ann", levels=10) == Reading(new=5, changed=0, same=0)
    labels = store.labels("ann")
    assert labels.ratings.values.tolist() == [7, 3]
    assert labels.preferences.choice.tolist() == [0, 0.25]
    (open_one,) = store.pending("ann")
    assert write_questions(store, store.path.with_name("rest.csv"), annotator="ann") == 1
    assert Sheet.read(store.path.with_name("rest.csv")).column("id") == [rated[3]]
    assert open_one.kind == "rating"


def test_reading_twice_changes_nothing_and_corrections_replace(store):
    rated, compared = ids(store)
    table = {"id": [*rated, *compared], "answer": [1, 2.0, np.int64(3), "4", "tie", "LEFT"]}
    assert read_answers(store, table, annotator="ann", levels=10).new == 6
    before = [answer.model_dump() for answer in store.answers("ann")]
    assert read_answers(store, table, annotator="ann", levels=10) == Reading(new=0, changed=0, same=6)
    assert [answer.model_dump() for answer in store.answers("ann")] == before, "times included"
    table["answer"] = [None, 9, 3, 4, "skip", 1]
    assert read_answers(store, table, annotator="ann", levels=10) == Reading(new=0, changed=2, same=3)
    assert sorted(store.labels("ann").ratings.values.tolist()) == [1, 3, 4, 9], "a blank cell takes nothing back"
    assert store.labels("ann").preferences.choice.tolist() == [1]


@pytest.mark.parametrize(
    ("rows", "levels", "rule"),
    [
        ([("r0", 5), ("rffffffffffff", 5)], 10, "row 2: 'rffffffffffff' is no question there"),
        ([("r0", 5), ("r1", 5), ("r0", 5)], 10, "row 3: r[0-9a-f]{12} stands in row 1 too"),
        ([("r0", None), ("r0", 5)], 10, "row 2: r[0-9a-f]{12} stands in row 1 too"),
        ([("r0", 11)], 10, "row 1 .* a whole number from 1 to 10, or skip, not 11"),
        ([("r0", 0)], 10, "a whole number from 1 to 10"),
        ([("r0", 2.5)], 10, "a whole number from 1 to 10"),
        ([("r0", "good")], 10, "not 'good'"),
        ([("r0", "3,5")], None, "a number, or skip, not '3,5'"),
        ([("r0", "inf")], None, "a number, or skip"),
        ([("r0", True)], 10, "not True"),
        ([("p0", 2)], 10, "left, right, tie, skip, or a probability"),
        ([("p0", "both")], 10, "left, right, tie, skip, or a probability"),
    ],
)
def test_what_cannot_be_is_refused_by_row_and_nothing_is_read(store, rows, levels, rule):
    rated, compared = ids(store)
    real = {"r0": rated[0], "r1": rated[1], "p0": compared[0]}
    table = {"id": [real.get(code, code) for code, _ in rows] + [rated[3]], "answer": [v for _, v in rows] + [4]}
    with pytest.raises(FeedbackError, match=f"(?s)once, and on its scale.*{rule}.*nothing was read"):
        read_answers(store, table, annotator="ann", levels=levels)
    assert store.progress("ann") == (0, 6)


def test_many_wrong_rows_are_counted(store):
    table = {"id": [f"r{i}" for i in range(9)], "answer": [1] * 9}
    with pytest.raises(FeedbackError, match=r"the table, of 9 the first: row 1: .*row 5: [^;]*\n"):
        read_answers(store, table, annotator="ann")


def test_columns_and_scales_are_those_of_the_questions(store):
    rated, _ = ids(store)
    with pytest.raises(FeedbackError, match="has a column 'answer'"):
        read_answers(store, {"id": rated, "rating": [1, 2, 3, 4]}, annotator="ann")
    read_answers(store, {"id": rated[:2], "answer": [1, 2]}, annotator="ann", levels=10)
    with pytest.raises(FeedbackError, match="one scale"):
        read_answers(store, {"id": rated[2:], "answer": [1, 2]}, annotator="ann", levels=5)
    with pytest.raises(FeedbackError, match="one way"):
        read_answers(store, {"id": rated[2:], "answer": [1, 2]}, annotator="ann", levels=10, source="human")
    read_answers(store, {"id": rated[2:], "answer": [0.5, -200]}, annotator="bea")
    assert store.labels("bea").ratings.values.tolist() == [0.5, -200]


def test_a_question_has_one_id_in_every_database(store, tmp_path, pendulum):
    (tmp_path / "other").mkdir()
    assert ids(asked(tmp_path / "other", pendulum)) == ids(store)


def test_where_nothing_is_open_nothing_is_written(store):
    rated, compared = ids(store)
    read_answers(store, {"id": [*rated, *compared], "answer": ["skip"] * 6}, annotator="ann")
    file = store.path.with_name("q.csv")
    assert write_questions(store, file, annotator="ann") == 0
    assert not file.exists()
    assert write_questions(LabelStore(tmp := store.path.with_name("none.sqlite")), file, annotator="ann") == 0
    assert not tmp.exists()
