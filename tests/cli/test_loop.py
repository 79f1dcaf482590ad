"""``rmgym loop`` with real questions, fits and training."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from rmgym.cli.main import app


def test_asks_fits_trains_and_tells(tmp_path: Path) -> None:
    folder = tmp_path / "loop"
    arguments = ["loop", "CartPole-v1", "--algo", "ppo", "--labels", "30", "--target", "outcome", "--levels", "0"]
    arguments += ["--model", "no-lm", "--steps", "1024", "--episodes", "2", "--out", str(folder)]
    first = CliRunner().invoke(app, [*arguments, "--json"])
    assert first.exit_code == 0, first.output
    said = json.loads(first.stdout)
    assert sum(sum(r["asked"].values()) for r in said["rounds"]) == said["rounds"][-1]["labels"] == 30
    assert said["agent"]["reward"]["labels"] == 30
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2
    assert "a loop has a folder of its own" in again.stderr
    resumed = CliRunner().invoke(app, [*arguments, "--resume"])
    assert resumed.exit_code == 0
    assert "true return" in resumed.stdout
    assert "coverage" in resumed.stdout
    further = [*arguments[:-1], str(tmp_path / "further"), "--from", str(folder), "--json"]
    onwards = CliRunner().invoke(app, further)
    assert onwards.exit_code == 0, onwards.output
    assert json.loads(onwards.stdout)["rounds"][-1]["labels"] == 60
    report = CliRunner().invoke(app, ["report", str(folder), "--out", str(tmp_path / "report.html")])
    assert report.exit_code == 0, report.output
    assert "loop no-lm" in (tmp_path / "report.html").read_text()
