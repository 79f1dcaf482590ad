"""The examples of CONTRIBUTING.md are what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
from stable_baselines3 import A2C

from rmgym.cards import find_env_card, load_agent_card, load_env_card
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.contract import TeacherContract
from rmgym.models.contract import RewardModelContract
from rmgym.sb3 import make_agent
from rmgym.text import textualizer

TEXT = (Path(__file__).resolve().parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(heading: str, language: str) -> list[str]:
    """The code blocks in a language below a heading of the page, dedented."""
    section = re.search(rf"^##+ {heading}\n(.*?)(?=^##+ |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert section, heading
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", section[1], re.MULTILINE | re.DOTALL)
    assert found, (heading, language)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def block(heading: str, language: str) -> str:
    """The only code block in a language below a heading."""
    (only,) = blocks(heading, language)
    return only


@pytest.fixture
def env_card(tmp_path: Path) -> Path:
    (path := tmp_path / "CartPole-v1.toml").write_text(block("A card, line by line", "toml"), encoding="utf-8")
    return path


@pytest.fixture
def agent_card(tmp_path: Path) -> Path:
    (path := tmp_path / "a2c.toml").write_text(block("Adding an algorithm", "toml"), encoding="utf-8")
    return path


def test_the_environment_card_says_what_the_page_shows(env_card: Path) -> None:
    with gym.make("CartPole-v1") as env:
        say = textualizer(env, card=env_card)
    text = say.describe([0.1, -0.5, 0.025, 1.25], 0, [0.09, -0.696, 0.05, 1.55])
    assert text == block("A card, line by line", "text").rstrip("\n")


def test_the_environment_card_is_the_shipped_one_and_a_field_more(env_card: Path) -> None:
    shown, shipped = load_env_card(env_card), find_env_card("CartPole-v1")
    assert shipped is not None
    assert [field.key for field in shown.derived] == ["lean"]
    for name in ("id", "version", "source", "task", "observation", "action", "horizon", "threshold", "reference"):
        assert getattr(shown, name) == getattr(shipped, name), name


def test_the_environment_card_explains_every_key(env_card: Path) -> None:
    page = block("A card, line by line", "toml") + TEXT.partition("Further keys are")[2]
    card = load_env_card(env_card)
    for kind in (card, card.observation[0], card.symmetries[0], card.reference["random"]):
        for name in kind.__dataclass_fields__:
            assert re.search(rf"\b{name}\b", page), name


def test_the_agent_card_trains(agent_card: Path) -> None:
    card = load_agent_card(agent_card)
    assert card.name == "a2c"
    agent = make_agent(str(agent_card), "Pendulum-v1", reward_model="constant", n_envs=2)
    assert isinstance(agent, A2C)
    assert (agent.n_steps, agent.gae_lambda, agent.vf_coef, agent.use_sde) == (8, 0.9, 0.4, True)
    assert agent.lr_schedule(0.5) == pytest.approx(3.5e-4)
    assert agent.get_vec_normalize_env() is not None
    before = agent.policy.state_dict()["log_std"].clone()
    agent.learn(32)
    assert agent.num_timesteps == 32
    assert not agent.policy.state_dict()["log_std"].equal(before)


def test_the_reward_model_keeps_the_contract(tmp_path: Path) -> None:
    model, tests = blocks("Adding a reward model", "python")
    (tmp_path / "numbers_model.py").write_text(model, encoding="utf-8")
    (tmp_path / "test_numbers_model.py").write_text(tests, encoding="utf-8")
    (info := tmp_path / "numbers_model-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: numbers-model\nVersion: 1.0\n")
    points = block("Adding a reward model", "ini").replace('project.entry-points."rmgym.models"', "rmgym.models")
    (info / "entry_points.txt").write_text(points.replace('"', ""))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = sum(name.startswith("test_") for name in vars(RewardModelContract))
    assert f"{rules} passed" in done.stdout


def test_the_teacher_keeps_the_contract_and_is_asked(tmp_path: Path) -> None:
    teacher, tests, asking = blocks("Adding a teacher", "python")
    (tmp_path / "upright_teacher.py").write_text(teacher, encoding="utf-8")
    (tmp_path / "test_upright_teacher.py").write_text(tests, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    for command in (["-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)], ["-c", asking]):
        run = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
        if "pytest" in command:
            rules = sum(name.startswith("test_") for name in vars(TeacherContract))
            assert f"{rules} passed" in run.stdout
    counts = LabelStore(tmp_path / "labels.sqlite").info()["counts"]
    assert counts["preferences"] == 10
    assert counts["skipped"] > 0
    assert counts["ratings"] + counts["skipped"] == 50


def test_the_sections_are_listed() -> None:
    listed = re.findall(r"^- \[(.+?)\]\(#(.+?)\)$", TEXT, re.MULTILINE)
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert listed == [(heading, heading.lower().replace(" ", "-")) for heading in headings]
