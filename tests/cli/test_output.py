"""What commands write is text, whatever the names and paths in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rmgym.cli.interview import interview
from rmgym.cli.main import app
from rmgym.cli.output import json_text
from rmgym.feedback.store import LabelStore
from rmgym.progress import Console
from rmgym.text.batch import TextBatch
from rmgym.text.reading import StepReader
from rmgym.transitions import Transitions
from tests.hostile import DEEP_JSON, ESCAPE

HOSTILE = f"a{ESCAPE}"


@pytest.mark.parametrize(
    "command",
    [
        ["envs", "CartPole-v1", "--card", f"{HOSTILE}.toml"],
        ["models", HOSTILE],
        ["bench", f"{HOSTILE}.toml"],
        ["report", HOSTILE],
        ["collect", HOSTILE, "--out", "x.parquet"],
    ],
)
def test_an_error_shows_what_was_received_as_text(command: list[str]) -> None:
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 2
    assert "\\x1b" in run.output
    assert not {"\x1b", "\x07"} & set(run.output)


def test_json_is_the_same_json_without_control_characters() -> None:
    content = {"path": "\x9b31m\x7f\u202e状态\n"}
    text = json_text(content)
    assert json.loads(text) == content
    assert text == '{"path": "\\u009b31m\\u007f\\u202e状态\\n"}'


def test_json_nested_without_end_is_an_error() -> None:
    run = CliRunner().invoke(app, ["envs", "CartPole-v1", "--env-kwargs", DEEP_JSON])
    assert run.exit_code == 2
    assert "nested deeper" in run.output


def test_a_person_is_shown_texts_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, steps = LabelStore(tmp_path / "labels.sqlite"), Transitions.from_arrays([0.0], [0], [1.0])
    step = f"Task: t{ESCAPE} State: a{ESCAPE}: 1. Action: b: {ESCAPE}. Next state: a{ESCAPE}: 2. The end."
    for text in (ESCAPE, step):
        store.add_rating_queries(steps, TextBatch.from_strings([text]), np.array([0]))
    monkeypatch.setattr("builtins.input", iter(["s", "s", ""]).__next__)
    monkeypatch.setattr(Console, "input", lambda console, prompt: console.print(prompt) or input())
    interview(store, f"ann{ESCAPE}", levels=5, reader=StepReader(None, "en"), console=Console())
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count("\\x1b]0;owned") >= 4
