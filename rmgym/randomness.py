"""Global random states: SB3 draws from them, so nothing beside the training may.

``transformers.Trainer`` seeds all of them, and dropout draws from torch's: without :func:`preserved`, fitting a reward
model in the middle of a run would change the exploration noise of the agent.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def preserved() -> Generator[None]:
    """Put the global states of ``random``, NumPy and torch (CPU and CUDA) back afterwards, whatever happened inside."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
