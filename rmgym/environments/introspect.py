"""What the text needs to know of an environment of any kind: its id, the spaces of one step, its facts.

Kinds: Gymnasium environments (wrapped or not), Gymnasium vector environments, Stable-Baselines3 ``VecEnv``.
"""

from __future__ import annotations

import gymnasium as gym

from rmgym.environments.kinds import Environment
from rmgym.errors import CardError, RunError
from rmgym.trees import Space, Value


def id_of(env: Environment) -> str | None:
    """The id an environment is registered under, None where it is not.

    Raises:
        RunError: ``env`` is no environment.
    """
    if not hasattr(env, "observation_space") or not hasattr(env, "action_space"):
        raise RunError("text is made of an environment's steps", got=env, fix="pass an environment or its id")
    # A Gymnasium vector environment made without make_vec has no spec of its own, but its members have.
    spec = getattr(env, "spec", None) or _read(env, "spec", None)
    return spec.id if spec else None


def spaces_of(env: Environment) -> tuple[Space, Space]:
    """Observation and action space of one step, before wrappers for an agent's network (policy wrappers)."""
    if isinstance(env, gym.vector.VectorEnv):
        return env.single_observation_space, env.single_action_space
    raw = wrapper_attribute(env, "raw_observation_space")  # of rmgym.environments.raw_observation
    return env.observation_space if raw is None else raw, env.action_space


def wrapper_attribute(env: Environment, name: str) -> Value:
    """What the outermost layer that has this attribute says, None where there is none."""
    if isinstance(env, gym.Env):
        return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else None
    if isinstance(env, gym.vector.VectorEnv):
        call = getattr(env.unwrapped, "call", None)
        # Asked first: an attribute that is not there makes AsyncVectorEnv shut its workers down.
        return call("get_wrapper_attr", name)[0] if call is not None and call("has_wrapper_attr", name)[0] else None
    return env.get_attr(name, 0)[0] if env.has_attr(name) else None


def fact_of(env: Environment, name: str) -> Value:
    """A plain attribute of the innermost environment, such as FrozenLake's map ``desc``.

    Raises:
        CardError: the name is not a public attribute, or the environment does not have it.
    """
    if name.startswith("_") or not name.isidentifier():
        raise CardError("a fact is the name of a public attribute", got=name, fix="name one attribute, without dots")
    value = _read(env, name, _MISSING)
    if value is _MISSING or callable(value):
        raise CardError("the environment has the card's fact", got=name, fix="use another card")
    return value


_MISSING = object()


def _read(env: Environment, name: str, default: object) -> Value:
    inner = env.unwrapped if isinstance(env, gym.Env | gym.vector.VectorEnv) else env
    call, get_attr = getattr(inner, "call", None), getattr(inner, "get_attr", None)
    try:
        if isinstance(inner, gym.vector.VectorEnv) and call is not None:
            return call("get_wrapper_attr", name)[0]  # its get_attr would call a method of that name
        if isinstance(inner, gym.Env) or get_attr is None:
            return getattr(inner, name)
        return get_attr(name, 0)[0]
    except AttributeError:
        return default
