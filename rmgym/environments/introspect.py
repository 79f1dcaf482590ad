"""What the text needs to know of an environment of any kind: its id, the spaces of one step, its facts.

Kinds: Gymnasium environments (wrapped or not), Gymnasium vector environments, Stable-Baselines3 ``VecEnv``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pickle import PicklingError
from typing import Any

import gymnasium as gym
import numpy as np

from rmgym.environments.kinds import Environment
from rmgym.errors import CardError, RunError
from rmgym.trees import Array, Space, Value


def id_of(env: Environment) -> str | None:
    """The id an environment is registered under, None where it is not.

    Raises:
        RunError: ``env`` is no environment.
    """
    if not hasattr(env, "observation_space") or not hasattr(env, "action_space"):
        raise RunError("text is made of an environment's steps", got=env, fix="pass an environment or its id")
    # A Gymnasium vector environment made without make_vec has no spec of its own, but its members have.
    spec = getattr(env, "spec", None) or next(iter(_read(env, "spec")), None)
    return spec.id if spec else None


def spaces_of(env: Environment) -> tuple[Space, Space]:
    """Observation and action space of one step, before wrappers for an agent's network (policy wrappers).

    Raises:
        RunError: members of a Gymnasium vector environment hand raw observations on, which it does not pass.
    """
    raw = wrapper_attribute(env, "raw_observation_space")  # of rmgym.environments.raw_observation
    if isinstance(env, gym.vector.VectorEnv):
        if raw is not None:
            raise RunError(
                "the text of a Gymnasium vector environment is made of what it takes and returns",
                got="RawObservation in its members",
                fix="leave it out, with the wrappers above it; put those around the learned reward",
            )
        return env.single_observation_space, env.single_action_space
    if raw is None:
        return env.observation_space, env.action_space
    return raw, wrapper_attribute(env, "raw_action_space")


def wrapper_attribute(env: Environment, name: str) -> Value:
    """What the outermost layer that has this attribute says, None where there is none."""
    if isinstance(env, gym.Env):
        return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else None
    if isinstance(env, gym.vector.VectorEnv):
        call = getattr(env.unwrapped, "call", None)
        # Asked first: an attribute that is not there makes AsyncVectorEnv shut its workers down.
        return call("get_wrapper_attr", name)[0] if call is not None and call("has_wrapper_attr", name)[0] else None
    return env.get_attr(name, 0)[0] if env.has_attr(name) else None


def facts_of(env: Environment, names: Mapping[str, str], members: Sequence[int] | None = None) -> dict[str, Array]:
    """Plain attributes of the innermost environment, such as FrozenLake's map ``desc``.

    Args:
        env: the environment.
        names: the attributes, by the key that a card gives them.
        members: of which environments of an SB3 ``VecEnv``; None for all, as it is for any other.

    Raises:
        CardError: a name is not a public attribute, or the environment does not have it.
        RunError: the members of a vector environment differ in one: their texts would speak of the first one's.
    """
    facts = dict[str, Array]()
    for key, name in names.items():
        if name.startswith("_") or not name.isidentifier():
            raise CardError(
                "a fact is the name of a public attribute", got=name, fix="name one attribute, without dots"
            )
        values = _read(env, name, members)
        if not values or any(callable(value) for value in values):
            raise CardError("the environment has the card's fact", got=name, fix="use another card")
        facts[key] = np.asarray(values[0])
        for value in values[1:]:
            _refuse_another(name, facts[key], np.asarray(value))
    return facts


def refuse_other_facts(
    env: Environment, names: Mapping[str, str], facts: Mapping[str, Array], members: Sequence[int] | None = None
) -> None:
    """Refuse an environment whose facts are not those that texts are made with.

    Args:
        env: the environment.
        names: the facts' attributes, by key.
        facts: their values in the texts, by key.
        members: as in :func:`facts_of`.

    Raises:
        RunError: one has changed, as where an environment draws another map at each reset.
    """
    for key, fact in (facts_of(env, names, members) if names else {}).items():
        _refuse_another(names[key], facts[key], fact)


def plain_fact(fact: Array) -> list[Any]:
    """A fact as JSON has it."""
    plain: list[Any] = (np.char.decode(fact, "ascii") if fact.dtype.kind == "S" else fact).tolist()
    return plain


def _refuse_another(name: str, first: Array, other: Array) -> None:
    if not np.array_equal(first, other):
        raise RunError(
            f"{name!r} is the same in all environments and episodes, since every text speaks of it",
            got=f"{other.tolist()} beside {first.tolist()}",
            fix=f"make all environments with the same one (env_kwargs), or use a card without the fact {name!r}",
        )


def _read(env: Environment, name: str, members: Sequence[int] | None = None) -> Sequence[Value]:
    """An attribute of every member, or of some; none where there is no such attribute.

    Raises:
        RunError: it cannot be sent here from another process.
    """
    inner: Any = env.unwrapped if isinstance(env, gym.Env | gym.vector.VectorEnv) else env
    call, get_attr = getattr(inner, "call", None), getattr(inner, "get_attr", None)
    try:
        if (
            isinstance(inner, gym.vector.VectorEnv) and call is not None
        ):  # its get_attr would call a method of that name
            return tuple(call("get_wrapper_attr", name)) if all(call("has_wrapper_attr", name)) else ()
        if isinstance(inner, gym.Env | gym.vector.VectorEnv) or get_attr is None:
            return (getattr(inner, name),) if hasattr(inner, name) else ()
        return tuple(get_attr(name, members)) if inner.has_attr(name) else ()
    except (AttributeError, EOFError, OSError, PicklingError, TypeError) as error:  # the worker has died of it
        raise RunError(
            "what a text needs of an environment in another process can be sent from there",
            got=f"{name!r}: {error or type(error).__name__}",
            fix="leave functions and the like out of the arguments of gymnasium.make (an id's entry point can make "
            "them), or use environments in this process (DummyVecEnv, SyncVectorEnv)",
        ) from error
