"""Processes get one thread and a log, are counted, and end with who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rmgym.jobs import processes as local
from rmgym.jobs.processes import ONE_THREAD, LocalProcesses, available_cores, last_lines
from tests.hostile import IN_THE_WAY, put_in_the_way

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def ended(processes: LocalProcesses[str], *keys: str) -> dict[str, str]:
    """Wait for some to end."""
    over: dict[str, str] = {}

    def look() -> bool:
        over.update(processes.ended())
        return over.keys() >= set(keys)

    wait_until(look)
    return over


def test_how_processes_end_is_said_in_words(tmp_path: Path) -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with LocalProcesses[str](3) as processes:
        for key, code in {"well": "print(1)", "badly": "import sys; sys.exit(7)", "killed": kill}.items():
            processes.start(key, [sys.executable, "-c", code], tmp_path / key)
        assert ended(processes, "well", "badly", "killed") == {
            "well": "ended with exit code 0",
            "badly": "ended with exit code 7",
            "killed": "killed by SIGKILL",
        }
        assert processes.ended() == {}


def test_processes_have_one_thread_and_add_to_their_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    code = "import os, sys; print(*(os.environ[k] for k in sys.argv[1:])); print('wrong', file=sys.stderr)"
    with LocalProcesses[str]() as processes:
        processes.start("a", [sys.executable, "-c", code, *ONE_THREAD], log)
        ended(processes, "a")
    assert log.read_text().splitlines()[0] == "before"
    assert set(log.read_text().splitlines()[1:]) == {"1 1 1 1 false", "wrong"}
    assert last_lines(log, 1) in log.read_text()
    assert last_lines(tmp_path / "none") == ""


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_is_no_log_is_neither_read_nor_written(tmp_path: Path, kind: str) -> None:
    put_in_the_way(tmp_path / "log", kind)
    assert last_lines(tmp_path / "log") == ""
    with LocalProcesses[str]() as processes, pytest.raises(OSError):  # noqa: PT011  # a loop is the system's own error
        processes.start("a", SLEEP, tmp_path / "log")


def test_of_a_large_log_the_end_is_read_whatever_its_bytes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(2**40)
        file.seek(0, os.SEEK_END)
        file.write(b"\none\xff\ntwo\n")
    assert last_lines(log, 2) == "one\ufffd\ntwo"


def test_free_places_are_counted_and_leaving_kills(tmp_path: Path) -> None:
    with LocalProcesses[str](2) as processes:
        assert (processes.free, processes.working) == (2, set())
        for key in ("a", "b"):
            processes.start(key, SLEEP, tmp_path / key)
        assert (processes.free, processes.working) == (0, {"a", "b"})
        pids = [process.pid for process in processes._working.values()]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert LocalProcesses[str]().free == available_cores() >= 1


@pytest.mark.parametrize(
    ("quota", "cores"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("800000 100000", 8)]
)
def test_cores_of_a_container(quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(local, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert local.available_cores() == cores


PARENT = """
import sys, time
from pathlib import Path
from rmgym.jobs.processes import LocalProcesses
child = "import os, time; from rmgym.jobs.processes import end_with_parent; end_with_parent(); print(os.getpid(), flush=True); time.sleep(60)"
with LocalProcesses() as processes:
    processes.start("child", [sys.executable, "-c", child], Path(sys.argv[1]))
    time.sleep(60)
"""  # noqa: E501


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(log)]) as parent:
        wait_until(lambda: log.exists() and log.read_text().endswith("\n"))
        child = int(log.read_text())
        assert Path(f"/proc/{child}").exists()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text())
