"""Labels, wherever they are: a database, its path, a table of texts."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_a_model_is_fitted_on_a_table() -> None:
    pairs = [
        {"chosen": f"the room is at {t} degrees", "rejected": f"the room is at {t + 9} degrees"} for t in range(20)
    ]
    model = rmgym.fit("no-lm", pairs, rmgym.FitOptions(max_steps=60, validation=0), progress=False).model
    cool, hot = model.predict(["the room is at 5 degrees", "the room is at 22 degrees"]).mean
    assert cool > hot
