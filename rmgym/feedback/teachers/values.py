"""What a step is worth, from true rewards: what follows from it, or what an expert says it gained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.transitions import Transitions
from rmgym.trees import Tree

StateValue = Callable[[Tree], npt.NDArray[np.float64]]
"""An expert's value of a batch of observations, ``[B, ...] -> [B]``."""


def outcome(transitions: Transitions, *, gamma: float = 0.95) -> npt.NDArray[np.float64]:
    """What follows from each step: ``(1 - gamma) * sum_k gamma^k r[t + k]``, ``float64 [B]``, in units of the reward.

    After a termination nothing follows. An episode that was truncated, or cut while collecting, is taken to go on for
    ever with its last reward. So one formula fits all:

    * CartPole (+1 until the pole falls): ``1 - gamma^n`` with ``n`` steps left, 1 if it did not fall.
    * MountainCar, Acrobot (-1 until success): ``-(1 - gamma^n)``, and -1 if there was no success.
    * FrozenLake (1 at the goal): ``(1 - gamma) * gamma^(n - 1)``, and 0 if the goal was not reached.

    The values are those of the policy that collected the steps. Cut episodes say less than ended ones: see
    :func:`in_whole_episode`.

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


def progress(transitions: Transitions, value: StateValue, *, gamma: float = 0.99) -> npt.NDArray[np.float64]:
    """What each step gained by an expert's measure: ``r + gamma V(s') - V(s)``, ``float64 [B]``.

    V is 0 after a termination. This is the true reward shaped by the potential V, which leaves the optimal policy what
    it was and makes a sparse reward dense (Ng, Harada & Russell 1999, "Policy invariance under reward
    transformations", theorem 1).

    Args:
        transitions: any steps.
        value: the expert's value of observations, ``[B, ...] -> [B]``.
        gamma: the discount that V was computed with.
    """
    return prospect(transitions, value, gamma=gamma) - value(transitions.obs)


def prospect(transitions: Transitions, value: StateValue, *, gamma: float = 0.99) -> npt.NDArray[np.float64]:
    """What an expert would have of each step and of what follows: ``r + gamma V(s')``, ``float64 [B]``.

    V is 0 after a termination. It is :func:`outcome` for an expert who goes on from there, in units of the return.

    Args:
        transitions: any steps.
        value: the expert's value of observations, ``[B, ...] -> [B]``.
        gamma: the discount that V was computed with.
    """
    after = np.where(transitions.terminated, 0.0, value(transitions.next_obs))
    return transitions.true_reward.astype(np.float64) + gamma * after


def in_whole_episode(transitions: Transitions) -> npt.NDArray[np.bool_]:
    """Which steps belong to an episode that is here from its first step to its end, ``bool [B]``; others were cut."""
    began = transitions.episode[transitions.step == 0]
    ended = transitions.episode[transitions.terminated | transitions.truncated]
    return np.isin(transitions.episode, np.intersect1d(began, ended))
