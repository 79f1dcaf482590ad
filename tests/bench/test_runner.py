"""Suites that are killed, fail in part, or are changed; with real training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rmgym.bench.grid import plan
from rmgym.bench.runner import _failure, run_suite
from rmgym.bench.suite import load_suite
from rmgym.errors import BusyError, JobError, StorageError
from tests.disks import small_disk

SUITE = """
name = "small"
environments = ["CartPole-v1"]
algorithms = ["ppo"]
seeds = [0]
steps = 512
eval_every = 256
episodes = 1

[[reward]]
name = "missing"
model = "no/such/folder"

[[reward]]
name = "constant"
model = "constant"
"""


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    file = tmp_path / "suite.toml"
    file.write_text(SUITE)
    return file


def cells_at_work(out: Path) -> list[int]:
    """Processes whose command line names this folder."""
    found = list[int]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"rmgym.bench.cell" in words and os.fsencode(out) in words:
                found.append(int(entry.name))
    return found


def wait_until(condition: object, seconds: float = 120) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_killed_at_once_then_run_again_it_finishes_what_it_can(suite_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "rmgym", "bench", str(suite_file), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: cells_at_work(out))
        with pytest.raises(BusyError, match="one process at a time"):
            run_suite(load_suite(suite_file), out, progress=False)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not cells_at_work(out))

    outcome = run_suite(load_suite(suite_file), out, progress=False)
    (run,) = outcome.runs
    assert (run.reward, run.status, run.labels) == ("constant", "done", 0)
    assert run.last("steps") >= 512
    (failure,) = outcome.failures
    assert failure.title == "ppo on missing"
    assert failure.reason == "ended with exit code 1"
    assert "ModelError" in failure.tail
    assert "fix:" in failure.tail

    done = out / "runs" / "CartPole-v1" / "ppo" / "constant" / "seed0" / "run.json"
    stamp = done.stat().st_mtime_ns
    suite_file.write_text(SUITE.replace("missing", "random").replace("no/such/folder", "random"))
    outcome = run_suite(load_suite(suite_file), out, progress=False)
    assert [run.reward for run in outcome.runs] == ["constant", "random"]
    assert outcome.failures == []
    assert done.stat().st_mtime_ns == stamp


def test_a_suite_is_not_mixed_with_another(suite_file: Path, tmp_path: Path) -> None:
    for task in plan(load_suite(suite_file), tmp_path / "out"):
        task.prepare()
    suite_file.write_text(SUITE.replace("steps = 512", "steps = 1024"))
    with pytest.raises(JobError, match="steps: 512 -> 1024"):
        run_suite(load_suite(suite_file), tmp_path / "out", progress=False)


def test_what_needs_a_failed_model_is_left_out_and_named(suite_file: Path, tmp_path: Path) -> None:
    doomed = 'model = "seq2seq"\nratings = 5000\ncollect_steps = 100'  # more ratings than steps
    only = SUITE[: SUITE.index('\n[[reward]]\nname = "constant"')]
    suite_file.write_text(only.replace('model = "no/such/folder"', doomed))
    outcome = run_suite(load_suite(suite_file), tmp_path / "out", progress=False)
    assert outcome.runs == []
    assert [failure.title for failure in outcome.failures] == ["fit missing", "ppo on missing"]
    assert "FeedbackError" in outcome.failures[0].tail
    assert "left out" in outcome.failures[1].reason


@pytest.mark.parametrize(
    ("how", "rule"),
    [("full", "the record of a cell is written to"), ("read-only", "a suite's folder is")],
)
def test_where_nothing_can_be_written_it_says_so_and_not_that_another_process_is_at_work(
    suite_file: Path, tmp_path: Path, how: str, rule: str
) -> None:
    with small_disk(tmp_path / "disk", 200) as disk:
        disk.spoil(how)
        with pytest.raises(StorageError, match=f"^{rule} a writable folder with enough space") as caught:
            run_suite(load_suite(suite_file), disk.folder / "out", progress=False)
        assert not isinstance(caught.value, BusyError)


def test_a_cell_without_a_word_in_its_log_is_no_riddle(suite_file: Path, tmp_path: Path) -> None:
    task = plan(load_suite(suite_file), tmp_path / "out")[0]
    task.prepare()
    assert "is the disk full?" in _failure(task, "ended with exit code 1").tail
    (task.folder / "log.txt").write_text("why\n")
    assert _failure(task, "ended with exit code 1").tail == "why"
