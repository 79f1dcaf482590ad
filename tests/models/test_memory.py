"""Freed memory is kept where the C library can, and a user's own setting stands."""

import os
import platform
import subprocess
import sys

import pytest

from rmgym.models.memory import keep_freed_memory

_FAULTS = """
import resource, sys
import torch
from rmgym.models.memory import keep_freed_memory

torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work():
    arrays = [torch.ones(4_000_000) for _ in range(4)]
    return sum(float(a[0]) for a in arrays)
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_pages_are_fetched_once():
    def faults(how: str) -> int:
        run = subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert faults("keep") < 200  # of 16,000 pages in each of 20 rounds


def test_a_setting_of_the_user_stands(monkeypatch):
    monkeypatch.setitem(os.environ, "MALLOC_TRIM_THRESHOLD_", "131072")
    assert not keep_freed_memory.__wrapped__()
