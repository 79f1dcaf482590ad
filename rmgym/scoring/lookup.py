"""Where states and actions are numbered, a score is looked up: every (s, a, s', flags) is read by the model once."""

from __future__ import annotations

from typing import Any, Self

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.models.base import Prediction
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import Transitions

MOST_CELLS = 16_000_000
"""Largest table. Memory (9 bytes a cell) is taken by what is written alone, where the system gives it by the page."""


class ScoreTable:
    """Scores of all steps of an environment with Discrete observations and actions.

    Args:
        observation_space: of the environment.
        action_space: of the environment.
    """

    def __init__(self, observation_space: gym.spaces.Discrete, action_space: gym.spaces.Discrete) -> None:
        self._state, self._action = observation_space, action_space
        cells = _cells(observation_space, action_space)
        self._mean, self._std = np.zeros(cells, np.float32), np.zeros(cells, np.float32)
        self._known = np.zeros(cells, np.bool_)

    @classmethod
    def of(cls, textualizer: Textualizer) -> Self | None:
        """The table of an environment, None where it would be too large, or texts tell more than one step's numbers."""
        state, action = textualizer.observation_space, textualizer.action_space
        if not isinstance(state, gym.spaces.Discrete) or not isinstance(action, gym.spaces.Discrete):
            return None
        if textualizer.card.history:
            return None
        return cls(state, action) if _cells(state, action) <= MOST_CELLS else None

    def cells(self, steps: Transitions) -> npt.NDArray[np.int64] | None:
        """The cell of each step, ``int64 [B]``; None where the text must be asked: a value outside its space, which it
        refuses, or an absorbing state.
        """
        if steps.absorbing.any():
            return None
        s, a, after = (
            np.asarray(values, np.int64).reshape(len(steps)) - int(space.start)
            for values, space in ((steps.obs, self._state), (steps.action, self._action), (steps.next_obs, self._state))
        )
        n, m = int(self._state.n), int(self._action.n)
        if len(steps) and not (_within(s, n) and _within(a, m) and _within(after, n)):
            return None
        return ((s * m + a) * n + after) * 4 + steps.terminated * np.int64(2) + steps.truncated

    def unknown(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """One row for each distinct cell that has no score yet."""
        rows = np.flatnonzero(~self._known[cells])
        return rows[np.unique(cells[rows], return_index=True)[1]]

    def put(self, cells: npt.NDArray[np.int64], prediction: Prediction) -> None:
        """Keep the scores of some cells."""
        self._mean[cells], self._std[cells], self._known[cells] = prediction.mean, prediction.std, True

    def get(self, cells: npt.NDArray[np.int64]) -> Prediction:
        """Scores of known cells, in arrays of their own."""
        return Prediction(self._mean[cells], self._std[cells])


def _cells(state: gym.spaces.Discrete, action: gym.spaces.Discrete) -> int:
    return int(state.n) ** 2 * int(action.n) * 4


def _within(values: npt.NDArray[Any], size: int) -> bool:
    return bool(values.min() >= 0 and values.max() < size)
