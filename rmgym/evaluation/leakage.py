"""Does the length of an episode, or being near a goal, give the reward away? What is to be said of it.

Where episodes can terminate early and a learned reward is nearly always of one sign, surviving (or dying) pays whatever
the reward says of a step: a high return then proves nothing about the reward model. See Kostrikov et al. 2019
(https://arxiv.org/abs/1809.02925, section 3) and
https://imitation.readthedocs.io/en/latest/main-concepts/variable_horizon.html.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rmgym.transitions import Transitions

ONE_SIDED = 0.95
"""Share of steps with a reward of one sign from which on the sign is taken for a bonus or a penalty."""

NOTHING = 0.05
"""Shaping per episode that is not worth a word, in units of what lies between the worst and the best label."""


def survival_bonus(steps: Transitions, learned_reward: npt.NDArray[np.float64]) -> str | None:
    """What is to be said of episodes that were played to their end; None where nothing is.

    Args:
        steps: whole episodes.
        learned_reward: of each step, ``[B]``.
    """
    if not steps.terminated.any():
        return None
    lengths = np.unique(steps.episode, return_counts=True)[1]
    positive, negative = float(np.mean(learned_reward > 0)), float(np.mean(learned_reward < 0))
    if len(np.unique(lengths)) == 1 or max(positive, negative) < ONE_SIDED:
        return None
    pays = "surviving" if positive > negative else "ending the episode"
    return (
        f"{steps.terminated.sum()} of {len(lengths)} episodes terminated, after {lengths.min()} to {lengths.max()} "
        f"steps, and the learned reward is {'positive' if positive > negative else 'negative'} at "
        f"{max(positive, negative):.0%} of steps (mean {np.mean(learned_reward):.3g}): {pays} pays whatever else it "
        "says. Compare with the control 'constant', fix the horizon (fixed_horizon=, rmgym.FixedHorizonWrapper), or "
        "label outcomes (--target outcome)"
    )


def beside_the_goal(shaping: npt.NDArray[np.float64], success: npt.NDArray[np.float64]) -> str | None:
    """What is to be said of an agent that is paid for getting near more than for getting there; None where it is not.

    Args:
        shaping: what a potential paid in each episode for getting nearer, ``[E]``.
        success: what it paid for success, ``[E]``.
    """
    near, there = float(shaping.mean()), float(success.mean())
    if near <= max(there, NOTHING):
        return None
    return (
        f"getting nearer to success pays {near:.3g} per episode, and success itself {there:.3g}: where that stays, the "
        "agent stops where the reward model takes it for nearly there, and labels of those steps would tell it"
    )
