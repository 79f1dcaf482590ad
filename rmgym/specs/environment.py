"""What an environment is: enough to make it again, wrappers included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rmgym.errors import RunError
from rmgym.specs.base import Spec, exact

_OBJECTS = "pass numbers, strings, lists and dictionaries, or register an id whose entry point makes the rest"


@dataclass(frozen=True, kw_only=True)
class Layer(Spec):
    """One wrapper around an environment.

    Attributes:
        entry: its class, as ``module:Class``.
        kwargs: what it is made with, beside the environment.

    Raises:
        RunError: an argument is an object that a saved agent could not make again.
    """

    entry: str
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        object.__setattr__(self, "kwargs", exact(self.kwargs, f"the arguments of {self.entry}", _OBJECTS))

    @property
    def name(self) -> str:
        """Name of the class."""
        return self.entry.rpartition(":")[2]


@dataclass(frozen=True, kw_only=True)
class EnvSpec(Spec):
    """An environment, as an agent has it.

    Attributes:
        id: its registered id.
        kwargs: arguments of ``gymnasium.make``, ``max_episode_steps`` included.
        wrappers: Gymnasium wrappers around it, innermost first. A ``RawObservation`` among them marks what the text is
            made of; those above it are for the agent's network alone.
        layers: wrappers of Stable-Baselines3 around the vector environment, above the learned reward, innermost first.
        horizon: steps of every *training* episode (:class:`rmgym.FixedHorizonWrapper`); evaluation is in the
            environment as it is. One that is wrapped around a live environment is among ``wrappers``, and stays.
        card: path of an environment card; None for the installed one that fits.
        language: language of the texts.

    Raises:
        RunError: an argument is an object that could not be made again, or the horizon is impossible.
    """

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    wrappers: tuple[Layer, ...] = ()
    layers: tuple[Layer, ...] = ()
    horizon: int | None = None
    card: str | None = None
    language: str = "en"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kwargs", exact(self.kwargs, "env_kwargs", _OBJECTS))
        if self.horizon is not None and self.horizon < 1:
            raise RunError("a fixed horizon is at least 1", got=self.horizon, fix="pass fixed_horizon=1 or more")

    @property
    def evaluated(self) -> EnvSpec:
        """The environment that episodes are judged in: without the horizon of training."""
        return replace(self, horizon=None)

    @property
    def below_reward(self) -> EnvSpec:
        """The environment that texts are made of: without the wrappers for the agent's network alone."""
        names = [wrapper.name for wrapper in self.wrappers]
        end = names.index("RawObservation") if "RawObservation" in names else len(names)
        return replace(self, wrappers=self.wrappers[:end], layers=())

    @property
    def task(self) -> str:
        """Environment and its arguments, as ``FrozenLake-v1 (map_name=8x8)``."""
        arguments = ", ".join(f"{key}={value}" for key, value in self.kwargs.items())
        return f"{self.id} ({arguments})" if arguments else self.id
