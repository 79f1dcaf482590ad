"""``rmgym report`` on run folders."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from rmgym.cli.main import app
from tests.bench.folders import write_run


def test_writes_the_page_the_picture_and_the_table(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a")
    write_run(tmp_path / "runs" / "b", reward="true", model="true", labels=0)
    page, picture = tmp_path / "deep" / "r.html", tmp_path / "r.png"
    arguments = ["report", str(tmp_path / "runs"), "--out", str(page), "--png", str(picture)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert "learned" in result.stdout
    assert str(page) in result.stdout.replace("\n", "")
    assert page.read_text().startswith("<!doctype html>")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_json_has_every_run(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / "runs" / str(seed), seed=seed)
    result = CliRunner().invoke(app, ["report", str(tmp_path / "runs"), "--out", str(tmp_path / "r.html"), "--json"])
    (match,) = json.loads(result.stdout)["matches"]
    assert [run["seed"] for run in match["arms"][0]["runs"]] == [0, 1]


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(tmp_path / "r.html")])
    assert result.exit_code == 2
    assert "a report is made of runs" in result.stderr
    assert not (tmp_path / "r.html").exists()
