"""A lock is one process's; the system frees it when the process dies; the error says who holds it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rmgym.errors import BusyError, StorageError
from rmgym.storage.locks import held

HOLD = """
import os, sys, time
from rmgym.storage.locks import held

with held(sys.argv[1], what="it"):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "new" / ".lock"
    with holder(file) as other:
        with pytest.raises(BusyError) as caught, held(file, what="a suite's folder"):
            pass
        assert caught.value.rule == "one process at a time works on a suite's folder"
        assert str(tmp_path / "new") in str(caught.value.got)
        if Path("/proc/locks").exists():
            assert f"process {other.pid} is at work" in str(caught.value.got)
        other.send_signal(signal.SIGKILL)
        other.wait()
        with held(file, what="a suite's folder"):
            pass


def test_a_second_hold_in_one_process_is_refused_too(tmp_path: Path) -> None:
    with held(tmp_path / "lock", what="it"):
        with pytest.raises(BusyError), held(tmp_path / "lock", what="it"):
            pass
        with pytest.raises(BusyError), held(tmp_path / "lock", what="it"):  # the refusal freed nothing
            pass
    with held(tmp_path / "lock", what="it"):
        pass


def test_who_waits_says_so_and_gets_it(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as other:
        waits = threading.Event()
        threading.Thread(target=lambda: waits.wait() and other.kill()).start()
        with held(tmp_path / "lock", what="it", wait=True, on_wait=waits.set):
            assert other.wait() != 0
    assert waits.is_set()


def test_an_error_inside_comes_through_and_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine") as caught, held(tmp_path / "lock", what="it"):
        raise OSError("mine")
    assert not isinstance(caught.value, StorageError)
    with held(tmp_path / "lock", what="it"):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_that_outlives_its_parent_does_not_hold_the_lock(tmp_path: Path) -> None:
    # One write each: a print writes its end apart, and two processes print at once.
    code = HOLD.replace("    time", "    os.write(1, b'%d\\n' % os.fork())\n    time")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        child = max(int(process.stdout.readline()), int(process.stdout.readline()))  # the child itself says 0
        process.kill()
        process.wait()
        try:
            with held(tmp_path / "lock", what="it"):
                os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="writable folder"), held(tmp_path / "file" / "lock", what="it"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_lock_is_called_full_or_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("rmgym.storage.locks.FileLock.acquire", refused)
    with pytest.raises(StorageError) as caught, held(tmp_path / "lock", what="a suite's folder"):
        pass
    assert caught.value.rule == "a suite's folder is a writable folder with enough space"
    assert os.strerror(number) in str(caught.value.got)
    assert "free space" in caught.value.fix


def test_a_lock_that_is_not_kept_is_removed_while_it_is_held(tmp_path: Path) -> None:
    with held(tmp_path / "lock", what="it", keep=False):
        assert (tmp_path / "lock").exists()
    assert list(tmp_path.iterdir()) == []
