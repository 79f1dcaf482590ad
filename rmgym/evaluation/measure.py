"""A measure of the user's own: what episodes are worth by a function beside the learned and the true reward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.step_function import Function, StepFunction
from rmgym.imports import imported
from rmgym.transitions import Transitions

MEASURED = ("measure_mean", "measure_std")
"""Columns of ``comparison.csv`` where there is a measure: over the episodes of an evaluation."""


@dataclass(frozen=True)
class Measure:
    """What a function says of each step, summed over an episode.

    Attributes:
        function: what it is.
    """

    function: StepFunction

    @classmethod
    def of(cls, function: Function, name: str = "") -> Self:
        """The measure that a function is.

        Raises:
            FeedbackError: how it is called is not clear.
        """
        return cls(StepFunction(function, name=name))

    @property
    def identity(self) -> str:
        """Module, name and digest of the function: by another one, runs are not compared."""
        return self.function.identity

    def returns(self, steps: Transitions) -> npt.NDArray[np.float64]:
        """What each episode is worth, ``float64 [E]``.

        Args:
            steps: whole episodes, numbered from 0.

        Raises:
            FeedbackError: the function fails, or gives anything but a finite number for a step.
        """
        worth = self.function.values(steps, np.arange(len(steps)))
        return np.bincount(steps.episode, worth).astype(np.float64)

    def row(self, steps: Transitions) -> dict[str, float]:
        """:data:`MEASURED` by name."""
        returns = self.returns(steps)
        return dict(zip(MEASURED, (float(returns.mean()), float(returns.std())), strict=True))


def named_measure(name: str | None) -> Callable[..., object] | None:
    """The user's own function that is named as ``module:function``; None where none is named.

    Raises:
        FeedbackError: there is none of that name.
    """
    if name is None:
        return None
    function = imported(name, FeedbackError)
    if not callable(function):
        raise FeedbackError("a measure is a function", got=f"{name}: {function!r:.60}", fix="name a function of steps")
    return function


def identity_of(measure: Measure | None) -> str | None:
    """What specs record of a measure."""
    return None if measure is None else measure.identity


def short_name(identity: str) -> str:
    """What reports call a measure: the name of its function."""
    return identity.partition("@")[0].rpartition(":")[2].rpartition(".")[2]
