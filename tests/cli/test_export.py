"""``rmgym export`` writes labels for other programs."""

from __future__ import annotations

import json
from pathlib import Path

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
        "path": str(tmp_path / "answers.csv"), "content": "answers", "rows": 22, "ties": 0, "alike": 0, "skipped": 0
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
