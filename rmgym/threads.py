"""How many threads torch may use: small networks on many threads, or in many processes, are several times slower."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import torch

from rmgym.errors import OversubscriptionWarning
from rmgym.jobs.processes import available_cores


@contextmanager
def torch_threads(count: int) -> Generator[None]:
    """Run with a number of torch threads, and put the old one back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def warn_if_crowded() -> None:
    """Warn where torch's threads and what else runs on this machine want more cores than there are.

    Two processes with two threads each on two cores made PPO eight times slower than with one each.
    """
    threads, cores = torch.get_num_threads(), available_cores()
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # processes that run or wait, over a minute
    if threads > cores or (threads > 1 and threads + busy > cores + 1):
        warnings.warn(
            f"torch uses {threads} threads on {cores} cores, where {busy:.1f} other threads were running over the last "
            "minute; small networks get several times slower so. Call torch.set_num_threads(1), or set "
            "OMP_NUM_THREADS=1 for every process ('rmgym train' and 'rmgym bench' do so by themselves)",
            OversubscriptionWarning,
            stacklevel=3,
        )
