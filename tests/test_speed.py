"""The commands of docs/speed.md, on a model small enough to train on at once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

import rmgym
from rmgym.cli.main import app
from rmgym.runs.record import read_run

PAGE = (Path(__file__).parent.parent / "docs" / "speed.md").read_text(encoding="utf-8")
SMALL = {
    "distil": ["--steps", "300", "--fit-steps", "50", "--json"],
    "train": ["--steps", "400", "--episodes", "1", "--json"],
}


def test_a_slow_model_is_distilled_and_has_a_student(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    model: Any = rmgym.create_reward_model("minilm", width=16, roles=8).accept_random_weights()
    model.card_hash = rmgym.textualizer("Pendulum-v1").card_hash
    model.save("runs/slow")
    lines = [line for line in PAGE.splitlines() if line.startswith(("rmgym distil", "rmgym train"))]
    assert len(lines) == 2
    for line in lines:
        _, command, *arguments = shlex.split(line, comments=True)
        done = CliRunner().invoke(app, [command, *arguments, *SMALL[command]])
        assert done.exit_code == 0, done.output
    assert rmgym.load_reward_model("runs/fast").digest != model.digest
    run = read_run("runs/run")
    assert run.spec.agent.when == "rollout"
    assert run.spec.agent.reward.student is not None
    assert run.spec.agent.reward.student["tolerance"] == 0.1
    assert run.student is not None
    assert (run.student["lm_call_share"] or 0) < 1
    assert run.spec.agent.reward.digest == model.digest
