"""From an id and its arguments to an environment."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import gymnasium as gym

from rmgym.environments.fixed_horizon import FixedHorizonWrapper
from rmgym.environments.kinds import Env
from rmgym.errors import RunError

_PACKAGES = {"MiniGrid-": "minigrid", "BabyAI-": "minigrid"}


def register(env_id: str) -> bool:
    """Import the package that brings an environment, where Gymnasium waits for that; say whether it knows the id."""
    for prefix, package in _PACKAGES.items():
        if env_id.startswith(prefix) and find_spec(package) is not None:
            import_module(package)
    return env_id in gym.registry


def make_env(env_id: str, env_kwargs: Mapping[str, object] | None = None, fixed_horizon: int | None = None) -> Env:
    """Make an environment from its id and arguments, with episodes of one length where a horizon is given.

    Raises:
        RunError: the id is not registered, the arguments do not fit, or a dependency is missing.
    """
    register(env_id)
    arguments: dict[str, Any] = dict(env_kwargs or {})
    try:
        env = gym.make(env_id, **arguments)
    except gym.error.UnregisteredEnv as error:
        close = difflib.get_close_matches(env_id, gym.registry, n=3, cutoff=0.6)
        fix = f"did you mean {' or '.join(close)}?" if close else "'rmgym envs' lists ids; is its package installed?"
        raise RunError(
            "an environment has a registered id, one registered with Gymnasium", got=env_id, fix=fix
        ) from error
    except (gym.error.Error, ImportError, TypeError, ValueError) as error:
        raise RunError(
            "an environment can be made from its registered id and arguments",
            got=f"{env_id} with {arguments}" if arguments else env_id,
            fix=str(error),
        ) from error
    return env if fixed_horizon is None else FixedHorizonWrapper(env, fixed_horizon)
