"""Observations for the agent's network apart from those for the text.

SB3 takes no ``Tuple`` observation and no text in one. An environment's card names wrappers that make something of them
which a network can read; the text is still made from what the environment itself returned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module

import gymnasium as gym

from rmgym.cards import EnvCard, find_env_card
from rmgym.environments.kinds import Env, Info, StepResult, Wrapper
from rmgym.errors import CardError, nearest
from rmgym.specs import Layer
from rmgym.trees import Value

RAW = "raw_obs"
"""Key of ``info`` under which the raw observation travels through a ``VecEnv``; :class:`LearnedRewardVecEnv` takes it
out again."""


class RawObservation(Wrapper, gym.utils.RecordConstructorArgs):
    """Hand the environment's own observation on in ``info["raw_obs"]``, past the wrappers above.

    Attributes:
        raw_observation_space: the environment's own observation space.
    """

    def __init__(self, env: Env) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self.raw_observation_space = env.observation_space

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Value, Info]:
        """See :meth:`gymnasium.Env.reset`."""
        obs, info = self.env.reset(seed=seed, options=options)
        return obs, {**info, RAW: obs}

    def step(self, action: Value) -> StepResult:
        """See :meth:`gymnasium.Env.step`."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated, truncated, {**info, RAW: obs}


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
