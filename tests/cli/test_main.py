"""The command line as a whole: quick to answer, clear when wrong."""

from __future__ import annotations

import json
import os
import pydoc
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rmgym.cli.main import COMMANDS, app
from rmgym.errors import ModelError

run = CliRunner().invoke
HEAVY = ("torch", "transformers", "stable_baselines3", "plotly", "matplotlib", "fastapi", "uvicorn", "ray", "httpx2")


def loaded_by(code: str) -> set[str]:
    """Heavy libraries that a fresh Python has loaded after running some code."""
    tail = f"\nimport sys; print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def calling(*arguments: str) -> str:
    return f"""
from rmgym.cli.main import app
try:
    app({list(arguments)!r})
except SystemExit as end:
    assert end.code == 0, end.code
"""


@pytest.mark.parametrize(
    "code",
    [
        "import rmgym; dir(rmgym); rmgym.__version__; rmgym.errors.RmgymError",
        "import rmgym.cli.main",
        calling("--help"),
        calling("bench", "--help"),
        calling("serve", "--help"),
        calling("envs"),
        calling("envs", "Pendulum-v1"),
        calling("agents"),
        calling("models"),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_used(code: str) -> None:
    assert loaded_by(code) == set()


def test_agents_load_no_language_model_library_before_they_have_a_language_model() -> None:
    assert loaded_by("import rmgym.sb3") == {"torch", "stable_baselines3"}


def test_heavy_libraries_are_seen_when_they_are_loaded() -> None:
    assert loaded_by("import rmgym; rmgym.LearnedRewardWrapper; import matplotlib") >= {"matplotlib"}


def test_help_lists_every_command_without_importing_any() -> None:
    result = run(app, ["--help"], env={"COLUMNS": "140"})
    assert result.exit_code == 0
    for name, entry in COMMANDS.items():
        assert name in result.stdout
        assert entry.about in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_json(name: str) -> None:
    result = run(app, [name, "--help"], env={"COLUMNS": "140"})
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    result = run(app, ["trian"])
    assert result.exit_code == 2
    assert "'train'" in result.stderr


def completed(words: str, tmp_path: Path) -> list[str]:
    """What the executable answers bash after Tab."""
    told = {"_RMGYM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    command = [Path(sys.executable).with_name("rmgym")]
    done = subprocess.run(command, env={**os.environ, **told}, cwd=tmp_path, capture_output=True, text=True)
    return done.stdout.split()


def test_the_shell_completes_commands_options_ids_and_cards(tmp_path: Path) -> None:
    assert completed("rmgym ", tmp_path) == list(COMMANDS)
    assert completed("rmgym collect Pendul", tmp_path) == ["Pendulum-v1"]
    assert completed("rmgym train X --algo qr", tmp_path) == ["qrdqn"]
    assert completed("rmgym train --fixed", tmp_path) == ["--fixed-horizon"]


def test_the_shell_is_told_how_to_complete() -> None:
    named = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "True"}  # the shell is named, not looked for
    command = [Path(sys.executable).with_name("rmgym"), "--show-completion", "bash"]
    script = subprocess.run(command, env=named, capture_output=True, text=True, check=True).stdout
    assert "_RMGYM_COMPLETE=complete_bash" in script


def test_modules_are_found_in_the_current_folder_and_shadow_nothing(tmp_path: Path) -> None:
    (tmp_path / "my_envs.py").write_text(
        "import gymnasium as gym\n"
        "from gymnasium.envs.classic_control import PendulumEnv\n"
        "gym.register('Mine-v0', PendulumEnv, max_episode_steps=9)\n"
    )
    (tmp_path / "numpy.py").write_text("raise SystemExit('not me')\n")
    command = [Path(sys.executable).with_name("rmgym"), "envs", "my_envs:Mine-v0", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["env"] == "my_envs:Mine-v0"
    safe = {**os.environ, "PYTHONSAFEPATH": "1"}
    refused = subprocess.run(command, cwd=tmp_path, env=safe, capture_output=True, text=True)
    assert "my_envs" in json.loads(refused.stdout)["error"]["received"]


@pytest.mark.parametrize("module", ["rmgym", "rmgym.sb3", "rmgym.specs", "rmgym.metrics", "rmgym.models"])
def test_help_shows_every_public_name(module: str) -> None:
    shown = import_module(module)
    text = pydoc.render_doc(shown, renderer=pydoc.plaintext)
    for name in shown.__all__:
        if not name.startswith("__"):
            assert re.search(rf"\b{name}\b", text), name
    assert set(shown.__all__) <= set(dir(shown))
    assert {"class", "def"} & {word for line in text.splitlines() for word in line.split()[:1]} or "FUNCTIONS" in text


def test_version() -> None:
    import rmgym

    assert run(app, ["--version"]).stdout.strip() == rmgym.__version__


def test_an_expected_error_is_three_lines_and_no_traceback() -> None:
    result = run(app, ["models", "minilmm"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "error: a reward model is a built-in name or a folder\n  received: minilmm\n  fix: did you mean 'minilm'?\n"
    )


def test_an_expected_error_as_json() -> None:
    result = run(app, ["models", "minilmm", "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "error": {
            "type": "ModelError",
            "rule": "a reward model is a built-in name or a folder",
            "received": "minilmm",
            "fix": "did you mean 'minilm'?",
        }
    }


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMGYM_DEBUG", "1")
    with pytest.raises(ModelError):
        run(app, ["models", "minilmm"], catch_exceptions=False)


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rmgym.bench.runner.run_suite", interrupted)
    result = run(app, ["demo", "--quick", "--out", str(tmp_path)])
    assert result.exit_code == 130
    assert "run the same command again" in result.stderr
    assert "Traceback" not in result.stderr


def test_every_public_name_can_be_had() -> None:
    import rmgym

    for name in rmgym.__all__:
        assert getattr(rmgym, name) is not None
    assert set(rmgym.__all__) <= set(dir(rmgym))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rmgym.nothing
