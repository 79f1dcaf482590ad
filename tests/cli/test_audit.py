"""``rmgym audit`` as users type it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from rmgym.cli.main import app
from tests.runs.test_text_audit import worse_card


def test_what_is_lost_comes_first(tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("rmgym")),
        "audit",
        "CartPole-v1",
        "--card",
        str(worse_card(tmp_path)),
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].startswith("- observation[0]: does not follow from the text")
    assert lines[1].startswith("- observation[2]: its sign is lost")
    assert any(line.split()[0] == "observation[2]" and line.endswith("lost") for line in map(str.rstrip, lines) if line)
    sound = CliRunner().invoke(app, ["audit", "CartPole-v1", "--steps", "900"])
    assert sound.stdout.startswith("nothing that was looked at is lost")


def test_json_and_unknown_environments() -> None:
    shown = CliRunner().invoke(app, ["audit", "FrozenLake-v1", "--json"])
    content = json.loads(shown.stdout)
    assert (content["findings"], content["explained"]) == ([], 1.0)
    wrong = CliRunner().invoke(app, ["audit", "FrozenLak-v1"])
    assert (wrong.exit_code, "FrozenLake-v1" in wrong.stderr) == (2, True)
