"""Observations and actions of the agent's network apart from those of the text.

SB3 takes no ``Tuple`` observation and no text in one. An environment's card names wrappers that make something of them
which a network can read; the text is still made from what the environment itself took and returned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import gymnasium as gym

from rmgym.cards import EnvCard, find_env_card
from rmgym.environments.introspect import wrapper_attribute
from rmgym.environments.kinds import Env, Environment, Info, StepResult, Wrapper
from rmgym.errors import CardError, RunError, nearest
from rmgym.specs import Layer
from rmgym.trees import Value

RAW, RAW_ACTION = "rmgym.raw_obs", "rmgym.raw_action"
"""Keys of ``info`` under which the raw observation and action travel; the learned reward takes them out again."""


class RawObservation(Wrapper, gym.utils.RecordConstructorArgs):
    """Hand the environment's own observations and actions on to the text, past the wrappers above.

    Put it below wrappers that change them for an agent: ``RescaleAction(RawObservation(env), -1, 1)``.

    Attributes:
        raw_observation_space: the environment's own observation space.
        raw_action_space: the environment's own action space.

    Example:
        >>> import gymnasium as gym, rmgym
        >>> env = gym.wrappers.RescaleAction(rmgym.RawObservation(gym.make("Pendulum-v1")), -1, 1)
        >>> _ = env.reset(seed=0)
        >>> env.step(env.action_space.high)[4]["rmgym.raw_action"]
        array([2.], dtype=float32)
    """

    def __init__(self, env: Env) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self.raw_observation_space, self.raw_action_space = env.observation_space, env.action_space

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Value, Info]:
        """See :meth:`gymnasium.Env.reset`."""
        obs, info = self.env.reset(seed=seed, options=options)
        return obs, {**info, RAW: obs}

    def step(self, action: Value) -> StepResult:
        """See :meth:`gymnasium.Env.step`."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated, truncated, {**info, RAW: obs, RAW_ACTION: action}


class Raw:
    """Raw observations and actions of steps: out of the infos, where :class:`RawObservation` is inside.

    Args:
        env: the environment, of any kind.
    """

    def __init__(self, env: Environment) -> None:
        self.handed_on = wrapper_attribute(env, "raw_observation_space") is not None

    def obs(self, obs: Value, info: Mapping[str, Any]) -> Value:
        """The environment's own observation, where the outermost wrapper returned ``obs``.

        Raises:
            RunError: a wrapper did not hand it on.
        """
        return _handed_on(info, RAW) if self.handed_on else obs

    def action(self, action: Value, info: Mapping[str, Any]) -> Value:
        """The action that the environment itself took, where the outermost wrapper took ``action``.

        Raises:
            RunError: a wrapper did not hand it on.
        """
        return _handed_on(info, RAW_ACTION) if self.handed_on else action


def without_raw(info: Mapping[str, Any]) -> Info:
    """What an environment says besides, in a dictionary of its own."""
    return {key: value for key, value in info.items() if key not in (RAW, RAW_ACTION)}


def _handed_on(info: Mapping[str, Any], key: str) -> Value:
    if key not in info:
        raise RunError(
            "wrappers around RawObservation hand its info on",
            got=f"an info with {sorted(info)}",
            fix="let them return the info of what they wrap, with what they add to it",
        )
    return info[key]


def for_policy(env: Env, wrappers: Sequence[str]) -> Env:
    """Wrap an environment for an agent's network; its raw observations stay in the infos.

    Args:
        env: the environment.
        wrappers: class paths, innermost first, such as ``gymnasium.wrappers.FlattenObservation``; none: ``env`` itself.

    Raises:
        CardError: a class is not an observation wrapper of Gymnasium or MiniGrid, or does not fit the environment.
    """
    if not wrappers:
        return env
    wrapped: Env = RawObservation(env)
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


def policy_layers(env_id: str, card: str | os.PathLike[str] | EnvCard | None) -> tuple[Layer, ...]:
    """The wrappers that an environment's card names for an agent's network; none where it has no card.

    Raises:
        CardError: the card cannot be read or is for other environments, or a class is none of those allowed.
    """
    env_card = card if isinstance(card, EnvCard) else find_env_card(env_id, card)
    if env_card is None or not env_card.policy_wrappers:
        return ()
    for path in env_card.policy_wrappers:
        _wrapper_class(path)
    entries = [path.rpartition(".") for path in env_card.policy_wrappers]
    raw = f"{RawObservation.__module__}:{RawObservation.__name__}"
    return (Layer(entry=raw), *(Layer(entry=f"{module}:{name}") for module, _, name in entries))


def _wrapper_class(path: str) -> Callable[[Env], Env]:
    """Import an observation wrapper; the schema has seen to it that the module is Gymnasium's or MiniGrid's."""
    module, _, name = path.rpartition(".")
    try:
        members = vars(import_module(module))
    except ModuleNotFoundError as error:
        raise CardError(
            "the package of a policy wrapper is installed", got=path, fix=f"pip install {module.partition('.')[0]}"
        ) from error
    kinds = {n: v for n, v in members.items() if isinstance(v, type) and issubclass(v, gym.ObservationWrapper)}
    if name not in kinds:
        raise CardError(
            "a policy wrapper changes observations alone (gymnasium.ObservationWrapper)",
            got=path,
            fix=nearest(name, kinds),
        )
    return kinds[name]
