"""Returns, lengths and the latest steps of running episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.errors import RunError
from rmgym.trees import Tree

LEARNED_SO_FAR, TRUE_SO_FAR = "rmgym.learned_return", "rmgym.true_return"
"""Keys of ``info``, at every step: sums of the episode up to it. An outer wrapper that ends an episode, as Gymnasium's
``TimeLimit`` does, finds the returns there; what is inside of it does not know of the end."""


class Episodes:
    """The running episodes of ``n`` environments.

    Args:
        n: how many.
        history: steps to remember (the ``history`` of the card).

    Attributes:
        learned: sum of the learned reward so far, ``float64 [n]``.
        composed: sum of what the agent received so far, ``float64 [n]``.
        true: sum of the true reward so far, ``float64 [n]``.
        steps: steps so far, ``int64 [n]``; another array after every step of all, so that recorded ones may keep it.
    """

    def __init__(self, n: int, history: int = 0) -> None:
        self.learned, self.composed, self.true = np.zeros(n), np.zeros(n), np.zeros(n)
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
        *,
        composed: npt.NDArray[np.float64] | float | None = None,
    ) -> None:
        """Count one step of the environments ``rows`` (a mask; by default all).

        ``obs`` and ``action`` are of all, and stay as they are. ``learned`` is 0 and ``composed`` None where they are
        not known yet.
        """
        if isinstance(rows, slice):  # all: in place, which is quicker than by an index
            if not isinstance(learned, float) or learned:
                self.learned += learned
            self.true += true
            self.steps = self.steps + 1
        else:
            self.learned[rows] += learned
            self.true[rows] += true
            self.steps[rows] += 1
        if composed is not None:
            self.composed[rows] += composed
        if self._history:
            there = np.zeros(len(self.steps), bool)
            there[rows] = True
            self._past = [{"there": there, "obs": obs, "action": action}, *self._past][: self._history]

    def clear(self, rows: npt.NDArray[np.bool_] | slice | int = slice(None)) -> None:
        """Begin new episodes in the environments ``rows`` (by default all), or in one of them."""
        self.learned[rows] = self.composed[rows] = self.true[rows] = 0
        self.steps[rows] = 0
        for i, lag in enumerate(self._past):
            there = lag["there"].copy()  # recorded steps hold the old one
            there[rows] = False
            self._past[i] = {**lag, "there": there}


def final(info: Mapping[str, Any], key: str, env: object) -> Any:
    """The observations at which episodes ended, of an environment that has reset itself since.

    Raises:
        RunError: it does not tell them.
    """
    if key not in info:
        raise RunError(
            f"an environment that resets itself says in info[{key!r}] where an episode ended: its text is about that",
            got=f"the end of an episode in {type(env).__name__}, whose info has {', '.join(info) or 'nothing'}",
            fix="set it before resetting, as Gymnasium's and Stable-Baselines3's vector environments do",
        )
    return info[key]
