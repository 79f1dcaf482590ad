"""From an :class:`EnvSpec` to the environment, and from an environment to what makes it again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import closing
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec as GymnasiumSpec
from gymnasium.envs.registration import WrapperSpec
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

from rmgym.environments.kinds import Env, Wrapper
from rmgym.environments.make import make_env, register
from rmgym.errors import RunError
from rmgym.specs import EnvSpec, Layer

_RAW = "rmgym.environments.raw_observation:RawObservation"
_REWARD = "rmgym.wrappers.env:LearnedRewardWrapper"
_WATCHES = ("stable_baselines3.common.monitor:Monitor",)
"""Wrappers that an agent sees nothing of; whoever needs one puts it there."""
_KEEPS_STATISTICS = (NormalizeObservation, NormalizeReward)
_AGAIN = (
    "let it inherit gymnasium.utils.RecordConstructorArgs and be importable, or register an id whose entry point "
    "returns the wrapped environment"
)


def build_env(spec: EnvSpec) -> Env:
    """Make the environment that a spec describes; its ``layers`` are Stable-Baselines3's affair.

    Raises:
        RunError: it cannot be made here, or a wrapper does not fit it.
    """
    env = make_env(spec.id, spec.kwargs, spec.horizon)
    for layer in spec.wrappers:
        wrapper = wrapper_class(layer)
        try:
            env = wrapper(env, **layer.kwargs)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
            got = f"{layer.name} with {dict(layer.kwargs)} on {env.observation_space}: {error}"
            raise RunError("a wrapper fits its environment", got=got, fix="correct its arguments") from error
    return env


def describe_env(live: GymnasiumSpec | None, *, card: str | None = None, language: str = "en") -> EnvSpec:
    """What makes an environment again, wrappers included.

    A learned reward inside is left out; where it stood is remembered, since the text is made of what is below it.

    Args:
        live: ``env.spec`` of the outermost wrapper.
        card: path of the environment card in use.
        language: language of the texts.

    Raises:
        RunError: the environment was never registered, another one has its id, or an argument or a wrapper could not be
            made again.
    """
    if live is None or not register(live.id):
        raise RunError(
            "an agent's environment can be made again by its id, for evaluation, saving and loading",
            got="an environment that was never registered, or was not made by gymnasium.make",
            fix="gymnasium.register(id='Mine-v0', entry_point=MyEnv), then gymnasium.make('Mine-v0')",
        )
    if gym.registry[live.id].entry_point != live.entry_point:
        raise RunError(
            "an environment is made again from its registered id",
            got=f"{live.id} made from {live.entry_point}, which is registered with {gym.registry[live.id].entry_point}",
            fix="register it under an id of its own",
        )
    kwargs = describe_kwargs(live)
    outside = list(live.additional_wrappers)
    if outside:  # those that come with the id are made by it
        with closing(make_env(live.id, EnvSpec(id=live.id, kwargs=kwargs).kwargs)) as plain:
            inside = plain.spec.additional_wrappers if plain.spec is not None else ()
            outside = outside[len(inside) :]
    layers = [_layer(wrapper) for wrapper in outside if wrapper.entry_point not in _WATCHES]
    return EnvSpec(id=live.id, kwargs=kwargs, wrappers=tuple(layers), card=card, language=language)


def describe_kwargs(live: GymnasiumSpec) -> dict[str, Any]:
    """Arguments of ``gymnasium.make`` that make a live environment; those that its id has by itself are left to it."""
    register(live.id)
    registered = gym.registry.get(live.id)
    own = {} if registered is None else registered.kwargs
    kwargs = {key: value for key, value in live.kwargs.items() if key != "render_mode" and not _same(own, key, value)}
    limit = None if registered is None else registered.max_episode_steps
    if live.max_episode_steps != limit:
        kwargs["max_episode_steps"] = -1 if live.max_episode_steps is None else live.max_episode_steps
    return kwargs


def wrapper_class(layer: Layer) -> type[Wrapper]:
    """Import a wrapper.

    Raises:
        RunError: there is no such class, or it is no wrapper of an environment.
    """
    module, _, name = layer.entry.partition(":")
    try:
        candidate: object = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RunError("the wrappers of an environment can be imported", got=layer.entry, fix=_AGAIN) from error
    if not isinstance(candidate, type) or not issubclass(candidate, gym.Wrapper):
        raise RunError("a wrapper is a gymnasium.Wrapper", got=layer.entry, fix="name one")
    return candidate


def _layer(wrapper: WrapperSpec) -> Layer:
    """A wrapper of a live environment, if it can be put there again."""
    if wrapper.entry_point == _REWARD:
        return Layer(entry=_RAW)
    if wrapper.kwargs is None:  # it does not say what it was made with: fine where there is nothing to say
        parameters = list(inspect.signature(wrapper_class(Layer(entry=wrapper.entry_point)).__init__).parameters)
        if len(parameters) > 2:
            raise RunError(
                "an agent's environment can be made again, for evaluation, saving and loading, wrappers included",
                got=f"{wrapper.name}, which does not say what it was made with ({', '.join(parameters[2:])})",
                fix=_AGAIN,
            )
    layer = Layer(entry=wrapper.entry_point, kwargs=wrapper.kwargs or {})
    cls = wrapper_class(layer)
    if cls in _KEEPS_STATISTICS:
        raise RunError(
            "an agent's environment can be made again, statistics included",
            got=f"{layer.name}, whose statistics are not saved",
            fix="use Stable-Baselines3's VecNormalize around the agent's environments",
        )
    makes = next(part for part in cls.__mro__ if "__init__" in vars(part))
    if wrapper.kwargs is not None and RecordConstructorArgs not in makes.__bases__:
        raise RunError(
            "a wrapper records the arguments of its own constructor",
            got=f"{layer.name}, whose base class recorded {dict(wrapper.kwargs)}",
            fix="let it inherit gymnasium.utils.RecordConstructorArgs itself, and call its __init__ first",
        )
    return layer


def _same(own: Mapping[str, object], key: str, value: object) -> bool:
    """Whether an argument is the id's own."""
    if key not in own:
        return False
    if own[key] is value:
        return True
    if type(own[key]) is not type(value):  # 1, 1.0 and True are equal
        return False
    try:
        return bool(own[key] == value)
    except ValueError:  # arrays
        return bool(np.array_equal(own[key], value))  # type: ignore[arg-type]
