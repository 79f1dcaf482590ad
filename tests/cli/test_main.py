"""The command line as a whole: quick to answer, clear when wrong."""

from __future__ import annotations

import json
import subprocess
import sys
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
