"""Read run folders, finished or still running, as ``rmgym train``, ``bench`` and ``demo`` write them."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.errors import HarnessError

Column = npt.NDArray[np.float64]

CURVE_COLUMNS = (
    "steps",
    "wall_seconds",
    "episodes",
    "true_return_mean",
    "true_return_std",
    "learned_return_mean",
    "learned_return_std",
    "spearman",
    "pearson",
    "pair_accuracy",
)
STEP_COLUMNS = ("episode", "step", "true_reward", "learned_reward")
ABOUT_REWARD = "reward.json"
"""Written beside ``run.json`` by ``bench``: which labels and how much time the run's reward took."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: an agent trained on one reward, evaluated on both.

    Attributes:
        folder: where it is.
        env: environment id.
        env_kwargs: arguments of the environment.
        algo: name of the algorithm.
        reward: name of the reward.
        seed: seed of the run.
        total_steps: steps it is meant to train for.
        status: ``done`` or ``running`` (also when it was killed).
        wall_seconds: training time so far, NaN where unknown.
        steps_per_second: training speed, NaN where unknown.
        curve: one entry per evaluation, by column (:data:`CURVE_COLUMNS`), each ``float64 [E]``.
        steps: a sample of the last evaluation's steps, by column (:data:`STEP_COLUMNS`).
        about_reward: ``model``, ``labels`` (a count), ``seconds`` (to label and fit), ``metrics``; empty where unknown.
    """

    folder: Path
    env: str
    env_kwargs: Mapping[str, Any]
    algo: str
    reward: str
    seed: int
    total_steps: int
    status: str
    wall_seconds: float
    steps_per_second: float
    curve: Mapping[str, Column]
    steps: Mapping[str, Column]
    about_reward: Mapping[str, Any] = field(default_factory=dict[str, Any])
    survival_bonus: str | None = None
    amortised: Mapping[str, float | None] | None = None

    @property
    def task(self) -> str:
        """Environment and its arguments, as ``FrozenLake-v1 (map_name=8x8)``."""
        said = ", ".join(f"{key}={value}" for key, value in self.env_kwargs.items())
        return f"{self.env} ({said})" if said else self.env

    def last(self, column: str) -> float:
        """Value of a curve column at the last evaluation, NaN before the first."""
        values = self.curve[column]
        return float(values[-1]) if len(values) else math.nan

    @property
    def labels(self) -> int | None:
        """Labels its reward was fitted on; 0 for controls, None where unknown."""
        count = self.about_reward.get("labels")
        return None if count is None else int(count)


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Read one run folder.

    Raises:
        HarnessError: the folder holds no run, or a damaged one.
    """
    path = Path(folder)
    try:
        said = json.loads((path / "run.json").read_text(encoding="utf-8"))
        curve = _columns(path / "comparison.csv", CURVE_COLUMNS)
        steps, seconds = (curve[name][-1] if len(curve["steps"]) else math.nan for name in ("steps", "wall_seconds"))
        return Run(
            folder=path,
            env=said["env"],
            env_kwargs=said.get("env_kwargs") or {},
            algo=said["algo"],
            reward=said["reward"],
            seed=int(said["seed"]),
            total_steps=int(said["total_steps"]),
            status=said["status"],
            wall_seconds=float(said.get("wall_seconds") or seconds),
            steps_per_second=float(said.get("steps_per_second") or (steps / seconds if seconds > 0 else math.nan)),
            curve=curve,
            steps=_columns(path / "steps.csv", STEP_COLUMNS),
            about_reward=_optional_json(path / ABOUT_REWARD),
            survival_bonus=said.get("survival_bonus"),
            amortised=said.get("amortised"),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(
            "a run is a folder with run.json, as 'rmgym train' writes it",
            got=f"{path}: {error!r}",
            fix="name a run, or a folder that contains runs",
        ) from error


def read_runs(paths: Iterable[str | os.PathLike[str]]) -> list[Run]:
    """Read every run in or below the given folders, sorted by task, algorithm, reward and seed.

    Raises:
        HarnessError: a path holds no run at all.
    """
    found: dict[Path, Run] = {}
    for path in map(Path, paths):
        folders = [file.parent for file in sorted(path.rglob("run.json"))] if path.is_dir() else []
        if not folders:
            raise HarnessError(
                "a report is made of runs", got=str(path), fix="name folders that contain run.json ('rmgym train')"
            )
        found |= {folder.resolve(): read_run(folder) for folder in folders}
    return sorted(found.values(), key=lambda r: (r.task, r.algo, r.reward, r.seed))


def _columns(file: Path, names: tuple[str, ...]) -> dict[str, Column]:
    """Columns of a CSV file; a last line that is still being written is left out, a missing file is empty."""
    rows = list[list[float]]()
    if file.is_file():
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                try:
                    rows.append([float(row[name]) if row[name] != "" else math.nan for name in names])
                except (TypeError, ValueError):
                    break
    table = np.array(rows, np.float64).reshape(-1, len(names))
    return {name: table[:, i] for i, name in enumerate(names)}


def _optional_json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
