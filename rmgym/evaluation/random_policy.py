"""What a policy earns that acts at random: the zero of every scale, for environments with and without a card."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.evaluation.evaluate import EVALUATION_SEED, evaluate
from rmgym.evaluation.measure import Measure
from rmgym.evaluation.policy import State
from rmgym.specs import EnvSpec
from rmgym.specs.base import Spec
from rmgym.trees import Space, Tree, batch_size


@dataclass(frozen=True, kw_only=True)
class RandomReturns(Spec):
    """True returns of a random policy.

    Attributes:
        returns: of each episode, undiscounted.
        seed: of the first episode's reset; the next ones count up, as those of an evaluation do.
        action_seed: of the actions.
        measured: the same episodes by the user's own measure, where there is one.
        success: whether each of them succeeded, where the environment tells.
    """

    returns: tuple[float, ...]
    seed: int
    action_seed: int
    measured: tuple[float, ...] = ()
    success: tuple[float, ...] = ()


class RandomPolicy:
    """Draws actions evenly from a space, of the possible ones where an environment masks the others.

    Args:
        space: of the actions.
        seed: of the draws.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space = copy.deepcopy(space)
        self._space.seed(seed)

    def predict(
        self, observation: Tree, *, deterministic: bool, action_masks: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.generic], State]:
        """See :class:`rmgym.evaluation.policy.Policy`."""
        del deterministic
        if action_masks is None:
            return np.stack([self._space.sample() for _ in range(batch_size(observation))]), None
        return np.stack([self._space.sample(mask=self._mask(row)) for row in action_masks]), None

    def _mask(self, row: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8] | tuple[npt.NDArray[np.int8], ...]:
        """What SB3 writes in one row, as Gymnasium takes it."""
        possible = row.astype(np.int8)
        if isinstance(self._space, gym.spaces.MultiDiscrete):
            return tuple(np.split(possible, np.cumsum(self._space.nvec)[:-1]))
        return possible


def play_at_random(
    env: EnvSpec, action_space: Space, *, episodes: int, action_seed: int, measure: Measure | None = None
) -> RandomReturns:
    """Play the held-out episodes of an evaluation at random; no global random state is changed.

    Args:
        env: the agent's own environment, wrappers included.
        action_space: of the agent, unbounded ones included: those are drawn as Gymnasium samples them.
        episodes: how many.
        action_seed: of the actions.
        measure: the user's own.

    Raises:
        RunError: the environment cannot be made, or no episode is asked for.
        FeedbackError: a step cannot be measured.
    """
    played = evaluate(RandomPolicy(action_space, action_seed), env, "true", episodes=episodes)
    return RandomReturns(
        returns=tuple(float(each) for each in played.true_return),
        seed=EVALUATION_SEED,
        action_seed=action_seed,
        measured=() if measure is None else tuple(measure.returns(played.steps).tolist()),
        success=() if played.success is None else tuple(played.success.tolist()),
    )
