"""What stands between the learned reward and an agent: vector wrappers, described, rebuilt, and seen through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import (
    StackedObservations,
    VecCheckNan,
    VecEnv,
    VecEnvWrapper,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
    VecVideoRecorder,
)

from rmgym.errors import RunError, nearest
from rmgym.evaluation.policy import PlainView, View
from rmgym.specs import Layer
from rmgym.trees import Space, Tree

_WATCHES = (VecMonitor, VecCheckNan, VecVideoRecorder)
"""They change nothing that an agent sees, and are put there by whoever wants them."""
_CLASSES: dict[str, type[VecEnvWrapper]] = {
    cls.__name__: cls for cls in (VecNormalize, VecFrameStack, VecTransposeImage, VecExtractDictObs)
}
_NORMALIZE = ("training", "norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs_keys")

NORMALIZED = Layer(entry="stable_baselines3.common.vec_env:VecNormalize", kwargs={"norm_reward": False})
"""What ``normalize = true`` in an agent card means."""


def describe_layers(above: Sequence[VecEnv]) -> tuple[Layer, ...]:
    """The wrappers above the learned reward (outermost first) as a spec has them, innermost first.

    Raises:
        RunError: one of them could not be made again.
    """
    layers = list[Layer]()
    for wrapper in reversed(above):
        if isinstance(wrapper, _WATCHES):
            continue
        if type(wrapper) not in _CLASSES.values():
            raise RunError(
                "an agent's environment can be made again for evaluation, saving and loading, vector wrappers included",
                got=f"{type(wrapper).__name__} above the learned reward",
                fix=f"use {', '.join(_CLASSES)}, or do it in a gymnasium.Wrapper inside",
            )
        entry = f"stable_baselines3.common.vec_env:{type(wrapper).__name__}"
        layers.append(Layer(entry=entry, kwargs=_arguments(wrapper)))
    if sum(layer.name == "VecNormalize" for layer in layers) > 1:
        raise RunError(
            "observations are normalised once", got="two VecNormalize in a chain", fix="keep the outermost one"
        )
    return tuple(layers)


def apply_layers(env: VecEnv, layers: Sequence[Layer]) -> VecEnv:
    """Put the wrappers of a spec around a vector environment.

    Raises:
        RunError: a wrapper is unknown, or does not fit the observations.
    """
    for layer in layers:
        if layer.name not in _CLASSES:
            fix = nearest(layer.name, _CLASSES)
            raise RunError("a vector wrapper is one of Stable-Baselines3's", got=layer.entry, fix=fix)
        try:
            env = _CLASSES[layer.name](env, **layer.kwargs)
        except (AssertionError, TypeError, ValueError) as error:
            raise RunError(
                "observations are normalised where they are arrays of numbers"
                if layer.name == "VecNormalize"
                else "a vector wrapper fits the observations",
                got=f"{layer.name} on {env.observation_space}: {error}",
                fix="set normalize = false in the agent card for this environment"
                if layer.name == "VecNormalize"
                else "leave it out",
            ) from error
        if isinstance(env, VecNormalize):
            space = _as_returned(env.observation_space, env)
            env.observation_space = space  # pyright: ignore[reportAttributeAccessIssue]  # SB3 infers too narrow a type
    return env


def view_of(agent: object) -> Callable[[], View]:
    """What an agent sees of one environment: its own layers, with its own frozen statistics."""
    chain, layer = list[VecEnvWrapper](), getattr(agent, "env", None) if isinstance(agent, BaseAlgorithm) else None
    while isinstance(layer, VecEnvWrapper):
        chain.insert(0, layer)
        layer = layer.venv
    seen = [wrapper for wrapper in chain if type(wrapper) in _CLASSES.values()]
    return (lambda: _LayeredView(seen)) if seen else PlainView


class _LayeredView:
    """See :class:`rmgym.evaluation.policy.View`."""

    def __init__(self, wrappers: Sequence[VecEnvWrapper]) -> None:
        self._wrappers = wrappers
        self._stacks: dict[int, StackedObservations[Any]] = {
            i: StackedObservations(1, _n_stack(w), w.venv.observation_space, _channels(w.stacked_obs))  # type: ignore[arg-type]
            for i, w in enumerate(wrappers)
            if isinstance(w, VecFrameStack)
        }

    def reset(self, observation: Tree) -> Tree:
        """Begin an episode."""
        return self._through(observation, lambda stack, obs: stack.reset(obs))

    def step(self, observation: Tree) -> Tree:
        """Go on with it."""
        return self._through(observation, lambda stack, obs: stack.update(obs, np.zeros(1, bool), [{}])[0])

    def _through(self, observation: Tree, stacked: Callable[[StackedObservations[Any], Tree], Tree]) -> Tree:
        for i, wrapper in enumerate(self._wrappers):
            if isinstance(wrapper, VecNormalize):
                observation = wrapper.normalize_obs(observation)
            elif isinstance(wrapper, VecTransposeImage):
                observation = wrapper.transpose_observations(observation)
            elif isinstance(wrapper, VecExtractDictObs):
                observation = observation[wrapper.key]
            else:
                observation = stacked(self._stacks[i], observation)
        return observation


def _arguments(wrapper: VecEnv) -> Mapping[str, object]:
    """What a wrapper was made with."""
    if isinstance(wrapper, VecNormalize):
        return {name: getattr(wrapper, name) for name in _NORMALIZE}
    if isinstance(wrapper, VecFrameStack):
        return {"n_stack": _n_stack(wrapper), "channels_order": _channels(wrapper.stacked_obs)}
    if isinstance(wrapper, VecTransposeImage):
        return {"skip": wrapper.skip}
    assert isinstance(wrapper, VecExtractDictObs)
    return {"key": wrapper.key}


def _n_stack(wrapper: VecFrameStack) -> int:
    return int(wrapper.stacked_obs.n_stack)


def _channels(stacked: StackedObservations[Any]) -> Any:
    """Which axis frames are stacked along, for every key of Dict observations."""
    if isinstance(stacked.observation_space, gym.spaces.Dict):
        return {key: _channels(part) for key, part in stacked.sub_stacked_observations.items()}
    return "first" if stacked.channels_first else "last"


def _as_returned(space: Space, normalizer: VecNormalize) -> Space:
    """What ``VecNormalize`` returns for a space of whole numbers.

    It changes the space of pictures alone (GH #1214 of SB3); buffers take their dtype from it, and what is kept as
    ``uint8`` of numbers between -1 and 1 is nothing.
    """
    if not normalizer.norm_obs:
        return space
    if isinstance(space, gym.spaces.Dict):
        keys = normalizer.norm_obs_keys or list(space)
        parts = {key: _floats(part, normalizer.clip_obs) if key in keys else part for key, part in space.items()}
        return gym.spaces.Dict(parts)
    return _floats(space, normalizer.clip_obs)


def _floats(space: Space, most: float) -> Space:
    if isinstance(space, gym.spaces.Box) and not np.issubdtype(space.dtype, np.floating):
        return gym.spaces.Box(-most, most, space.shape, np.float32)
    return space
