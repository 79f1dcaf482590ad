"""What stands between an environment and its text: wrappers, and those of them under which words would be untrue.

A :class:`Trait` is a class that no wrapper inherits from: ``isinstance(layer, Trait)`` looks at the layer. So one
question does for the environments of this process and, through ``VecEnv.env_is_wrapped``, for those of the workers of
Stable-Baselines3's ``SubprocVecEnv``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, VectorActionWrapper, VectorEnv, VectorObservationWrapper, VectorWrapper
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from rmgym.environments.introspect import wrapper_attribute
from rmgym.trees import Space

_NORMALISERS = {"NormalizeObservation", "NormalizeReward", "VecNormalize"}
_LEARNED = {"LearnedRewardWrapper", "LearnedRewardVectorWrapper", "LearnedRewardVecEnv"}
_OTHER_ACTIONS = {"StickyActionEnv"}
"""Wrappers of Stable-Baselines3 that say nothing of what they change; Gymnasium's are of a class that does."""
_OF_MAKE = (PassiveEnvChecker, OrderEnforcing, TimeLimit)
"""What ``gymnasium.make`` puts around every environment."""


class _Looks(type):
    of: Callable[[object], bool]

    def __instancecheck__(cls, layer: object) -> bool:
        return cls.of(layer)


class Trait(metaclass=_Looks):
    """Something that is true of a wrapper where it stands."""

    @staticmethod
    def of(layer: object) -> bool:
        """Whether it is true of a layer."""
        raise NotImplementedError


class Normalises(Trait):
    """Keeps running statistics: the same state is another number later, and the true reward another value."""

    @staticmethod
    def of(layer: object) -> bool:
        """See :class:`Trait`."""
        return any(kind.__name__ in _NORMALISERS for kind in type(layer).__mro__)


class RewardsAlready(Trait):
    """Is a learned reward of ours: another one above would call it the true reward."""

    @staticmethod
    def of(layer: object) -> bool:
        """See :class:`Trait`."""
        return any(kind.__name__ in _LEARNED and kind.__module__.startswith("rmgym.") for kind in type(layer).__mro__)


class ChangesMeaning(Trait):
    """Takes or returns other numbers than the environment that a card was written for.

    Not so where :class:`rmgym.RawObservation` below hands the environment's own past it, nor where it comes with the
    environment's id. A wrapper of someone's own with the spaces of what it wraps is trusted.
    """

    @staticmethod
    def of(layer: object) -> bool:
        """See :class:`Trait`."""
        inner = inside(layer)
        if inner is None or wrapper_attribute(inner, "raw_observation_space") is not None:
            return False
        kinds = (gym.ObservationWrapper, gym.ActionWrapper, VectorObservationWrapper, VectorActionWrapper)
        changes = (
            isinstance(layer, kinds)
            or any(kind.__name__ in _OTHER_ACTIONS for kind in type(layer).__mro__)
            or _spaces(layer) != _spaces(inner)
        )
        return changes and not _comes_with_the_id(layer)


class ChangesPictures(Trait):
    """Returns other observations than those that the captioner below it was written for."""

    @staticmethod
    def of(layer: object) -> bool:
        """See :class:`Trait`."""
        inner = inside(layer)
        if inner is None or wrapper_attribute(inner, "captioner") is None:
            return False
        if wrapper_attribute(inner, "raw_observation_space") is not None:
            return False
        kinds = (gym.ObservationWrapper, VectorObservationWrapper)
        return isinstance(layer, kinds) or _spaces(layer)[0] != _spaces(inner)[0]


class MovedLimit(Trait):
    """Is a time limit that was wrapped around an environment by hand.

    ``env.spec`` has one number for all of them, and not where each stood: whatever is made of it would be another
    environment.
    """

    @staticmethod
    def of(layer: object) -> bool:
        """See :class:`Trait`."""
        if not isinstance(layer, TimeLimit) or layer.spec is None:
            return False
        below = [part for part in _inward(layer.env) if not isinstance(part, PassiveEnvChecker | OrderEnforcing)]
        return any(isinstance(part, TimeLimit) or not _comes_with_the_id(part) for part in below)


def first_of(env: Any, trait: type[Trait]) -> str | None:
    """The name of the outermost wrapper of an environment of any kind that has a trait, members of vectors included.

    ``AsyncVectorEnv`` does not let anyone look into its workers: for each kind of them one is made here.
    """
    layer: Any = env
    while (inner := inside(layer)) is not None:
        if isinstance(layer, trait):
            return type(layer).__name__
        layer = inner
    if isinstance(layer, gym.Env):
        return None
    if "envs" in vars(layer):  # of a DummyVecEnv or SyncVectorEnv
        return next(filter(None, (first_of(member, trait) for member in layer.envs)), None)
    if isinstance(layer, AsyncVectorEnv):
        return _first_of_workers(layer, trait)
    try:
        wrapped: list[bool] = layer.env_is_wrapped(trait) if hasattr(layer, "env_is_wrapped") else []
    except NotImplementedError:  # a simulator of its own, without wrappers to speak of
        return None
    return str(layer.env_method("__str__", indices=[wrapped.index(True)])[0]) if True in wrapped else None


def _first_of_workers(env: AsyncVectorEnv, trait: type[Trait]) -> str | None:
    kinds = dict(zip(env.call("__str__"), env.env_fns, strict=True))
    for make in kinds.values():
        with closing(make()) as member:
            if name := first_of(member, trait):
                return name
    return None


def inside(layer: Any) -> Any:
    """What a wrapper wraps, of any kind; None where it is none."""
    if isinstance(layer, gym.Wrapper | VectorWrapper):
        return layer.env
    return None if isinstance(layer, gym.Env | VectorEnv) else vars(layer).get("venv")


def _spaces(env: Any) -> tuple[Space, Space]:
    if isinstance(env, VectorEnv):
        return env.single_observation_space, env.single_action_space
    return env.observation_space, env.action_space


def _inward(layer: object) -> Iterator[gym.Wrapper[Any, Any, Any, Any]]:
    """A wrapper and those that it wraps, without the environment itself."""
    while isinstance(layer, gym.Wrapper):
        yield layer
        layer = layer.env


def _comes_with_the_id(layer: object) -> bool:
    """Whether ``gymnasium.make`` puts a wrapper there by itself: it is part of what a card was written for."""
    live = layer.unwrapped.spec if isinstance(layer, gym.Wrapper) else None
    if live is None:
        return False
    registered = gym.registry.get(live.id)
    brought = () if registered is None else registered.additional_wrappers
    kwargs = {key: value for key, value in live.kwargs.items() if key != "render_mode"}
    with closing(gym.make(replace(live, kwargs=kwargs, additional_wrappers=brought))) as plain:
        here, there = ([type(p) for p in _inward(top) if not isinstance(p, _OF_MAKE)] for top in (layer, plain))
        return len(here) <= len(there) and here == there[len(there) - len(here) :]
