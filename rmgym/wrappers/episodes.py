"""Returns, lengths and the latest steps of running episodes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rmgym.trees import Tree


class Episodes:
    """The running episodes of ``n`` environments.

    Args:
        n: how many.
        history: steps to remember (the ``history`` of the card).

    Attributes:
        learned: sum of the learned reward so far, ``float64 [n]``.
        true: sum of the true reward so far, ``float64 [n]``.
        steps: steps so far, ``int64 [n]``.
    """

    def __init__(self, n: int, history: int = 0) -> None:
        self.learned, self.true = np.zeros(n), np.zeros(n)
        self.steps = np.zeros(n, np.int64)
        self._history = history
        self._past: list[dict[str, Tree]] = []  # the latest first, as in Transitions.past

    def past(self, obs: Tree, action: Tree) -> Tree:
        """What came before the step that takes ``action`` at ``obs``, as :class:`Transitions` have it."""
        if not self._history:
            return ()
        nothing = {"there": np.zeros(len(self.steps), bool), "obs": obs, "action": action}
        return (*self._past, *[nothing] * (self._history - len(self._past)))

    def add(
        self,
        obs: Tree,
        action: Tree,
        learned: npt.NDArray[np.float64] | float,
        true: npt.NDArray[np.float64] | float,
        rows: npt.NDArray[np.bool_] | slice = slice(None),
    ) -> None:
        """Count one step of the environments ``rows`` (a mask; by default all).

        ``obs`` and ``action`` are of all, and stay as they are. ``learned`` is 0 where it is not known yet.
        """
        if isinstance(rows, slice):  # all: in place, which is quicker than by an index
            if not isinstance(learned, float) or learned:
                self.learned += learned
            self.true += true
            self.steps += 1
        else:
            self.learned[rows] += learned
            self.true[rows] += true
            self.steps[rows] += 1
        if self._history:
            there = np.zeros(len(self.steps), bool)
            there[rows] = True
            self._past = [{"there": there, "obs": obs, "action": action}, *self._past][: self._history]

    def clear(self, rows: npt.NDArray[np.bool_] | slice = slice(None)) -> None:
        """Begin new episodes in the environments ``rows``."""
        self.learned[rows] = self.true[rows] = 0
        self.steps[rows] = 0
        for i, lag in enumerate(self._past):
            there = lag["there"].copy()  # recorded steps hold the old one
            there[rows] = False
            self._past[i] = {**lag, "there": there}
