"""``rmgym check`` as users type it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from rmgym.cli.main import app
from rmgym.sb3 import make_agent, save_agent


def test_a_light_reasons_and_a_table(tmp_path: Path) -> None:
    agent = make_agent("ppo", "FrozenLake-v1", reward_model="constant", seed=0, n_envs=1, n_steps=64, batch_size=64)
    agent.learn(64)
    save_agent(agent, tmp_path / "agent.zip")
    command = [
        str(Path(sys.executable).with_name("rmgym")),
        "check",
        "constant",
        "FrozenLake-v1",
        "--steps",
        "800",
        "--agent",
        str(tmp_path / "agent.zip"),
    ]
    done = subprocess.run([*command, "--probe", "128"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("red constant in FrozenLake-v1: an agent is likely to be led astray")
    assert "- the learned reward is 1 at every step" in lines
    assert any(line.startswith("probe ") for line in lines)
    assert any("STARC 0.712" in line for line in lines)


def test_json_has_it_all_and_errors_are_sentences() -> None:
    shown = CliRunner().invoke(app, ["check", "true", "Pendulum-v1", "--steps", "3000", "--json"])
    assert shown.exit_code == 0, shown.output
    content = json.loads(shown.stdout)
    assert (content["light"], content["alignment"]["value"], content["findings"]) == ("green", 1.0, [])
    assert content["agreement"]["truncated"]["spearman"] is None
    assert "transition table" in content["exact"]
    for arguments, match in (
        (["check", "nothing-here", "Pendulum-v1"], "nothing-here"),
        (["check", "constant", "Pendulun-v1"], "Pendulum-v1"),
    ):
        wrong = CliRunner().invoke(app, arguments)
        assert wrong.exit_code == 2
        assert match in wrong.stderr
