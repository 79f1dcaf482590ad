"""docs/ui.md, command by command, as a reader would do it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from rmgym.feedback.store import LabelStore
from rmgym.ui.site import Site
from tests.serving.serving import ServerProcess
from tests.ui.labelling import Room

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "ui.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]


def test_the_commands_of_the_page_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    links = dict[str, list[str]]()
    for command in COMMANDS:
        words = command.split()[1:]
        if words[0] == "ui":
            with ServerProcess(*words, "--port", "0", "--no-pictures") as server:
                assert httpx2.get(server.url).status_code == 401
                links.setdefault(words[words.index("--db") + 1], []).append(server.url)
        elif words[0] == "collect":
            done = subprocess.run([sys.executable, "-m", "rmgym", *words], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        else:
            assert words[0] in ("install", "fit")
    assert {db: len(urls) for db, urls in links.items()} == {
        "runs/page/labels.sqlite": 1,
        "runs/page/whole.sqlite": 2,
        "runs/page/ladder.sqlite": 1,
        "runs/page/ours.sqlite": 1,
        "runs/page/refit.sqlite": 1,
    }
    counts = LabelStore("runs/page/labels.sqlite").info()["counts"]
    assert (counts["rating_queries"], counts["preference_queries"]) == (40, 20)
    assert LabelStore("runs/page/whole.sqlite").info()["counts"]["rating_queries"] == 40
    room = Room(LabelStore("runs/page/labels.sqlite"), ["ann"])
    ann = room.labeller("ann")
    while ann.question:
        assert ann.answer() == 200
    assert len(room.answers()) == 60


def test_the_keys_of_the_page_are_those_of_the_help() -> None:
    help_ = (Path(sys.modules[Site.__module__].__file__ or "").parent / "templates" / "page.html").read_text()
    shown = {key for line in re.findall(r"<dt>(.*)</dt>", help_) for key in re.findall(r"<kbd>([^<]+)</kbd>", line)}
    table = PAGE.partition("| key |")[2].partition("\n\n")[0]
    assert {
        key for row in table.splitlines() for key in re.findall(r"`([^`]+)`", row.split("|")[1]) if "|" in row
    } == shown
