"""Episodes of one length: where the task is over, nothing happens any more until the horizon.

Where episodes can end early, their length speaks of the reward by itself: any reward that is positive on average pays
for surviving, any negative one for dying, whatever the reward model says of a step (Kostrikov et al. 2019,
"Discriminator-Actor-Critic", https://arxiv.org/abs/1809.02925, section 3). With a fixed horizon it does not.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import gymnasium as gym

from rmgym.environments.kinds import Env, Info, StepResult, Wrapper
from rmgym.errors import RunError
from rmgym.transitions import ENTERS_ABSORBING, IN_ABSORBING, NOT_ABSORBING
from rmgym.trees import Value

_REWARD = "rmgym.wrappers.env:LearnedRewardWrapper"
ABSORBING = "rmgym.absorbing"
"""Key of ``info`` that says so: 0, 1 for the step that enters the absorbing state, 2 for the steps in it."""


class FixedHorizonWrapper(Wrapper, gym.utils.RecordConstructorArgs):
    """Let every episode last ``horizon`` steps.

    After the environment has terminated, the last observation is repeated, actions have no effect and the true reward
    is 0, until the episode is truncated at the horizon; ``terminated`` is never True. The text of such steps says so.
    It belongs inside the learned reward: ``LearnedRewardWrapper(FixedHorizonWrapper(env, 500), model)``.

    A reward model must have seen the absorbing state (there is a warning where it has not): collect with
    ``rmgym.collect(..., fixed_horizon=500)``.

    Args:
        env: the environment.
        horizon: steps per episode; not more than the environment's own time limit.

    Raises:
        RunError: the horizon is impossible, or ``env`` has a learned reward already.

    Example:
        >>> import gymnasium as gym
        >>> from rmgym import FixedHorizonWrapper
        >>> env = FixedHorizonWrapper(gym.make("CartPole-v1"), 100)
        >>> obs, info = env.reset(seed=0)
        >>> steps = [env.step(0) for _ in range(100)]
        >>> steps[-1][2:4], sum(step[1] for step in steps)
        ((False, True), 11.0)
    """

    def __init__(self, env: Env, horizon: int) -> None:
        layers = list(_layers(env))
        if any(f"{type(layer).__module__}:{type(layer).__name__}" == _REWARD for layer in layers):
            raise RunError(
                "a reward model scores the absorbing state too",
                got="a fixed horizon around LearnedRewardWrapper",
                fix="put it inside: LearnedRewardWrapper(FixedHorizonWrapper(env, horizon), model)",
            )
        limits = [layer._max_episode_steps for layer in layers if isinstance(layer, gym.wrappers.TimeLimit)]
        limits += (
            [env.spec.max_episode_steps] if env.spec is not None and env.spec.max_episode_steps is not None else []
        )
        limit = min(limits, default=None)
        if horizon < 1 or (limit is not None and horizon > limit):
            raise RunError(
                "a fixed horizon is at least 1 and at most the environment's own time limit",
                got=f"{horizon}, with a time limit of {limit}",
                fix="choose a shorter horizon, or make the environment with a larger max_episode_steps",
            )
        if env.has_wrapper_attr("raw_observation_space"):
            raise RunError(
                "absorbing steps are the environment's own, below what hands its observations and actions on",
                got="FixedHorizonWrapper around RawObservation",
                fix="wrap the other way round: RawObservation(FixedHorizonWrapper(env, horizon))",
            )
        gym.utils.RecordConstructorArgs.__init__(self, horizon=horizon)
        gym.Wrapper.__init__(self, env)
        self.horizon = horizon
        self._steps = 0
        self._last: Value = None  # the observation that is repeated; None where the task goes on
        self._over = False

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Value, Info]:
        """See :meth:`gymnasium.Env.reset`."""
        self._steps, self._last, self._over = 0, None, False
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Value) -> StepResult:
        """See :meth:`gymnasium.Env.step`.

        Raises:
            RunError: the environment has a shorter time limit of its own.
        """
        self._steps += 1
        at_horizon = self._steps >= self.horizon
        if self._over:
            return copy.deepcopy(self._last), 0.0, False, at_horizon, {ABSORBING: IN_ABSORBING}
        obs, reward, terminated, truncated, info = self.env.step(action)
        if truncated and not terminated and not at_horizon:
            raise RunError(
                "a fixed horizon is at most the environment's own time limit",
                got=f"an episode of {self.env} truncated after {self._steps} of {self.horizon} steps",
                fix=f"choose a horizon of at most {self._steps}, or make the environment without that limit",
            )
        if terminated:
            self._over, self._last = True, copy.deepcopy(obs)
        info = {**info, ABSORBING: ENTERS_ABSORBING if terminated else NOT_ABSORBING}
        return obs, float(reward), False, at_horizon, info


def _layers(env: Env) -> Iterator[Env]:
    """An environment and what it wraps, from outside."""
    yield env
    if isinstance(env, gym.Wrapper):
        yield from _layers(env.env)
