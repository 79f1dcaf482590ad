"""A language model measured, asked and made a reward from the command line, through a real server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rmgym.cli.teachers import language_model, teacher_of
from rmgym.errors import FeedbackError, JudgeError
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.scripted import ScriptedTeacher
from rmgym.judge.step_words import step_words
from tests.judge.fakes import FakeServer, chance_of, serving

_FAR = re.compile(r"^- angle from upright.* (-?[\d.]+)(?: before and)? after", re.MULTILINE)
_SPEED = re.compile(r"^- angular velocity.* (-?[\d.]+)(?: before and)? after", re.MULTILINE)


def pendulum(right: float = 1.0) -> Any:
    """A judge that knows what Pendulum wants, as far as its words show it."""

    def opinion(prompt: str) -> Mapping[str, float]:
        seen = zip(_FAR.findall(prompt), _SPEED.findall(prompt), strict=True)
        worth = [-(float(angle) ** 2) - 0.1 * float(speed) ** 2 for angle, speed in seen]
        if len(worth) == 2:
            better = (worth[0] > worth[1]) != (chance_of(str(sorted(worth))) >= right)
            return {"A": 0.9 if better else 0.1, "B": 0.1 if better else 0.9}
        if not worth:
            return {str(digit): 0.1 for digit in range(10)}
        level = round(9 * (1 + worth[0] / 17)) if right == 1 else int(10 * chance_of(str(worth)))
        return {str(digit): 0.91 if digit == level else 0.01 for digit in range(10)}

    return opinion


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with serving(pendulum()) as server:
        yield server


def rmgym(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "RMGYM_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "rmgym", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_the_words_are_those_that_the_judge_reads() -> None:
    import rmgym

    texts = rmgym.textualizer("Pendulum-v1").batch(rmgym.collect("Pendulum-v1", 3, seed=0, progress=False)).strings()
    lines = step_words(texts[:1]).lines
    assert _FAR.search(lines), lines
    assert _SPEED.search(lines), lines


def test_a_judge_is_measured_then_labels_then_rewards(fake: FakeServer, tmp_path: Path) -> None:
    options = ["--teacher-option", f"judge={fake.url}", "--teacher-option", "pairs=30"]
    done = rmgym(tmp_path, "judge", "Pendulum-v1", *options, "--length", 1, "--out", "model", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert [(each["kind"], each["reliable"], each["pairs"]) for each in facts["measured"]] == [
        ("rating", True, 30),
        ("preference", True, 30),
    ]
    asked = len(fake.bodies)

    counts = ["--ratings", 15, "--preferences", 15, "--length", 1]
    done = rmgym(tmp_path, "label", "Pendulum-v1", "--teacher", "llm", *options, *counts)
    assert done.returncode == 0, done.stderr
    assert "15 ratings, 15 preferences" in done.stdout
    assert len(fake.bodies) <= asked + (2 * 30 + 15) + 2 * (30 + 15)  # measured on these steps too
    asked = len(fake.bodies)
    again = rmgym(tmp_path, "label", "Pendulum-v1", "--teacher", "llm", *options, *counts, "--db", "again.sqlite")
    assert again.returncode == 0, again.stderr
    assert len(fake.bodies) == asked  # nothing is asked twice
    (answer, *_) = LabelStore(tmp_path / "labels.sqlite").answers(facts["judge"])
    assert answer.source == facts["judge"]
    assert answer.confidence is not None
    assert answer.confidence > 0.5

    shown = rmgym(tmp_path, "models", "model", "--json")
    assert json.loads(shown.stdout)["model"] == "judge"


def test_a_useless_judge_is_shown_and_refused(fake: FakeServer, tmp_path: Path) -> None:
    fake.opinion = pendulum(0.5)
    options = ["--teacher-option", f"judge={fake.url}", "--teacher-option", "pairs=30"]
    done = rmgym(tmp_path, "judge", "Pendulum-v1", *options, "--length", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no better than chance: refused as a teacher") == 2
    for command in (
        ["judge", "Pendulum-v1", *options, "--length", 1, "--out", "model"],
        ["label", "Pendulum-v1", "--teacher", "llm", *options, "--ratings", 10],
    ):
        refused = rmgym(tmp_path, *command)
        assert refused.returncode == 2
        assert "of 30 pairs in order (95 % interval" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "labels.sqlite").exists()


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["jugde=smollm2"], "did you mean 'judge'"),
        (["levels=11"], "2 to 10 levels"),
        (["judge=/nowhere"], "/nowhere"),
        (["max_cost=1"], "needs prices"),
        (["check=elsewhere"], "module:function"),
    ],
)
def test_what_is_wrong_is_told(fake: FakeServer, options: list[str], rule: str) -> None:
    url = [] if "judge=/nowhere" in options else [f"judge={fake.url}"]

    def use() -> object:
        teacher = language_model(ScriptedTeacher, [*url, *options])
        assert teacher.truth is not None
        return teacher.opinions, teacher.truth()

    with pytest.raises((FeedbackError, JudgeError), match=re.escape(rule)):
        use()


def test_levels_are_an_option_of_the_judge() -> None:
    with pytest.raises(FeedbackError, match=r"option of it[\s\S]*--levels 5[\s\S]*by --teacher-option"):
        teacher_of("llm", ScriptedTeacher, 5, None)


def test_a_loop_asks_the_judge_in_every_round(fake: FakeServer, tmp_path: Path) -> None:
    """It is measured once, in the first one; and another budget is no other loop."""
    options = ["--teacher-option", f"judge={fake.url}", "--teacher-option", "pairs=30", "--labels", 45]
    arguments = ["loop", "Pendulum-v1", "--teacher", "llm", *options, "--model", "no-lm", "--out", "loop"]
    arguments += ["--steps", 8192, "--episodes", 1, "--json"]
    done = rmgym(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["rounds"][-1]["labels"] == 45
    labels = LabelStore(tmp_path / "loop/labels.sqlite").labels()
    assert labels.ratings is not None
    assert len(labels.ratings) == 45
    about_nothing = 3
    assert len(fake.bodies) <= 2 * 30 + about_nothing + 45
    again = rmgym(tmp_path, *arguments, "--resume", "--teacher-option", "max_tokens=1000000")
    assert again.returncode == 0, again.stderr[-2000:]
