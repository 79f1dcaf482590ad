"""Learned returns of training episodes, as deferred buffers score them."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from rmgym.transitions import Transitions


class LearnedReturns:
    """Learned returns (undiscounted) of the episodes that ended lately; for logs.

    An episode that was not seen whole, from its first step on, has none.

    Attributes:
        finished: returns of the last hundred finished episodes.
    """

    def __init__(self, n_envs: int) -> None:
        self.finished: deque[float] = deque(maxlen=100)
        self._running, self._next = [0.0] * n_envs, [(0, 0)] * n_envs  # the next step: its episode, its number

    def add(self, steps: Transitions, rewards: npt.NDArray[np.float32]) -> None:
        """Count a block of rewards ``[T, n_envs]`` and the steps they belong to."""
        episodes, numbers = (values.reshape(rewards.shape) for values in (steps.episode, steps.step))
        ends = (steps.terminated | steps.truncated).reshape(rewards.shape)
        ended = list[tuple[int, int, float]]()
        # One number at a time: blocks are small and episodes end anywhere in them, so that arrays would take longer.
        for env in range(rewards.shape[1]):
            total, expected = self._running[env], self._next[env]
            columns = (values[:, env].tolist() for values in (rewards, episodes, numbers, ends))
            for t, (reward, episode, number, end) in enumerate(zip(*columns, strict=True)):
                if number and (episode, number) != expected:
                    total = math.nan  # where a step is missing, nobody knows the sum
                total = reward if number == 0 else total + reward
                expected = (episode, number + 1)
                if end and not math.isnan(total):
                    ended.append((t, env, total))
            self._running[env], self._next[env] = total, expected
        self.finished.extend(total for _, _, total in sorted(ended))
