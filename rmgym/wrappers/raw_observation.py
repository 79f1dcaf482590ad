"""Observations for the agent's network apart from those for the text.

SB3 takes no ``Tuple`` observation and no text in one. An environment's card names wrappers that make something of them
which a network can read; the text is still made from what the environment itself returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import gymnasium as gym

from rmgym.errors import CardError, nearest

RAW = "raw_obs"
"""Key of ``info`` under which the raw observation travels through a ``VecEnv``; :class:`LearnedRewardVecEnv` takes it
out again."""


class RawObservation(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Hand the environment's own observation on in ``info["raw_obs"]``, past the wrappers above.

    Attributes:
        raw_observation_space: the environment's own observation space.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self.raw_observation_space = env.observation_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See :meth:`gymnasium.Env.reset`."""
        obs, info = self.env.reset(seed=seed, options=options)
        return obs, {**info, RAW: obs}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """See :meth:`gymnasium.Env.step`."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated, truncated, {**info, RAW: obs}


def for_policy(env: gym.Env[Any, Any], wrappers: Sequence[str]) -> gym.Env[Any, Any]:
    """Wrap an environment for an agent's network; its raw observations stay in the infos.

    Args:
        env: the environment.
        wrappers: class paths, innermost first, such as ``gymnasium.wrappers.FlattenObservation``; none: ``env`` itself.

    Raises:
        CardError: a class is not an observation wrapper of Gymnasium or MiniGrid, or does not fit the environment.
    """
    if not wrappers:
        return env
    wrapped: gym.Env[Any, Any] = RawObservation(env)
    for path in wrappers:
        cls = _wrapper_class(path)
        try:
            wrapped = cls(wrapped)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise CardError(
                "a policy wrapper fits its environment",
                got=f"{path} on {wrapped.observation_space}: {error}",
                fix="correct 'policy_wrappers' of the card",
            ) from error
    return wrapped


def _wrapper_class(path: str) -> Any:
    """Import an observation wrapper; the schema has seen to it that the module is Gymnasium's or MiniGrid's."""
    module, _, name = path.rpartition(".")
    try:
        found = vars(import_module(module))
    except ModuleNotFoundError as error:
        raise CardError(
            "the package of a policy wrapper is installed", got=path, fix=f"pip install {module.partition('.')[0]}"
        ) from error
    kinds = {n: v for n, v in found.items() if isinstance(v, type) and issubclass(v, gym.ObservationWrapper)}
    if name not in kinds:
        raise CardError(
            "a policy wrapper changes observations alone (gymnasium.ObservationWrapper)",
            got=path,
            fix=nearest(name, kinds),
        )
    return kinds[name]
