"""``rmgym envs``, ``agents`` and ``models``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from rmgym.cards import agent_cards, env_cards
from rmgym.cli.main import app
from rmgym.models import available_models, create_reward_model


def said(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def text(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_envs_lists_every_card() -> None:
    assert [row["id"] for row in said("envs")] == [card.id for card in env_cards()]
    listed = text("envs")
    for card in env_cards():
        assert card.id in listed


def test_the_list_fits_a_screen() -> None:
    result = CliRunner().invoke(app, ["envs"], env={"COLUMNS": "80"})
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    rows = lines[1 : lines.index("")]
    assert len(rows) == len(env_cards())
    assert [row.split()[0] for row in rows] == [card.id for card in env_cards()]
    assert next(row for row in rows if row.startswith("Pendulum-v1")).split()[1] == "200"


def test_a_pattern_lists_some() -> None:
    some = said("envs", "minigrid-d*")
    assert [row["id"] for row in some] == [c.id for c in env_cards() if c.id.startswith("MiniGrid-D")]
    assert len(some) > 3
    result = CliRunner().invoke(app, ["envs", "MiniGird*"])
    assert result.exit_code == 2
    assert "a pattern matches ids of cards" in result.stderr


def test_an_environment_is_shown_with_the_text_of_a_real_step() -> None:
    facts = said("envs", "Pendulum-v1")
    assert facts["horizon"] == 200
    assert facts["text"].startswith(f"Task: {facts['task']} State: ")
    assert "torque in N m: " in facts["text"]
    assert facts["text"].endswith("The episode goes on.")
    assert facts["text"] == said("envs", "Pendulum-v1")["text"]
    assert "行动" in said("envs", "Pendulum-v1", "--language", "zh")["text"]


def test_arguments_of_an_environment_shape_its_text() -> None:
    small, large = (
        said("envs", "FrozenLake-v1", "--env-kwargs", f'{{"map_name": "{name}"}}') for name in ("4x4", "8x8")
    )
    assert "SFFF FHFH FFFH HFFG" in small["text"]
    assert "SFFFFFFF" in large["text"]


def test_an_environment_without_a_card_is_described_from_its_spaces() -> None:
    facts = said("envs", "InvertedPendulum-v5")
    assert facts["card"] is None
    assert "InvertedPendulum-v5" in facts["text"]


def test_wrong_ids_and_arguments_are_errors_with_a_fix() -> None:
    for arguments in (
        ["Pendulumm-v1"],
        ["Pendulum-v1", "--env-kwargs", '{"gg": 1}'],
        ["Pendulum-v1", "--env-kwargs", "[1]"],
    ):
        result = CliRunner().invoke(app, ["envs", *arguments])
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert "fix: " in result.stderr


def test_agents_lists_every_card_and_shows_one() -> None:
    assert [row["name"] for row in said("agents")] == [card.name for card in agent_cards()]
    assert said("agents", "ppo")["algorithm"] == "stable_baselines3.PPO"
    shown = text("agents", "ppo")
    assert "learning_rate" in shown
    assert "for Pendulum-v1" in shown


def test_an_unknown_agent_is_answered_with_the_nearest() -> None:
    result = CliRunner().invoke(app, ["agents", "ppoo"])
    assert (result.exit_code, "did you mean 'ppo'?" in result.stderr) == (2, True)


def test_models_lists_the_built_in_ones_and_describes_a_folder(tmp_path: Path) -> None:
    assert {row["name"]: row["about"] for row in said("models")} == available_models()
    model = create_reward_model("constant", value=2.0)
    model.save(tmp_path / "m")
    facts = said("models", str(tmp_path / "m"))
    assert (facts["model"], facts["config"], facts["digest"]) == ("constant", {"value": 2.0}, model.digest)
