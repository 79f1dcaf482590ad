"""``rmgym loop`` with real questions, fits and training."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from rmgym.cli.loop import _judged
from rmgym.cli.main import app


def test_a_default_folder_tells_what_decides_the_answers_in_what_a_file_may_be_called() -> None:
    options = ["judge=http://127.0.0.1:8000/v1", "check=random<a/b", "pairs=30"]
    name = _judged("llm,own:fun", options)
    assert name == "llm+own.fun-checkrandom-a-b-judgehttp---127.0.0.1-8000-v1-pairs30"
    assert _judged("llm,own:fun", [*options, "max_tokens=5", "answers=/a/b.sqlite", "timeout=3"]) == name
    assert _judged("scripted", ["myopia=0.5"]) == "scripted-myopia0.5"


def test_asks_fits_trains_and_tells(tmp_path: Path) -> None:
    folder = tmp_path / "loop"
    arguments = ["loop", "CartPole-v1", "--algo", "ppo", "--labels", "30", "--target", "outcome", "--levels", "0"]
    arguments += ["--model", "no-lm", "--steps", "1024", "--episodes", "2", "--out", str(folder)]
    first = CliRunner().invoke(app, [*arguments, "--json"])
    assert first.exit_code == 0, first.output
    said = json.loads(first.stdout)
    assert sum(sum(r["asked"].values()) for r in said["rounds"]) == said["rounds"][-1]["labels"] == 30
    assert said["agent"]["reward"]["labels"] == 30
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2
    assert "a loop has a folder of its own" in again.stderr
    resumed = CliRunner().invoke(app, [*arguments, "--resume"])
    assert resumed.exit_code == 0
    assert "true return" in resumed.stdout
    assert "coverage" in resumed.stdout
    further = [*arguments[:-1], str(tmp_path / "further"), "--from", str(folder), "--json"]
    onwards = CliRunner().invoke(app, further)
    assert onwards.exit_code == 0, onwards.output
    assert json.loads(onwards.stdout)["rounds"][-1]["labels"] == 60
    report = CliRunner().invoke(app, ["report", str(folder), "--out", str(tmp_path / "report.html")])
    assert report.exit_code == 0, report.output
    assert "loop no-lm" in (tmp_path / "report.html").read_text()


def test_progress_by_an_experts_value_and_potentials_of_outcomes(tmp_path: Path) -> None:
    arguments = ["loop", "FrozenLake-v1", "--algo", "dqn", "--labels", "20", "--levels", "0", "--model", "no-lm"]
    arguments += ["--steps", "1024", "--episodes", "2", "--json"]
    for target, more in (
        ("progress", []),
        ("outcome", ["--potential", "--gamma", "0.9"]),
        ("prospect", ["--potential"]),
    ):
        folder = tmp_path / target
        ran = CliRunner().invoke(app, [*arguments, "--target", target, *more, "--out", str(folder)])
        assert ran.exit_code == 0, ran.output
        settings = json.loads((folder / "loop.json").read_text())["settings"]
        assert settings["options"]["potential"] == bool(more)
        assert settings["teacher"]["source"] == f"scripted:{target}" + ("(gamma=0.9)" if "--gamma" in more else "")
        again = CliRunner().invoke(app, [*arguments, "--target", target, *more, "--out", str(folder), "--resume"])
        assert json.loads(again.stdout)["comparison"] == json.loads(ran.stdout)["comparison"]
    refused = CliRunner().invoke(app, ["loop", "CartPole-v1", "--target", "progress", "--out", str(tmp_path / "none")])
    assert refused.exit_code == 2
    assert "transition table" in refused.stderr
    for target in ("reward", "progress"):
        arguments = ["loop", "FrozenLake-v1", "--target", target, "--potential", "--out", str(tmp_path / "none")]
        refused = CliRunner().invoke(app, arguments)
        assert refused.exit_code == 2
        assert "of what follows from a state" in refused.stderr
    for others in (["--target", "reward"], ["--teacher", "my_module:comfort"]):
        refused = CliRunner().invoke(app, ["loop", "FrozenLake-v1", *others, "--gamma", "0.9"])
        assert refused.exit_code == 2
        assert "gamma is the discount" in refused.stderr
