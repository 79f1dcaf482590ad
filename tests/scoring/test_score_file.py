"""Scores in a file: another program's is refused and left alone, a full disk costs time and nothing else."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rmgym.errors import ModelError
from rmgym.feedback.database import Database
from rmgym.scoring.cache import ScoreCache
from rmgym.scoring.score_file import ScoreFile
from rmgym.text.batch import TextBatch
from tests.disks import small_disk
from tests.doubles import ToyReward
from tests.hostile import IN_THE_WAY, put_in_the_way


def other_program(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("CREATE TABLE mine (x)")
        other.execute("INSERT INTO mine VALUES (1)")


def same_table_name(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("CREATE TABLE scores (key BLOB PRIMARY KEY, mean REAL, std REAL)")


@pytest.mark.parametrize("make", [lambda file: Database(file).create(), other_program, same_table_name])
def test_a_database_of_something_else_is_refused_and_left_as_it_was(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    file = tmp_path / "labels.sqlite"
    make(file)
    before = file.read_bytes()
    with pytest.raises(
        ModelError, match=r"(?s)a SQLite file of their own.*labels\.sqlite.*another program.*another file"
    ):
        ScoreCache(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["labels.sqlite"]


@pytest.mark.parametrize("kind", [kind for kind in IN_THE_WAY if kind != "loop"])
@pytest.mark.parametrize("end", ["", "-journal"])
def test_a_cache_is_a_regular_file(tmp_path: Path, kind: str, end: str) -> None:
    ScoreCache(tmp_path / "scores.sqlite")
    put_in_the_way(tmp_path / f"scores.sqlite{end}", kind)
    with pytest.raises(ModelError, match=rf"a SQLite file of their own\n.*scores\.sqlite{end}: it is no regular file"):
        ScoreCache(tmp_path / "scores.sqlite")


def test_a_score_that_is_not_as_it_was_written_is_asked_for_again(tmp_path: Path) -> None:
    file = ScoreFile(tmp_path / "scores.sqlite")
    scores = {bytes([i]) * 16: (i / 2, i / 4) for i in range(5)}
    file.put(scores)
    assert file.get([*scores, b"new"]) == scores
    with closing(sqlite3.connect(tmp_path / "scores.sqlite")) as other, other:
        other.execute("UPDATE scores SET mean = 7 WHERE mean = 1")
        other.execute("UPDATE scores SET std = 'x' WHERE mean = 0.5")
    assert file.get(list(scores)) == {key: pair for key, pair in scores.items() if pair[0] not in (0.5, 1)}
    file.put(scores)
    assert file.get(list(scores)) == scores


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_where_nothing_can_be_written_scores_stay_right_and_one_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    kept, new = (TextBatch.from_strings([f"x {i}{end}" for i in range(2_000)]) for end in ("", ".5"))
    with small_disk(tmp_path / "disk", 300) as disk, caplog.at_level(logging.WARNING):
        file = disk.folder / "scores.sqlite"
        ScoreCache(file).predict(ToyReward(), kept)
        disk.spoil(how)
        for path in (file, disk.folder / "new.sqlite", disk.folder / "deep" / "new.sqlite"):
            caplog.clear()
            for _ in range(2):  # as the environments of one training do
                model, cache = ToyReward(), ScoreCache(path)
                for _ in range(2):
                    for texts in (new, kept):
                        assert np.array_equal(cache.predict(model, texts).mean, ToyReward().predict(texts).mean)
                assert model.calls == ([2_000] if path == file else [2_000, 2_000]), "what is there is read"
            assert [record.args[0] for record in caplog.records if record.args] == [path]
