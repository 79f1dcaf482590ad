"""``rmgym distil``: from a slow model's folder to a fast model's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

import rmgym
from rmgym.cli.main import app


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["distil", *map(str, arguments)])


def test_a_student_is_saved_and_told_apart_from_its_teacher(tmp_path: Path) -> None:
    steps = rmgym.collect("Pendulum-v1", 400, reset_every=10, progress=False)
    steps.save(tmp_path / "steps.parquet")
    teacher: Any = rmgym.create_reward_model("minilm", width=16, roles=8, seed=3).accept_random_weights()
    texts = rmgym.textualizer("Pendulum-v1").batch(steps)
    teacher.card_hash = texts.card_hash
    teacher.save(tmp_path / "teacher")
    told = (tmp_path / "teacher", "Pendulum-v1", "--data", tmp_path / "steps.parquet", "--out", tmp_path / "student")
    result = run(*told, "--fit-steps", 150, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["teacher"]["digest"] == teacher.digest
    assert said["metrics"]["validation"]["r2"] > 0.5
    student = rmgym.load_reward_model(tmp_path / "student")
    assert student.digest != teacher.digest
    assert np.corrcoef(student.predict(texts).mean, teacher.predict(texts).mean)[0, 1] > 0.7
    again = run(*told, "--fit-steps", 150)
    assert "of the variance of minilm's scores" in " ".join(again.output.split())
    assert rmgym.load_reward_model(tmp_path / "student").digest == student.digest


def test_the_true_reward_is_nothing_to_imitate(tmp_path: Path) -> None:
    result = run("true", "Pendulum-v1", "--out", tmp_path / "student")
    assert result.exit_code == 2
    assert "give 'true' to a wrapper" in " ".join(result.output.split())
