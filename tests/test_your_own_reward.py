"""docs/your-own-reward.md, block by block, as a reader would do it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rmgym.feedback.store import LabelStore

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "your-own-reward.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page was followed; what each block printed is in ``out-N.txt``."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "my_room.py").write_text(BLOCKS[0][1], encoding="utf-8")
    rmgym = str(Path(sys.executable).with_name("rmgym"))
    for i, (language, block) in enumerate(BLOCKS[1:], 1):
        lines = [line.split() for line in block.splitlines()]
        commands = [[rmgym, *words[1:]] for words in lines] if language == "sh" else [[sys.executable, "-c", block]]
        printed = ""
        for command in commands:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            printed += done.stdout + done.stderr
        (folder / f"out-{i}.txt").write_text(printed, encoding="utf-8")
    return folder


def test_the_report_compares_on_the_measure(desk: Path) -> None:
    printed = " ".join((desk / "out-1.txt").read_text(encoding="utf-8").split())
    pattern = r"by comfort, minilm (-[\d.]+), random (-[\d.,]+), a random policy (-[\d.]+)\."
    shown, judged = re.search(pattern, PAGE), re.search(pattern, printed)
    assert shown is not None
    assert judged is not None, printed
    assert float(judged[1]) == pytest.approx(float(shown[1]), abs=15)
    assert judged[3] == shown[3]
    assert "comfort" in (desk / "report.html").read_text(encoding="utf-8")


def test_the_agent_does_what_the_function_wants(desk: Path) -> None:
    comfort = dict(re.findall(r"^(\w+): comfort (-?\d+)", (desk / "out-2.txt").read_text(encoding="utf-8"), re.M))
    assert float(comfort["learned"]) > -150  # about 3 a step: 2 degrees off and heating half of the time
    assert float(comfort["random"]) < 2 * float(comfort["learned"])


def test_the_table_is_answered_in_part(desk: Path) -> None:
    store = LabelStore(desk / "runs/table/labels.sqlite")
    assert store.progress("ann") == (20, 40)
    ratings = store.labels().ratings
    assert ratings is not None
    inside = [float(text.split("Next state: value obs0: ")[1].split(",")[0]) for text in ratings.texts.strings()]
    assert ratings.values.tolist() == [max(1, 10 - round(abs(degrees - 21))) for degrees in inside]


def test_python_fits_on_labels_and_on_pairs(desk: Path) -> None:
    first, second = (desk / f"out-{len(BLOCKS) - 1}.txt").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"FitResult\(no-lm, fitted on \d+ labels \(R2 0\.[6-9]\d+\), held out .*\)", first)
    assert second == "(1,)"
