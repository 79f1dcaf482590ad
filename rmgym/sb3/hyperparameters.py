"""From an agent card to the constructor call of a Stable-Baselines3 algorithm."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import LinearSchedule
from torch import nn

from rmgym.cards import AgentCard
from rmgym.errors import CardError, RmgymError, RunError, nearest

PACKAGES = ("stable_baselines3", "sb3_contrib")
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}
"""Names for ``policy_kwargs.activation_fn`` in cards."""

_SET_ELSEWHERE = {
    "policy": "set 'policy' of the agent card",
    "env": "pass env_id",
    "seed": "pass seed= to make_agent",
    "device": "pass device= to make_agent",
    "verbose": "pass verbose= to make_agent",
    "tensorboard_log": "pass tensorboard_log= to make_agent",
    "rollout_buffer_class": "choose with when=",
    "rollout_buffer_kwargs": "choose with when=",
    "replay_buffer_class": "choose with when=",
    "replay_buffer_kwargs": "choose with when=",
    "_init_setup_model": "leave it alone",
}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a card says about one algorithm in one environment.

    Attributes:
        n_envs: number of parallel environments.
        total_steps: default training length in environment steps.
        normalize: whether observations are normalised.
        hyperparameters: as the card and the caller wrote them.
    """

    n_envs: int
    total_steps: int
    normalize: bool
    hyperparameters: dict[str, Any]


def algorithm_class(path: str, where: str) -> type[BaseAlgorithm]:
    """Import an algorithm; only ``stable_baselines3`` and ``sb3_contrib`` are ever imported.

    Args:
        path: such as ``stable_baselines3.PPO``.
        where: the card or file that says so, for errors.

    Raises:
        CardError: the package is not installed or has no such algorithm.
    """
    package, _, name = path.partition(".")
    if package not in PACKAGES:
        raise CardError(
            f"{where}: an algorithm is from {' or '.join(PACKAGES)}", got=path, fix=nearest(package, PACKAGES)
        )
    try:
        module = import_module(package)
    except ModuleNotFoundError as error:
        raise CardError(
            f"{where}: the algorithm's package is installed", got=path, fix="pip install 'rmgym[contrib]'"
        ) from error
    algorithms = {n: v for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, BaseAlgorithm)}
    if name not in algorithms:
        raise CardError(f"{where}: unknown algorithm", got=path, fix=nearest(name, algorithms))
    return algorithms[name]


def set_up(card: AgentCard, env_id: str, given: Mapping[str, Any]) -> Setup:
    """Combine a card's defaults, its override for an environment, and what the caller gave; the last one wins.

    Raises:
        CardError: the card has a hyperparameter that the algorithm does not take.
        RunError: the caller gave one.
    """
    where, override = card.file or card.name, card.override_for(env_id)
    cls = algorithm_class(card.algorithm, where)
    _check(card.hyperparameters, cls, card.policy, where, CardError)
    _check(given, cls, card.policy, "make_agent", RunError)
    if override is None:
        return Setup(
            n_envs=card.n_envs,
            total_steps=card.total_steps,
            normalize=card.normalize,
            hyperparameters={**card.hyperparameters, **given},
        )
    _check(override.hyperparameters, cls, card.policy, f"{where} (environment {override.id!r})", CardError)
    return Setup(
        n_envs=override.n_envs or card.n_envs,
        total_steps=override.total_steps or card.total_steps,
        normalize=card.normalize if override.normalize is None else override.normalize,
        hyperparameters={**card.hyperparameters, **override.hyperparameters, **given},
    )


def constructor_arguments(hyperparameters: Mapping[str, Any], action_space: gym.Space[Any]) -> dict[str, Any]:
    """Turn a card's plain values into what SB3 takes.

    These are ``"linear:X"``, activation names, ``[4, "episode"]``, and for ``action_noise`` the standard deviation of
    normal noise, the same for every action in [-1, 1].

    Raises:
        CardError: a value cannot be understood.
        RunError: memory cannot be saved that way.
    """
    if hyperparameters.get("optimize_memory_usage"):
        raise RunError(
            "episodes that a time limit cut are not taken for terminated ones",
            got="optimize_memory_usage=True, which SB3 has only with handle_timeout_termination=False",
            fix="leave it out and choose a smaller buffer_size, or build the agent yourself and call score_rollouts",
        )
    arguments = {name: _value(name, value) for name, value in hyperparameters.items()}
    if "policy_kwargs" in arguments:
        arguments["policy_kwargs"] = dict(arguments["policy_kwargs"])
        activation = arguments["policy_kwargs"].get("activation_fn")
        if isinstance(activation, str):
            if activation not in ACTIVATIONS:
                raise CardError("unknown activation function", got=activation, fix=nearest(activation, ACTIVATIONS))
            arguments["policy_kwargs"]["activation_fn"] = ACTIVATIONS[activation]
    if isinstance(arguments.get("action_noise"), int | float):
        arguments["action_noise"] = _noise(arguments["action_noise"], action_space)
    return arguments


def _noise(sigma: float, action_space: gym.Space[Any]) -> NormalActionNoise:
    if not isinstance(action_space, gym.spaces.Box) or not 0 <= sigma < math.inf:
        raise CardError(
            "'action_noise' is a standard deviation, for continuous actions",
            got=f"{sigma} for {action_space}",
            fix="write for example 0.1, or leave it out",
        )
    zeros = np.zeros(action_space.shape, np.float32)
    return NormalActionNoise(zeros, zeros + np.float32(sigma))


def _value(name: str, value: Any) -> Any:
    if name == "train_freq" and isinstance(value, list):
        return tuple(value)
    if not (isinstance(value, str) and value.startswith("linear:")):
        return value
    try:
        return LinearSchedule(float(value.removeprefix("linear:")), 0.0, 1.0)
    except ValueError as error:
        raise CardError(
            f"{name!r} is a number or 'linear:X'", got=value, fix="write for example 'linear:1e-3'"
        ) from error


def _is_no_number(name: str, value: object) -> bool:
    """A table, a list or a word; a schedule is as good as a number, and a frequency may have a unit."""
    if isinstance(value, str):
        return not value.startswith("linear:") and value != "auto"
    return isinstance(value, Mapping) or (isinstance(value, list | tuple) and name != "train_freq")


def _check(
    arguments: Mapping[str, Any], cls: type[BaseAlgorithm], policy: str, where: str, error: type[RmgymError]
) -> None:
    """Refuse names that the algorithm, or its policy, does not take, and what is no number where it has one."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}
    valid = set(defaults) - set(_SET_ELSEWHERE)
    for name in arguments:
        if name in _SET_ELSEWHERE:
            raise error(f"{where}: {name!r} is not a hyperparameter", got=arguments[name], fix=_SET_ELSEWHERE[name])
        if name not in valid:
            raise error(f"{where}: {cls.__name__} has no hyperparameter {name!r}", got=name, fix=nearest(name, valid))
        if isinstance(defaults[name], int | float) and _is_no_number(name, arguments[name]):
            fix = f"write a number: the algorithm's own is {defaults[name]}"
            raise error(f"{where}: {name!r} of {cls.__name__} is a number", got=arguments[name], fix=fix)
    if policy not in cls.policy_aliases:
        raise CardError(
            f"{where}: {cls.__name__} has no policy {policy!r}", got=policy, fix=nearest(policy, cls.policy_aliases)
        )
    parameters = inspect.signature(cls.policy_aliases[policy]).parameters
    valid = set(parameters) - {"observation_space", "action_space", "lr_schedule"}
    for name in arguments.get("policy_kwargs", {}):
        if name not in valid:
            raise error(f"{where}: {policy} has no option 'policy_kwargs.{name}'", got=name, fix=nearest(name, valid))
