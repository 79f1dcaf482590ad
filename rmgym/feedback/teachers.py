"""A scripted teacher: labels from the true reward, exact, so that a failure is the model's and not the labels'."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError, nearest
from rmgym.transitions import Transitions

TARGETS = ("reward", "outcome", "progress")
EDGES = ("width", "quantile")


Value = Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]
"""An expert's value of a batch of observations, ``[B, ...] -> [B]``."""


class TiedPreferencesWarning(UserWarning):
    """More than half of the comparisons are ties; ties teach little."""


@dataclass(frozen=True, kw_only=True)
class ScriptedTeacher:
    """Rates steps and compares segments by the environment's true reward, without noise.

    Attributes:
        target: ``"reward"`` is the step's true reward. ``"outcome"`` is what follows from the step, for environments
            whose true reward is constant (see :func:`outcome`). ``"progress"`` is how much the step improved what an
            expert expects, for sparse rewards (see :func:`progress`).
        levels: number of rating levels 1, 2, ..., as a human would give them; None keeps the exact value.
        edges: where levels end: ``"width"`` cuts the range of the rated steps into equal widths, ``"quantile"`` puts
            about as many of the rated steps in each level, which keeps rare good steps apart.
        gamma: discount of ``"outcome"``, in [0, 1); its horizon is about ``1 / (1 - gamma)`` steps.
        value: the expert's value of observations ``[B, ...] -> [B]``, needed for ``"progress"``; its discount is
            ``value_gamma``. It comes from above, for example from :func:`rmgym.harness.experts.tabular_value`.
        value_gamma: discount of ``value``.
        tie_tolerance: two segments whose summed values differ by at most this much are tied.
    """

    target: Literal["reward", "outcome", "progress"] = "reward"
    levels: int | None = None
    edges: Literal["width", "quantile"] = "width"
    gamma: float = 0.95
    value: Value | None = None
    value_gamma: float = 0.99
    tie_tolerance: float = 1e-6

    def __post_init__(self) -> None:
        for name, value, valid in (("target", self.target, TARGETS), ("edges", self.edges, EDGES)):
            if value not in valid:
                raise FeedbackError(f"{name} is one of {', '.join(valid)}", got=value, fix=nearest(value, valid))
        if self.levels is not None and self.levels < 2:
            raise FeedbackError("a rating has at least 2 levels", got=self.levels, fix="pass levels=10 or levels=None")
        if self.target == "progress" and self.value is None:
            raise FeedbackError(
                "progress is judged by an expert's value function", got=None, fix="pass value=tabular_value(env_id)"
            )
        if not 0 <= self.gamma < 1:
            raise FeedbackError("gamma is in [0, 1)", got=self.gamma, fix="pass gamma=0.95")

    @property
    def source(self) -> str:
        """What the label store calls this teacher, such as ``scripted:outcome``."""
        return f"scripted:{self.target}"

    def values(self, transitions: Transitions) -> npt.NDArray[np.float64]:
        """Exact worth of every step, ``float64 [B]``.

        Raises:
            FeedbackError: the true reward is unknown, or outcomes are asked of pieces of episodes.
        """
        if not np.isfinite(transitions.true_reward).all():
            raise FeedbackError(
                "a scripted teacher reads the true reward",
                got=transitions.true_reward,
                fix="collect steps with 'rmgym collect', or label them by hand",
            )
        if self.target == "outcome":
            return outcome(transitions, gamma=self.gamma)
        if self.target == "progress":
            assert self.value is not None  # __post_init__ has seen to it
            return progress(transitions, self.value, gamma=self.value_gamma)
        return transitions.true_reward.astype(np.float64)

    def rate(
        self, transitions: Transitions, rows: npt.NDArray[np.int64] | slice = slice(None)
    ) -> npt.NDArray[np.float32]:
        """Rate steps.

        Args:
            transitions: the steps; for ``"outcome"`` whole episodes in order.
            rows: the steps to rate; the others only tell what happened afterwards.

        Returns:
            ``float32``, one per rated step: 1 to ``levels``, or the exact value where ``levels`` is None.

        Raises:
            FeedbackError: there is nothing to rate, all ratings are equal, or as in :meth:`values`.
        """
        values = self.values(transitions)[rows]
        if not len(values):
            raise FeedbackError("a teacher rates at least one step", got="none", fix="collect or select steps first")
        if np.ptp(values) == 0:
            raise self._teaches_nothing("ratings differ between steps", f"{len(values)} times {values[0]:g}")
        if self.levels is None:
            return values.astype(np.float32)
        ratings = _levels(values, self.levels, self.edges)
        if np.ptp(ratings) == 0:  # quantiles of values that are nearly all equal
            got = f"{len(values)} steps, all in one of {self.levels} levels"
            raise FeedbackError("ratings differ between steps", got=got, fix="use edges='width' (--edges width)")
        return ratings

    def prefer(
        self, transitions: Transitions, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Compare segments by the sum of their steps' values.

        Args:
            transitions: the steps.
            left: first row and one past the last row of each left segment, ``int64 [N, 2]``.
            right: the same for the right segments.

        Returns:
            ``float32 [N]``: 1 where the left one is better, 0 where the right one is, 0.5 for a tie.

        Raises:
            FeedbackError: every comparison is a tie, or as in :meth:`values`.

        Warns:
            TiedPreferencesWarning: more than half of the comparisons are ties.
        """
        sums = np.concatenate([[0.0], np.cumsum(self.values(transitions))])
        gap = (sums[left[:, 1]] - sums[left[:, 0]]) - (sums[right[:, 1]] - sums[right[:, 0]])
        tied = np.abs(gap) <= self.tie_tolerance
        if tied.all():
            raise self._teaches_nothing("some segments are better than others", f"{len(gap)} comparisons, all tied")
        if tied.mean() > 0.5:
            warnings.warn(
                f"{tied.sum()} of {len(tied)} comparisons are ties, which teach little: use "
                "ScriptedTeacher(target='outcome'), other segment lengths, or ratings",
                TiedPreferencesWarning,
                stacklevel=2,
            )
        return np.where(tied, 0.5, gap > 0).astype(np.float32)

    def _teaches_nothing(self, rule: str, got: str) -> FeedbackError:
        if self.target == "reward":
            fix = "this environment's reward is constant here: use target='outcome' (--target outcome)"
        else:
            fix = "collect whole episodes that end differently: more steps, a better policy, --reset-every 0"
        return FeedbackError(rule, got=got, fix=fix)


def outcome(transitions: Transitions, *, gamma: float = 0.95) -> npt.NDArray[np.float64]:
    """What follows from each step: ``(1 - gamma) * sum_k gamma^k r[t + k]``, ``float64 [B]``, in units of the reward.

    After a termination nothing follows. An episode that was truncated, or cut while collecting, is taken to go on for
    ever with its last reward. So one formula fits all:

    * CartPole (+1 until the pole falls): ``1 - gamma^n`` with ``n`` steps left, 1 if it did not fall.
    * MountainCar, Acrobot (-1 until success): ``-(1 - gamma^n)``, and -1 if there was no success.
    * FrozenLake (1 at the goal): ``(1 - gamma) * gamma^(n - 1)``, and 0 if the goal was not reached.

    The values are those of the policy that collected the steps. Cut episodes say less than ended ones: see
    :func:`in_ended_episode`.

    Args:
        transitions: whole episodes, each in order.
        gamma: discount in [0, 1).

    Raises:
        FeedbackError: steps of an episode are missing or out of order.
    """
    episode, step, reward = transitions.episode, transitions.step, transitions.true_reward.astype(np.float64)
    same = episode[1:] == episode[:-1]
    first = np.concatenate([[True], ~same])[: len(step)]
    if (step[first] != 0).any() or (np.diff(step)[same] != 1).any():
        raise FeedbackError(
            "outcomes are read from whole episodes in order",
            got=f"steps {step[:12].tolist()} of episodes {episode[:12].tolist()}",
            fix="pass all collected steps, and the steps to rate as rows=",
        )
    values = np.empty(len(reward))
    following = 0.0
    for i in range(len(reward) - 1, -1, -1):
        if i == len(reward) - 1 or not same[i]:
            following = 0.0 if transitions.terminated[i] else reward[i]
        following = (1 - gamma) * reward[i] + gamma * following
        values[i] = following
    return values


def progress(transitions: Transitions, value: Value, *, gamma: float = 0.99) -> npt.NDArray[np.float64]:
    """What each step gained by an expert's measure: ``r + gamma V(s') - V(s)``, ``float64 [B]``.

    V is 0 after a termination. This is the true reward shaped by the potential V, which leaves the optimal policy what
    it was and makes a sparse reward dense (Ng, Harada & Russell 1999, "Policy invariance under reward
    transformations", theorem 1).

    Args:
        transitions: any steps.
        value: the expert's value of observations, ``[B, ...] -> [B]``.
        gamma: the discount that V was computed with.
    """
    after = np.where(transitions.terminated, 0.0, value(transitions.next_obs))
    return transitions.true_reward.astype(np.float64) + gamma * after - value(transitions.obs)


def in_ended_episode(transitions: Transitions) -> npt.NDArray[np.bool_]:
    """Which steps belong to an episode that terminated or was truncated, ``bool [B]``; the others were cut."""
    ended = np.unique(transitions.episode[transitions.terminated | transitions.truncated])
    return np.isin(transitions.episode, ended)


def _levels(values: npt.NDArray[np.float64], levels: int, edges: str) -> npt.NDArray[np.float32]:
    """Levels 1 to ``levels`` of values."""
    inner = np.arange(1, levels) / levels
    cuts = np.quantile(values, inner) if edges == "quantile" else values.min() + np.ptp(values) * inner
    level: npt.NDArray[np.int64] = np.searchsorted(cuts, values, side="right") + 1
    return level.astype(np.float32)
