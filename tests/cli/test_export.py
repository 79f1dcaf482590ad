"""``rmgym export`` writes labels for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

import rmgym
from rmgym.cli.main import app
from rmgym.feedback.sheets import Sheet


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_from_labels_to_a_table_and_to_a_model(tmp_path: Path) -> None:
    steps = rmgym.collect("Pendulum-v1", 300, reset_every=25, progress=False)
    db = tmp_path / "labels.sqlite"
    rmgym.label(steps, rmgym.ScriptedTeacher(), ratings=12, preferences=10, length=5, db=db, annotator="ann")
    result = run("export", db, tmp_path / "pairs.parquet", "--content", "pairs")
    assert result.exit_code == 0, result.output
    assert f"10 pairs -> {tmp_path / 'pairs.parquet'}" in result.stdout
    result = run("export", db, tmp_path / "answers.csv", "--content", "answers", "--json")
    assert json.loads(result.stdout) == {
        "path": str(tmp_path / "answers.csv"), "content": "answers", "rows": 22, "ties": 0, "alike": 0, "skipped": 0,
        "set_aside": 0, "cleaning": [],
    }  # fmt: skip
    assert Sheet.read(tmp_path / "answers.csv").column("annotator") == ["ann"] * 22
    model = tmp_path / "model"
    result = run("fit", "--db", tmp_path / "pairs.parquet", "--model", "no-lm", "--steps", 5, "--out", model, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["metrics"]["train"]["labels"] == 10


def test_refusals_speak_of_options(tmp_path: Path) -> None:
    steps = rmgym.collect("Pendulum-v1", 100, reset_every=25, progress=False)
    db = tmp_path / "labels.sqlite"
    rmgym.label(steps, rmgym.ScriptedTeacher(), ratings=4, preferences=3, length=5, db=db)
    result = run("export", db, tmp_path / "l.parquet")
    assert result.exit_code == 2
    assert "holds ratings and pairs" in result.stderr
    assert "ask for --content ratings or --content pairs" in result.stderr
    (tmp_path / "l.parquet").write_bytes(b"mine")
    result = run("export", db, tmp_path / "l.parquet", "--content", "pairs")
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert (tmp_path / "l.parquet").read_bytes() == b"mine"


def test_what_is_set_aside_is_told_on_stderr_and_no_clean_keeps_it(tmp_path: Path) -> None:
    steps = rmgym.collect("Pendulum-v1", 100, reset_every=25, progress=False)
    db = tmp_path / "labels.sqlite"
    store = rmgym.LabelStore(db)
    texts = rmgym.textualizer("Pendulum-v1").batch(steps)
    for pair in ([0, 10], [10, 0], [20, 30]):
        (query,) = store.add_preference_queries(steps, texts, np.array([pair]), 1)
        store.prefer(query, 1.0, annotator="ann", source="human")
    result = run("export", db, tmp_path / "cleaned.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"1 pairs (left out: 2 set aside) -> {tmp_path / 'cleaned.csv'}\n"
    assert "cleaning: 2 of 3 answers are set aside" in result.stderr
    result = run("export", db, tmp_path / "all.csv", "--no-clean")
    assert result.stdout == f"3 pairs -> {tmp_path / 'all.csv'}\n"
    assert result.stderr == ""
