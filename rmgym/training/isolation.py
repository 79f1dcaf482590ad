"""Fitting draws random numbers of its own and leaves everybody else's alone."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated_rng() -> Generator[None]:
    """Restore the random state of Python, NumPy and torch (CPU and CUDA) on leaving.

    ``transformers.Trainer`` seeds all of them, and dropout draws from torch's. Without this, fitting a reward model
    in the middle of a run would change the exploration noise of the agent.
    """
    python, legacy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
