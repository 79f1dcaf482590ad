"""Errors speak of options on the command line, and of arguments in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rmgym.cli.flags import Flag, in_flags
from rmgym.cli.main import app
from rmgym.environments.collect import collect
from rmgym.errors import RunError
from rmgym.models import create_reward_model

FLAGS = {
    "env_kwargs": Flag("--env-kwargs", False),
    "steps": Flag("--steps", False),
    "total_steps": Flag("--steps", False),
    "when": Flag("--when", False),
    "out": Flag("--out", False),
    "resume": Flag("--resume", True),
    "no_clean": Flag("--no-clean", True),
}


@pytest.mark.parametrize(
    ("python", "flags"),
    [
        ("pass env_kwargs=", "pass --env-kwargs"),
        ("pass total_steps=1 or more", "pass --steps 1 or more"),
        ("total_steps is at least 1", "--steps is at least 1"),
        ("use when='step', or when=\"rollout\"", "use --when step, or --when rollout"),
        ("'when' is 'rollout' or 'step'", "--when is 'rollout' or 'step'"),
        ("steps is at least 1", "--steps is at least 1"),
        ("did you mean 'runs/env_kwargs'?", "did you mean 'runs/env_kwargs'?"),
        ("did you mean 'env_kwargs'? or runs/env_kwargs/x", "did you mean 'env_kwargs'? or runs/env_kwargs/x"),
        ("'env_kwargs' is a table; fill env_kwargs.", "--env-kwargs is a table; fill --env-kwargs."),
        ("collect more steps first", "collect more steps first"),
        ("pass resume=True to go on, or another out", "pass --resume to go on, or another out"),
        (
            "begin anew (resume=False), or choose another folder",
            "begin anew (without --resume), or choose another folder",
        ),
        ("pass clean=False, or clean=True", "pass --no-clean, or clean=True"),
        ("wrap it: Wrapper(when='step')", "wrap it: --when step"),
        ("gym.make(id, max_episode_steps=...) stays", "gym.make(id, max_episode_steps=...) stays"),
    ],
)
def test_arguments_become_the_options_of_the_command(python: str, flags: str) -> None:
    assert in_flags(python, FLAGS) == flags


def fix(*arguments: object) -> str:
    """What an error on the command line says to do, and which rule was broken."""
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["error"]
    assert f"  fix: {told['fix']}\n" in result.stderr
    assert f"error: {told['rule']}\n" in result.stderr
    return f"{told['rule']}; {told['fix']}"


def test_real_errors_say_what_can_be_typed(tmp_path: Path) -> None:
    steps, db, run = tmp_path / "steps.parquet", tmp_path / "labels.sqlite", tmp_path / "run"
    collected = ("collect", "Pendulum-v1", "--out", steps)
    assert fix(*collected, "--steps", 0) == "--steps is at least 1; pass --steps 1 or more"
    assert fix(*collected, "--reset-every", -1) == "--reset-every is at least 1; pass --reset-every 1 or more"
    assert fix(*collected, "--fixed-horizon", 0).endswith("pass --fixed-horizon 1 or more")
    db.touch()
    assert "pass --lr" not in fix("fit", "--db", db, "--out", run, "--lr", 0)
    assert fix("fit", "--db", db, "--out", run, "--lr", 0).startswith("--lr is a positive number")
    assert fix("fit", "--db", db, "--out", run, "--steps", 0) == "--steps is at least 1; pass --steps 1 or more"
    assert fix("label", "Pendulum-v1", "--db", db, "--ratings", 0).endswith("ask for at least one: --ratings 100")
    people = ("--teacher-option", "rationality=2", "--teacher-option", "ties=1")
    assert fix("label", "Pendulum-v1", "--db", db, *people) == (
        "habits have an effect on what is asked; leave them out, or ask for both: --ratings 50, --preferences 50"
    )
    assert fix("loop", "Pendulum-v1", "--out", run, *people).endswith("leave them out, or pass --ask both")
    trained = ("train", "CartPole-v1", "--reward", "constant", "--out", run)
    assert fix(*trained, "--steps", 0).endswith("pass --steps 1 or more")
    assert fix(*trained, "--when", "stp").startswith("--when is 'rollout' or 'step'")
    with pytest.raises(RunError, match="fix: pass steps=1 or more"):
        collect("Pendulum-v1", 0)


def test_what_is_there_is_gone_on_with_or_overwritten_in_flags(tmp_path: Path) -> None:
    steps = tmp_path / "steps.parquet"
    collected = ["collect", "CartPole-v1", "--steps", "20", "--out", str(steps)]
    assert CliRunner().invoke(app, collected).exit_code == 0
    before = steps.read_bytes()
    assert fix(*collected, "--seed", 1).endswith("pass --overwrite to replace it, or another file")
    assert steps.read_bytes() == before
    assert CliRunner().invoke(app, [*collected, "--seed", "1", "--overwrite"]).exit_code == 0
    assert steps.read_bytes() != before
    create_reward_model("constant").save(tmp_path / "model")
    label = ["label", "CartPole-v1", "--db", str(tmp_path / "l.sqlite"), "--ratings", "10", "--steps", "60"]
    assert CliRunner().invoke(app, [*label, "--target", "outcome"]).exit_code == 0
    fitted = ["fit", "--db", tmp_path / "l.sqlite", "--model", "seq2seq", "--out", tmp_path / "model"]
    assert fix(*fitted).endswith("pass --overwrite to begin anew, or another folder")
