"""``--teacher my_module:function``: a function in the current folder labels, and trains an agent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.feedback.store import LabelStore
from rmgym.text import textualizer

MINE = """
import numpy as np

def calm(steps):
    return -np.abs(steps.action[:, 0])

def calm_one(action):
    return -abs(float(action[0]))

def undefined(steps):
    return np.log(steps.obs[:, 0])
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    return tmp_path


def rmgym(desk: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("rmgym"), *map(str, arguments)]
    return subprocess.run(command, cwd=desk, capture_output=True, text=True, check=False)


def test_a_function_in_this_folder_labels(desk: Path) -> None:
    asked = ("--steps", 300, "--ratings", 20, "--preferences", 6, "--length", 5)
    for name in ("calm", "calm_one"):
        done = rmgym(desk, "label", "Pendulum-v1", "--teacher", f"mine:{name}", *asked, "--db", f"{name}.sqlite")
        assert done.returncode == 0, done.stderr
        assert f"20 ratings, 6 preferences, 0 skipped; program:mine:{name}@" in done.stdout
    steps = collect("Pendulum-v1", 300, reset_every=25, progress=False)
    texts = textualizer("Pendulum-v1").batch(steps).strings()
    worth = dict(zip(texts, (-np.abs(steps.action[:, 0])).tolist(), strict=True))
    labels, others = (LabelStore(desk / f"{name}.sqlite").labels() for name in ("calm", "calm_one"))
    assert labels.ratings is not None
    assert labels.preferences is not None
    assert others.preferences is not None
    assert labels.ratings.values.tolist() == [worth[text] for text in labels.ratings.texts.strings()]
    assert labels.preferences.choice.tolist() == others.preferences.choice.tolist()
    again = rmgym(desk, "label", "Pendulum-v1", "--teacher", "mine:calm", *asked, "--db", "calm.sqlite", "--json")
    facts = json.loads(again.stdout)
    assert (facts["answered"], facts["asked"]) == (26, 26)


def test_people_as_they_are_and_a_function_share_the_questions(desk: Path) -> None:
    asked = ("--steps", 300, "--ratings", 90, "--json")
    habits = ("own_scale=true", "mistakes=0.1", "skips=0.1", "people=2")
    options = [word for habit in habits for word in ("--teacher-option", habit)]
    done = rmgym(desk, "label", "Pendulum-v1", "--teacher", "scripted,mine:calm", *options, *asked)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["annotators"] == ["mine:calm", "person 1", "person 2"]
    assert (facts["answered"], facts["asked"]) == (90, 90)
    assert 0 < facts["counts"]["skipped"] == 90 - facts["counts"]["ratings"]
    again = rmgym(desk, "label", "Pendulum-v1", "--teacher", "scripted,mine:calm", *options, *asked)
    assert json.loads(again.stdout) == facts
    assert len(LabelStore(desk / "labels.sqlite").labels()) == facts["counts"]["ratings"]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("--teacher", "mine:clam"), "did you mean 'calm'?"),
        (("--teacher", "mne:calm"), "did you mean 'mine'?"),
        (("--teacher", "humam"), "did you mean 'human'? A function of your own is my_module:function"),
        (("--teacher", "mine:undefined"), "mine:undefined gives a finite number for every step"),
        (("--teacher", "mine:calm", "--levels", 5), "--levels 5 with mine:calm"),
        (("--teacher", "mine:calm", "--target", "outcome"), "--target outcome with mine:calm"),
        (("--teacher", "mine:calm", "--edges", "quantile"), "--edges quantile with mine:calm"),
        (("--questions", "q.csv", "--edges", "quantile"), "--edges quantile with a table"),
        (("--teacher", "mine:np"), "what steps are worth is told by a function"),
        (("--teacher", "mine:calm", "--teacher-option", "skips=0.1"), "know what the scripted teacher knows"),
        (("--teacher", "mine:calm,human"), "A function of your own is my_module:function"),
        (("--teacher-option", "mistake=0.1"), "did you mean 'mistakes'?"),
        (("--teacher-option", "mistakes"), "--teacher-option is key=value"),
        (("--teacher-option", "mistakes=7"), "'mistakes' is from 0 to 1"),
        (("--teacher-option", "people=2", "--annotator", "ann"), "under their own names"),
        (("--teacher", "human", "--teacher-option", "skips=0.1"), "--teacher-option skips=0.1 with human"),
    ],
)
def test_what_is_wrong_is_told_and_leaves_no_database(desk: Path, arguments: tuple[object, ...], rule: str) -> None:
    done = rmgym(desk, "label", "Pendulum-v1", "--steps", 200, "--ratings", 20, *arguments)
    assert done.returncode == 2
    assert rule in done.stderr
    assert not (desk / "labels.sqlite").exists()


def test_an_agent_learns_what_a_function_wants(desk: Path) -> None:
    """The loop asks it in every round; a function that was changed in between is refused."""
    arguments = ["loop", "Pendulum-v1", "--teacher", "mine:calm", "--labels", 45, "--model", "no-lm", "--out", "loop"]
    arguments += ["--steps", 8192, "--episodes", 2, "--measure", "mine:calm_one", "--json"]
    done = rmgym(desk, *arguments)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    rounds = facts["rounds"]
    assert -400 <= facts["final"]["measure_mean"] < 0
    assert -400 <= facts["best"]["measure_mean"] < 0
    assert len(rounds) > 1
    assert rounds[-1]["labels"] == 45
    labels = LabelStore(desk / "loop/labels.sqlite").labels()
    assert labels.ratings is not None
    assert -2 <= labels.ratings.values.min() < labels.ratings.values.max() <= 0
    (desk / "mine.py").write_text(MINE.replace("-np.abs(", "-2 * np.abs("), encoding="utf-8")
    refused = rmgym(desk, *arguments, "--resume")
    assert refused.returncode == 2
    assert "program:mine:calm@" in refused.stdout


def test_episodes_are_measured_by_a_function(desk: Path) -> None:
    arguments = ["train", "Pendulum-v1", "--reward", "random", "--steps", 256, "--episodes", 2, "--out", "run"]
    refused = rmgym(desk, *arguments, "--measure", "mine:clam")
    assert refused.returncode == 2
    assert "did you mean 'calm'?" in refused.stderr
    done = rmgym(desk, *arguments, "--measure", "mine:calm")
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert re.search(r"measure -\d[\d.]* ± [\d.]+, true return -\d", printed)
    assert re.search(r"a random policy returns -[\d.]+ \(measure -[\d.]+\)", printed)
    report = rmgym(desk, "report", "run")
    assert re.search(r"true return +calm", report.stdout)
    assert "By calm, a measure of your own: random -" in " ".join(report.stdout.split())
