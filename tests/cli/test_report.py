"""``rmgym report`` on run folders."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rmgym.cli.main import app
from rmgym.cli.output import out
from tests.bench.folders import write_run
from tests.disks import small_disk


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


def test_three_seeds_fit_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        for i, arm in enumerate(({}, {"reward": "true", "model": "true", "labels": 0})):
            write_run(tmp_path / "runs" / f"{i}{seed}", seed=seed, true=(-1, -1, -200 - 7 * seed), **arm)
    rows = dict[int, list[str]]()
    for width in (80, 160):
        monkeypatch.setattr(out, "width", width)
        told = CliRunner().invoke(app, ["report", str(tmp_path / "runs"), "--out", str(tmp_path / "r.html")]).stdout
        rows[width] = [re.sub("  +", "|", line.strip()) for line in told.splitlines()]
        assert max(map(len, told.splitlines()[:6])) <= width
    # Mean -207, t(2) * 7 / sqrt(3) = 17.4; the random policy's 1,200 is 993 away.
    assert "learned|100|-207 [-224, -190]|100%|0.90" in rows[80]
    assert "random policy|–|-1,200|–|–" in rows[80]
    assert "learned|3|100|-207 [-224, -190]|100% [98%, ≥100%]|0.90|0.90|95%|12 s|6 s|500" in rows[160]


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_where_nothing_can_be_written_the_old_page_and_picture_stay(tmp_path: Path, how: str) -> None:
    write_run(tmp_path / "runs" / "a")
    with small_disk(tmp_path / "disk", 8 * 1024) as disk:
        page, picture = disk.folder / "r.html", disk.folder / "r.png"
        arguments = ["report", str(tmp_path / "runs"), "--out", str(page), "--png", str(picture)]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        before = disk.content()
        assert set(before) == {"r.html", "r.png"}
        disk.spoil(how)
        write_run(tmp_path / "runs" / "b", reward="true", model="true", labels=0)
        elsewhere = [*arguments[:3], str(tmp_path / "elsewhere.html"), *arguments[4:]]
        for command, what in ((arguments, "a report"), (elsewhere, "a picture")):
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 2
            assert f"{what} is written to a writable folder with enough space" in result.output
            assert "Traceback" not in result.output
            assert disk.content() == before
