"""Every command that takes an environment takes it the same way."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import rmgym
from rmgym.cli.main import app
from rmgym.runs.record import read_run
from rmgym.specs import EnvSpec
from rmgym.transitions import Transitions
from tests.hostile import put_in_the_way

COMMANDS = ("envs", "collect", "label", "distil", "train")
SHARED = ("--env-kwargs", "--fixed-horizon", "--card", "--language")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_card_that_is_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    put_in_the_way(tmp_path / "card.toml", "loop")
    result = CliRunner().invoke(app, ["envs", "Pendulum-v1", "--card", str(tmp_path / "card.toml")])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "error: " in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_are_there(command: str) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", run(command, "--help"))
    assert set(SHARED) <= set(re.findall(r"--[a-z-]+", text))


def test_steps_remember_the_whole_environment(tmp_path: Path) -> None:
    kwargs = {"map_name": "8x8", "is_slippery": False}
    file = tmp_path / "steps.parquet"
    run(
        "collect", "FrozenLake-v1", "--env-kwargs", json.dumps(kwargs), "--fixed-horizon", 30, "--language", "zh",
        "--steps", 40, "--out", file, "--reset-every", 0,
    )  # fmt: skip
    spec = EnvSpec(id="FrozenLake-v1", kwargs=kwargs, horizon=30, language="zh")
    assert EnvSpec.from_json(Transitions.load(file).metadata["env"], "a test") == spec


def test_a_chinese_model_trains_from_the_command_line(tmp_path: Path) -> None:
    db, model, out = tmp_path / "labels.sqlite", tmp_path / "model", tmp_path / "run"
    run("label", "Pendulum-v1", "--language", "zh", "--ratings", 12, "--steps", 60, "--levels", 0, "--db", db)
    option = "--model-option"
    run(
        "fit", "--db", db, "--model", "seq2seq", option, "embedding_dim=16", option, "hidden_dim=16",
        option, "num_layers=1", option, "num_heads=2", "--steps", 4, "--out", model,
    )  # fmt: skip
    run("train", "Pendulum-v1", "--reward", model, "--language", "zh", "--steps", 64, "--episodes", 1, "--out", out)
    spec = read_run(out).spec.agent.env
    assert spec is not None
    assert spec.language == "zh"
    wrong = CliRunner().invoke(app, ["train", "Pendulum-v1", "--reward", str(model), "--steps", "64"])
    assert wrong.exit_code == 2
    assert "language" in wrong.stderr


def test_frozen_lake_8x8_is_distilled(tmp_path: Path) -> None:
    made = run(
        "distil", "random", "FrozenLake-v1", "--env-kwargs", '{"map_name": "8x8"}', "--steps", 300, "--fit-steps", 10,
        "--student", "seq2seq", "--out", tmp_path / "model", "--json",
    )  # fmt: skip
    assert json.loads(made)["teacher"]["model"] == "random"
    import gymnasium as gym

    texts = rmgym.textualizer(gym.make("FrozenLake-v1", map_name="8x8"))
    assert rmgym.load_reward_model(tmp_path / "model").card_hash == texts.card_hash


def test_what_is_no_json_is_named_as_the_user_typed_it() -> None:
    result = CliRunner().invoke(app, ["envs", "FrozenLake-v1", "--env-kwargs", "{map_name: 8x8}"])
    assert result.exit_code == 2
    assert "--env-kwargs is a JSON object" in result.stderr
