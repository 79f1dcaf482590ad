"""Sparse tasks of ``loop.py``: an expert who shows it, and how soon a threshold is reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Cell, claim

from rmgym import collect
from rmgym.environments.behaviours import Policy
from rmgym.feedback.teachers.values import in_whole_episode
from rmgym.trees import Value

SHOWN = 1500
"""Steps of an expert, which count as steps of the loop."""
_SEED = 100


def pump(observation: Value) -> Value:
    """An expert of MountainCar, whose flag is reached after 113 steps: accelerate the way the car goes."""
    return 2 if observation[1] > 0 else 0


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
