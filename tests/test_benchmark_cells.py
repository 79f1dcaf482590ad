"""Cells of benchmarks are jobs: what is measured is kept, and only the rest is measured again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

SCRIPT = """
import json, math, os, sys
from functools import partial
from pathlib import Path

import numpy as np
from common import finished, run_cells

HERE = Path(__file__).parent


def measure(cell):
    with (HERE / "measured.txt").open("a") as log:
        log.write(f"{cell['seed']}\\n")
    if cell["seed"] == int(os.environ["FAILS"]):
        raise RuntimeError("out of luck")
    return {"value": np.float32(cell["seed"] / 2), "nothing": math.nan, "threads": os.environ["OMP_NUM_THREADS"]}


if __name__ == "__main__":
    cells = [{"env": "a/b", "seed": seed, **json.loads(sys.argv[1])} for seed in range(3)]
    minutes = float(os.environ["MINUTES"]) if "MINUTES" in os.environ else None
    run = finished if os.environ["FAILS"] == "none is run" else partial(run_cells, processes=1, minutes=minutes)
    print(json.dumps(run(cells, measure, HERE / "runs")))
"""


def run(folder: Path, *, fails: int | str, further: str = "{}") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": f"{BENCHMARKS}{os.pathsep}{BENCHMARKS.parent}", "FAILS": str(fails)}
    command = [sys.executable, str(folder / "script.py"), further]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ)


def test_what_was_measured_is_kept_when_another_cell_fails(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    failed = run(tmp_path, fails=1)
    assert failed.returncode != 0
    assert "out of luck" in failed.stderr
    assert (tmp_path / "measured.txt").read_text().split() == ["0", "1", "2"]

    partly = run(tmp_path, fails="none is run")
    assert [cell["seed"] for cell in json.loads(partly.stdout.splitlines()[-1])] == [0, 2]

    done = run(tmp_path, fails=-1)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "measured.txt").read_text().split() == ["0", "1", "2", "1"]
    cells = json.loads(done.stdout.splitlines()[-1])
    assert all(cell.pop("seconds") >= 0 for cell in cells)
    assert cells == [
        {"env": "a/b", "seed": seed, "value": seed / 2, "nothing": None, "threads": "1"} for seed in range(3)
    ]

    again = run(tmp_path, fails=-1)
    assert [cell["value"] for cell in json.loads(again.stdout.splitlines()[-1])] == [0, 0.5, 1]
    assert (tmp_path / "measured.txt").read_text().split() == ["0", "1", "2", "1"]


def test_after_the_minutes_no_cell_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    for minutes, begun in (("0", []), ("60", [0, 1, 2]), ("0", [0, 1, 2])):
        monkeypatch.setenv("MINUTES", minutes)
        done = run(tmp_path, fails=-1)
        assert [cell["seed"] for cell in json.loads(done.stdout.splitlines()[-1])] == begun, done.stderr


def test_a_cell_begun_with_other_settings_is_refused_before_any_is_measured(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    assert run(tmp_path, fails=-1, further='{"steps": 1}').returncode == 0
    measured = (tmp_path / "measured.txt").read_text()
    other = run(tmp_path, fails=-1, further='{"steps": "1"}')  # another value of the same name
    assert other.returncode != 0
    assert "steps: 1 -> '1'" in other.stderr
    assert (tmp_path / "measured.txt").read_text() == measured
