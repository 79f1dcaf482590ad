"""``kill -9`` at any instant, mid-save too, then a resume: the weights of an uninterrupted run, to the bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "-W", "error", "-m", "tests.training.killed", str(tmp_path_factory.mktemp("killed"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_kill_was_one(said: dict[str, Any]) -> None:
    assert len(said["killed"]) == 16
    assert all(said["killed"].values()), said["killed"]


def test_the_run_is_one_whose_best_weights_only_a_checkpoint_has(said: dict[str, Any]) -> None:
    metrics = said["whole"]["small"][1]
    assert (metrics["best_step"], metrics["steps"], metrics["stopped_early"]) == (15, 30, True)


def test_a_killed_and_resumed_fit_equals_an_uninterrupted_one(said: dict[str, Any]) -> None:
    for instant, (digest, metrics, left) in said["resumed"].items():
        whole = said["whole"]["seq2seq" if instant == "seq2seq" else "small"]
        assert digest == whole[0], instant
        assert metrics == whole[1], instant
        assert left == ["fit.json", "reward_model.json", *(["tokenizer"] if instant == "seq2seq" else []), "weights"]


def test_killed_over_a_finished_fit_the_old_model_and_its_record_stay_until_the_new_one_is_whole(
    said: dict[str, Any],
) -> None:
    whole = said["whole"]["small"]
    assert len(said["over another"]) == 5
    for instant, state in said["over another"].items():
        assert state["killed"], instant
        assert state["record is of the old one"], instant
        assert state["record names the old model"], instant
        assert state["model is the old one"] is (instant != "between model and record"), instant
        assert state["old model loads"], instant
        assert state["resumed"][:2] == whole[:2], instant
        assert state["resumed"][2] == ["fit.json", "reward_model.json", "weights"], instant


def test_a_full_disk_is_an_error_that_says_so(said: dict[str, Any]) -> None:
    for limit, message in said["no space"].items():
        assert "enough space" in message, limit
        assert "then resume" in message, limit
