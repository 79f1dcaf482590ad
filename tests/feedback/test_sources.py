"""Labels, wherever they are: a database, its path, a table of texts."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest

import rmgym
from rmgym.errors import FeedbackError
from rmgym.feedback.sheets import Sheet
from rmgym.feedback.sources import labels_of

PAIRS = {
    "chosen": ["the soup is mild", "the room is at 21 degrees", "quiet"],
    "rejected": ["the soup is too salty", "the room is at 35 degrees", "loud"],
}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", None])
def test_pairs_become_preferences(tmp_path: Path, ending: str | None) -> None:
    sheet = Sheet("pairs", PAIRS)
    labels = labels_of(PAIRS if ending is None else sheet.write(tmp_path / f"pairs.{ending}"))
    pairs = labels.preferences
    assert labels.ratings is None
    assert pairs is not None
    texts = pairs.steps.strings()
    assert [texts[a:b] for a, b in pairs.left.tolist()] == [[text] for text in PAIRS["chosen"]]
    assert [texts[a:b] for a, b in pairs.right.tolist()] == [[text] for text in PAIRS["rejected"]]
    assert pairs.choice.tolist() == [1, 1, 1]
    assert len(set(pairs.groups.tolist())) == 3


def test_prompts_stand_before_both_and_keep_their_answers_together() -> None:
    given = {"prompt": ["Hot? ", "Cold? ", "Hot? "], "chosen": "abc", "rejected": "xyz", "margin": [0.5, None, 2]}
    labels = labels_of({name: [*column] for name, column in given.items()})
    assert labels.texts.strings() == ["Hot? a", "Hot? x", "Cold? b", "Cold? y", "Hot? c", "Hot? z"]
    assert labels.preferences is not None
    assert labels.preferences.margin.tolist() == [0.5, 0, 2]
    first, second, third = labels.preferences.groups.tolist()
    assert first == third != second


def test_conversations_are_their_contents(tmp_path: Path) -> None:
    def turn(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "hot?"}, {"role": "assistant", "content": text}]

    lines = [json.dumps({"chosen": turn("yes"), "rejected": turn("no")})] * 2
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert labels_of(tmp_path / "pairs.jsonl").texts.strings()[:2] == ["hot?\nyes\n", "hot?\nno\n"]


@pytest.mark.parametrize("form", ["frame", "objects", "csv", "jsonl", "parquet", "dataset", "folder"])
def test_frames_of_pandas_and_whatever_they_write(tmp_path: Path, form: str) -> None:
    frame = pandas.DataFrame({**PAIRS, "margin": [0.5, None, 2]}).set_index(pandas.Index([7, 7, 9]))
    file = tmp_path / f"pairs.{form}"
    source: object = file
    if form == "objects":  # a column of several types, for which Arrow has no name
        source = frame.astype(object).assign(note=pandas.Series([1, "one", [1]], frame.index, dtype=object))
    elif form == "csv":
        frame.to_csv(file)
    elif form == "jsonl":
        frame.reset_index().to_json(file, orient="records", lines=True)
    elif form == "parquet":
        frame.to_parquet(file)
    elif form == "frame":
        source = frame
    else:
        source = table = pytest.importorskip("datasets", reason="the extra 'data'").Dataset.from_pandas(frame)
        if form == "folder":
            table.save_to_disk(str(tmp_path / "pairs"))
            source = tmp_path / "pairs"
    pairs = labels_of(source).preferences
    assert pairs is not None
    texts = pairs.steps.strings()
    assert [texts[a] for a, _ in pairs.left.tolist()] == PAIRS["chosen"]
    assert [texts[a] for a, _ in pairs.right.tolist()] == PAIRS["rejected"]
    assert pairs.margin.tolist() == [0.5, 0, 2]


def test_rated_frames_of_pandas() -> None:
    frame = pandas.DataFrame(
        {"text": ["warm", "cold", None, "hot"], "rating": pandas.array([4, None, None, 1], "Int64")}
    )
    ratings = labels_of(frame).ratings
    assert ratings is not None
    assert ratings.texts.strings() == ["warm", "hot"]
    assert ratings.values.tolist() == [4, 1]


@pytest.mark.parametrize("form", ["frame", "parquet", "jsonl"])
def test_a_list_of_texts_is_a_segment(tmp_path: Path, form: str) -> None:
    frame = pandas.DataFrame({"chosen": [["a", "b", "c"], ["d"]], "rejected": [["x"], ["y", "z"]]})
    file = tmp_path / f"pairs.{form}"
    if form == "parquet":
        frame.to_parquet(file)
    elif form == "jsonl":
        frame.to_json(file, orient="records", lines=True)
    pairs = labels_of(frame if form == "frame" else file).preferences
    assert pairs is not None
    texts = pairs.steps.strings()
    assert [texts[a:b] for a, b in pairs.left.tolist()] == [["a", "b", "c"], ["d"]]
    assert [texts[a:b] for a, b in pairs.right.tolist()] == [["x"], ["y", "z"]]


def test_rows_of_a_group_stay_together() -> None:
    group = ["day 1", None, "day 1", "day 2", ""]
    rated = labels_of(pandas.DataFrame({"text": [*"abcde"], "rating": range(5), "group": group})).ratings
    pairs = labels_of({"chosen": [*"abcde"], "rejected": [*"vwxyz"], "prompt": ["p"] * 5, "group": group}).preferences
    for part in (rated, pairs):
        assert part is not None
        first, alone, again, other, blank = part.groups.tolist()
        assert first == again
        assert len({first, alone, other, blank}) == 4


def test_ratings_and_triples() -> None:
    rated = labels_of([{"text": "warm", "rating": "4"}, {"text": "cold", "rating": None}, {"text": "hot", "rating": 1}])
    assert rated.ratings is not None
    assert rated.ratings.texts.strings() == ["warm", "hot"]
    assert rated.ratings.values.tolist() == [4, 1]
    triples = {"state": ["35 度", "10 度"], "action": ["打开空调", "打开空调"], "reward": ["5", 1]}
    expected = rmgym.preprocess(zip(*triples.values(), strict=True))
    assert labels_of(triples).texts.strings() == expected.texts.strings()
    assert labels_of(triples).texts.language == "zh"


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"chosen": ["a", "b"], "rejected": ["x", "b"]}, "row 2: both are 'b'"),
        ({"chosen": ["a", None], "rejected": ["x", "y"]}, "row 2: chosen is no text"),
        ({"chosen": ["a"], "rejected": [3]}, "row 1: rejected is no text"),
        ({"chosen": ["a"], "rejected": [[{"role": "user"}]]}, "row 1: rejected is no text"),
        ({"chosen": [["a", 3]], "rejected": [["b", "c"]]}, "row 1: chosen is no text"),
        ({"chosen": [["a", "b"]], "rejected": [["a", "b"]]}, "row 1: both are 'a'"),
        ({"chosen": ["a"], "rejected": ["x"], "margin": [-1]}, "row 1: the margin"),
        ({"chosen": ["a"]}, "has a column 'rejected'"),
        ({"text": ["a", "b"], "rating": [1, "good"]}, "row 2: no number, but 'good'"),
        ({"text": [None], "rating": [1]}, "row 1: no text"),
        ({"text": ["a"], "rate": [1]}, "(?s)has a column 'rating'.*did you mean 'rate'"),
        ({"words": ["a"]}, "(?s)text and rating; chosen and rejected; or state, action and reward.*words"),
        ({"id": ["r1"], "text": ["a"], "answer": [1]}, "(?s)read into their database.*rmgym label ENV --answers"),
    ],
)
def test_tables_that_hold_no_labels_are_explained(table: dict[str, list[object]], rule: str) -> None:
    with pytest.raises(FeedbackError, match=rule):
        labels_of(table)


def test_databases_by_themselves_or_by_path(tmp_path: Path) -> None:
    file = tmp_path / "labels.sqlite"
    steps = rmgym.collect("Pendulum-v1", 100, reset_every=25, progress=False)
    labels = rmgym.label(steps, rmgym.ScriptedTeacher(), ratings=8, db=file, annotator="ann")
    rmgym.label(steps, lambda steps: steps.obs[:, 0], ratings=5, db=file, annotator="bea")
    assert labels_of(labels) is labels
    for source in (rmgym.LabelStore(file), file, str(file)):
        with pytest.raises(FeedbackError, match="mean different things"):
            labels_of(source)
        again = labels_of(source, annotator="ann")
        assert again.ratings is not None
        assert labels.ratings is not None
        assert again.ratings.values.tolist() == labels.ratings.values.tolist()
    with pytest.raises(FeedbackError, match=r"(?s)database.*none.sqlite.*rmgym label.*\.parquet"):
        labels_of(tmp_path / "none.sqlite")
    with pytest.raises(FeedbackError, match="fitting needs at least two labels"):
        rmgym.fit("no-lm", {"chosen": [], "rejected": []})


def test_a_table_has_no_annotators() -> None:
    with pytest.raises(FeedbackError, match=r"(?s)those of a database.*'ann' of a table"):
        labels_of(PAIRS, annotator="ann")


def test_a_model_is_fitted_on_a_table() -> None:
    pairs = [
        {"chosen": f"the room is at {t} degrees", "rejected": f"the room is at {t + 9} degrees"} for t in range(20)
    ]
    model = rmgym.fit("no-lm", pairs, rmgym.FitOptions(max_steps=60, validation=0), progress=False).model
    cool, hot = model.predict(["the room is at 5 degrees", "the room is at 22 degrees"]).mean
    assert cool > hot
