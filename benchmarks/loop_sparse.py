"""Sparse tasks of ``loop.py``: an expert who shows it, and how soon a threshold is reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import Cell, claim
from scipy.interpolate import RegularGridInterpolator

from rmgym import collect
from rmgym.environments.behaviours import Policy
from rmgym.feedback.teachers.values import StateValue, in_whole_episode
from rmgym.trees import Value

SHOWN = 1500
"""Steps of an expert, which count as steps of the loop."""
_SEED = 100
GAMMA = 0.99
"""Discount of what experts expect."""


def pump(observation: Value) -> Value:
    """An expert of MountainCar, whose flag is reached after 113 steps: accelerate the way the car goes."""
    return 2 if observation[1] > 0 else 0


def mountain_car_value() -> StateValue:
    """What an expert expects of a state of MountainCar who knows its equations of motion: no step is taken for it.

    Value iteration (the flag is at most 200 steps away) over a grid of positions and velocities, -1 a step until the
    flag, discounted by ``GAMMA``.
    """
    positions, velocities = np.meshgrid(np.linspace(-1.2, 0.6, 181), np.linspace(-0.07, 0.07, 141), indexing="ij")
    axes = (positions[:, 0], velocities[0])
    after = [_moved(positions, velocities, action) for action in range(3)]
    best: npt.NDArray[np.float64] = np.zeros_like(positions)
    for _ in range(300):
        going_on = RegularGridInterpolator(axes, best)
        best = np.max([-1 + np.where(there, 0.0, GAMMA * going_on(state)) for state, there in after], axis=0)
    value = RegularGridInterpolator(axes, best, bounds_error=False, fill_value=None)
    return lambda obs: value(np.asarray(obs, np.float64))


def _moved(
    position: npt.NDArray[np.float64], velocity: npt.NDArray[np.float64], action: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Where the car is after an action, ``[..., 2]``, and whether that is at the flag (gymnasium's ``step``)."""
    velocity = np.clip(velocity + (action - 1) * 0.001 - np.cos(3 * position) * 0.0025, -0.07, 0.07)
    position = np.clip(position + velocity, -1.2, 0.6)
    velocity = np.where((position <= -1.2) & (velocity < 0), 0.0, velocity)
    return np.stack([position, velocity], axis=-1), (position >= 0.5) & (velocity >= 0)


def shown(env: str, expert: Policy, seed: int, runs: Path) -> Path:
    """File of whole episodes that an expert played."""
    file = runs / "shown" / f"{env}-{seed}.parquet"
    if not file.exists():
        steps = collect(env, SHOWN, seed=_SEED + seed, policy=expert, progress=False)
        file.parent.mkdir(parents=True, exist_ok=True)
        steps[in_whole_episode(steps)].save(file, overwrite=True)
    return file


def soon(cells: Sequence[Cell], threshold: float, before: int) -> list[dict[str, Any]]:
    """Whether a threshold is reached in half of the steps that the true reward needs.

    Args:
        cells: of one task.
        threshold: a true return.
        before: steps that a loop's first questions are chosen from, those of an expert among them.
    """
    needed = {
        arm: [
            next((steps for steps, value in cell["curve"] if value >= threshold), math.inf) + extra
            for cell in cells
            if cell["arm"] == arm
        ]
        for arm, extra in (("loop", before), ("true", 0))
    }
    if not all(needed.values()) or not math.isfinite(reference := float(np.median(needed["true"]))):
        return []
    task, share = cells[0]["task"], float(np.median(needed["loop"])) / reference
    statement = (
        f"{task}: steps until an evaluation reaches {threshold:g}, those before training counted, by the "
        f"{reference:,.0f} of the true reward, median of {len(needed['loop'])} seeds (at most)"
    )
    return [claim(f"{task}-soon", statement, share, bound=0.5, holds=share <= 0.5)]
