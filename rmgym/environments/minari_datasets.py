"""Datasets of `Minari <https://minari.farama.org>`_: recorded in the environment that is named, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec as GymnasiumSpec
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

from rmgym.environments.introspect import spaces_of
from rmgym.environments.kinds import Env
from rmgym.errors import RunError, nearest
from rmgym.imports import needed
from rmgym.trees import Space

if TYPE_CHECKING:
    from rmgym.environments.trajectories import Episode

_CHANGES = (gym.ObservationWrapper, gym.ActionWrapper, gym.RewardWrapper, NormalizeObservation, NormalizeReward)
"""Wrappers of Gymnasium below which a step is another one."""
_NOT_OF_THE_STEPS = ("render_mode",)
"""Arguments of an environment that change nothing of what happens there."""


@runtime_checkable
class MinariDataset(Protocol):
    """A :class:`minari.MinariDataset`, as far as it is needed."""

    @property
    def observation_space(self) -> Space:
        """Of one observation."""
        ...

    @property
    def action_space(self) -> Space:
        """Of one action."""
        ...

    @property
    def env_spec(self) -> GymnasiumSpec | None:
        """The environment that it was recorded in, None where nobody says."""
        ...

    def iterate_episodes(self) -> Iterator[Episode]:
        """One episode after the other."""
        ...


def minari_dataset(name: str) -> MinariDataset:
    """A dataset of this machine by its id; nothing is downloaded.

    Raises:
        RunError: there is none, it cannot be read, or Minari is not installed.
    """
    needed("minari", "data", RunError)
    import minari

    try:
        dataset = cast("MinariDataset", minari.load_dataset(name))
    except ImportError as error:
        got, fix = f"{name}: {error}", "pip install 'rmgym[data]'"
        raise RunError("what reads a dataset is installed", got=got, fix=fix) from error
    except Exception as error:  # whatever Minari meets
        here = [*minari.list_local_datasets()]
        fix = "download it again" if name in here else f"{nearest(name, here)}, or: minari download {name}"
        raise RunError("a dataset of Minari is on this machine", got=f"{name}: {error}", fix=fix) from error
    return dataset


def refuse_other_dataset(dataset: MinariDataset, env: Env) -> None:
    """Refuse a dataset of another environment.

    Args:
        dataset: the dataset.
        env: the environment that its steps are taken for, as ``gymnasium.make`` gives it.

    Raises:
        RunError: its id, arguments or spaces are others, or a wrapper stood between it and what was recorded.
    """
    spec, rule = dataset.env_spec, "a dataset was recorded in the environment that is named"
    if spec is not None and env.spec is not None:
        if spec.id != env.spec.id:
            raise RunError(rule, got=f"steps of {spec.id} for {env.spec.id}", fix=f"name {spec.id}")
        here, there = ({k: v for k, v in s.kwargs.items() if k not in _NOT_OF_THE_STEPS} for s in (env.spec, spec))
        if here != there:
            raise RunError(rule, got=f"arguments {there}, not {here}", fix=f"pass env_kwargs={there}")
        for wrapper in spec.additional_wrappers:
            kind = getattr(gym.wrappers, wrapper.name, object)
            if issubclass(kind, _CHANGES):
                fix = "record it without; an agent may have its wrappers above the DataCollector"
                raise RunError("steps are the environment's own", got=f"recorded above {wrapper.name}", fix=fix)
    for name, ours, theirs in zip(
        ("observation", "action"), spaces_of(env), (dataset.observation_space, dataset.action_space), strict=True
    ):
        if ours != theirs:
            got = f"{name}s of {theirs}, not {ours}"
            raise RunError(rule, got=got, fix="name the environment, with its env_kwargs, that was recorded")
