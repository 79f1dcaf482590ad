"""docs/data.md, block by block, as a reader would do it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the blocks printed, run in a folder of their own."""
    folder, everything = tmp_path_factory.mktemp("desk"), list[str]()
    rmgym = str(Path(sys.executable).with_name("rmgym"))
    for language, block in BLOCKS:
        lines = [line.split() for line in block.splitlines()]
        commands = [[rmgym, *words[1:]] for words in lines] if language == "sh" else [[sys.executable, "-c", block]]
        for command in commands:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            everything.append(done.stdout)
    return "\n".join(everything)


def test_labels_go_out(printed: str) -> None:
    assert "70 answers -> runs/data/answers.parquet" in printed
    assert "30 ratings -> runs/data/ratings.csv" in printed
    assert "40 pairs -> runs/data/pairs" in printed
    assert re.search(r"\['chosen', 'rejected'(, 'margin')?\] 40", printed)


def test_labels_come_in(printed: str) -> None:
    good, bad = (float(re.findall(rf"at {degrees} degrees, day 1: (-?[\d.]+)", printed)[0]) for degrees in (21, 31))
    assert good == pytest.approx(0, abs=2.5)
    assert bad == pytest.approx(-10, abs=2.5)
    assert "saved to runs/data/of_pairs" in printed


def test_steps_come_in(printed: str) -> None:
    assert "800 steps, 40 labels" in printed


def test_models_go_out(printed: str) -> None:
    assert "# you/pairs" in printed
    assert "- Labels: 0 ratings, 40 comparisons" in printed
