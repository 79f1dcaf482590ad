"""Random steps inside an environment's spaces, corners included."""

from __future__ import annotations

from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np

from rmgym.text import Textualizer, textualizer
from rmgym.transitions import Transitions

CARDED = ("Acrobot-v1", "CartPole-v1", "FrozenLake-v1", "FrozenLake8x8-v1", "MountainCar-v0", "Pendulum-v1")


@cache
def say(env_id: str, language: str = "en") -> Textualizer:
    """The textualizer of an environment; making one makes the environment, so they are kept."""
    return textualizer(env_id, language=language)


def random_steps(text: Textualizer, rng: np.random.Generator, size: int) -> Transitions:
    """Steps that need not follow each other, with all four combinations of flags."""
    flags = rng.integers(0, 4, size)
    return Transitions.from_arrays(
        values(text.observation_space, rng, size),
        values(text.action_space, rng, size),
        values(text.observation_space, rng, size),
        flags >= 2,
        flags % 2 == 1,
    )


def values(space: gym.Space[Any], rng: np.random.Generator, size: int) -> np.ndarray[Any, Any]:
    """Uniform values of a space (infinite bounds count as 5), a tenth of them zero of either sign or a bound."""
    if isinstance(space, gym.spaces.Discrete):
        return rng.integers(space.start, space.start + space.n, size)
    assert isinstance(space, gym.spaces.Box)
    low = np.where(np.isfinite(space.low), space.low, -5.0)
    high = np.where(np.isfinite(space.high), space.high, 5.0)
    drawn = rng.uniform(low, high, (size, *space.shape))
    for corner in (0.0, -0.0, low, high):
        drawn = np.where(rng.random(drawn.shape) < 0.025, corner, drawn)
    return drawn.astype(space.dtype)
