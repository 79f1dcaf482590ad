"""The hint that a reward model scores one step at a time where it could score many."""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

from rmgym.errors import PerformanceHint
from rmgym.models.base import RewardModel

HINT_AFTER = 500
"""Calls of a model that gains from batches, before the hint about the faster way."""


class Pace:
    """Measures how fast a model scores step by step, and names the faster way once per process.

    Args:
        model: only models with weights gain enough from batches for a hint; None where none is asked.
        faster: the line to write instead.
    """

    hinted: ClassVar[bool] = False

    def __init__(self, model: RewardModel | None, faster: str) -> None:
        self._model, self._faster = model, faster
        self._calls, self._steps, self._seconds = 0, 0, 0.0

    @contextmanager
    def scoring(self, steps: int) -> Generator[None]:
        """Time one call of the model, for ``steps`` steps."""
        started = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - started
        self._calls, self._steps = self._calls + 1, self._steps + steps
        if self._calls != HINT_AFTER or Pace.hinted or self._model is None:
            return
        if not hasattr(self._model, "parameters"):  # a torch module has them; told without importing torch
            return
        Pace.hinted = True
        warnings.warn(
            f"{self._model.name!r} is asked at every step here and scores {self._steps / self._seconds:.0f} steps/s. "
            f"{self._faster} scores a whole rollout in one batch and learns the same. (If SB3 wrapped this environment "
            "in a Monitor, its ep_rew_mean is the learned return; info['true_return'] is the true one.)",
            PerformanceHint,
            stacklevel=5,
        )
