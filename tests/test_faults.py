"""The benchmark of faults: a small one for real, and that what goes wrong is counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    runs = tmp_path_factory.mktemp("faults")
    environ = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)}
    command = [sys.executable, str(BENCHMARKS / "faults.py"), "--quick", "--runs", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=runs)
    assert done.returncode == 0, done.stderr
    return json.loads((runs / "result.json").read_text())


def test_nothing_is_lost_wrong_executed_or_silent(result: dict[str, Any]) -> None:
    wrong = [c for c in result["claims"] if not c["holds"]]
    assert not wrong, [cell for cell in result["cells"] if cell["what"] in str(wrong)]
    assert len(result["claims"]) == 11


def test_all_kinds_were_tried_for_real(result: dict[str, Any]) -> None:
    by = {what: [c for c in result["cells"] if c["what"] == what] for what in ("kills", "hostile", "flips", "server")}
    assert {cell["job"]: cell["done"] for cell in by["kills"]} == {"label": 1, "fit": 1, "train": 1}
    assert (len(by["hostile"]), len(by["flips"])) == (10, 11)
    assert all(cell["done"] == 1 for cell in (*by["hostile"], *by["flips"]))
    (server,) = by["server"]
    assert server["killed"] == [-9]
    assert server["fewest"] > 0


def test_what_goes_wrong_fails_a_claim(result: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from faults import claims_of

    keys = {
        "kills": {"lost": "lost", "differing": "differing"},
        "hostile": {
            "executed": "executed", "traceback": "tracebacks", "escaped": "escapes", "large": "large", "long": "long"
        },
        "server": {"wrong": "wrong", "gave_up": "gave-up"},
        "flips": {"silent": "silent", "crashed": "crashes"},
    }  # fmt: skip
    for what, names in keys.items():
        for key, name in names.items():
            cells = [dict(cell) for cell in result["cells"]]
            bad = next(cell for cell in cells if cell["what"] == what)
            bad[key] = ["one"] if what == "kills" else 1
            assert [c["id"] for c in claims_of(cells, quick=True) if not c["holds"]] == [name]
    assert not any(
        c["holds"] for c in claims_of(result["cells"], quick=False) if c["id"] in ("lost", "executed", "silent")
    )


@pytest.mark.parametrize(("what", "failing"), [("kills", 2), ("hostile", 5), ("flips", 2), ("server", 2)])
def test_claims_fail_where_less_was_tried_than_asked_for(
    result: dict[str, Any], monkeypatch: pytest.MonkeyPatch, what: str, failing: int
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from faults import claims_of

    assert result["cells_run"] == result["cells_asked"] == len(result["cells"])
    assert result["bound_minutes"] == 20
    cells = list(result["cells"])
    cells.remove(next(cell for cell in cells if cell["what"] == what))
    assert sum(not claim["holds"] for claim in claims_of(cells, quick=True)) == failing


def test_a_flipped_bit_that_nothing_protects_is_silent_or_a_crash(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path[:0] = [{str(BENCHMARKS)!r}, {str(BENCHMARKS.parent)!r}]
from pathlib import Path
import faults_flips
folder = Path({str(tmp_path)!r})
(folder / "plain").mkdir()
(folder / "plain" / "number.txt").write_text("17")
faults_flips.KINDS["plain"] = faults_flips.Kind(
    lambda runs: runs / "plain", "*.txt", lambda place: int((place / "number.txt").read_text()))
came = faults_flips.flips({{"kind": "plain", "seed": 0, "flips": 12}}, folder)
print(came["refused"], came["same"], came["silent"] > 0, came["crashed"] > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split()[-4:] == ["0", "0", "True", "True"], done.stderr


def test_a_result_that_differs_after_a_kill_is_named() -> None:
    code = f"""
import sys
sys.path[:0] = [{str(BENCHMARKS)!r}, {str(BENCHMARKS.parent)!r}]
from faults_kills import _differences
print(_differences({{"weights": "a", "steps": [1]}}, {{"weights": "b", "steps": [1], "more": 0}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['more', 'weights']", done.stderr
