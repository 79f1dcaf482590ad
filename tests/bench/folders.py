"""Run folders written by hand, in the format that harness.train writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmgym.bench.store import ABOUT_REWARD, CURVE_COLUMNS, STEP_COLUMNS


def write_run(
    folder: Path,
    *,
    env: str = "Pendulum-v1",
    env_kwargs: dict[str, Any] | None = None,
    algo: str = "ppo",
    reward: str = "learned",
    model: str | None = "minilm",
    labels: int = 100,
    seed: int = 0,
    status: str = "done",
    steps: Sequence[float] = (1000, 2000, 3000),
    true: Sequence[float] = (-1000, -500, -200),
    learned: Sequence[float] = (10, 20, 30),
    spearman: float = 0.9,
    points: Sequence[tuple[float, float]] = ((-1.0, 3.0), (-2.0, 2.0), (-3.0, 1.0)),
) -> Path:
    """One run whose columns are given; the others are plain."""
    folder.mkdir(parents=True)
    said = {
        "schema": 1, "env": env, "env_kwargs": env_kwargs or {}, "algo": algo, "reward": reward, "seed": seed,
        "total_steps": 3000, "status": status, "wall_seconds": 6.0, "steps_per_second": 500.0, "final": {},
        "versions": {},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(said))
    rows = [
        (s, s / 500, 10, t, 5.0, p, 1.0, spearman, spearman, 0.95) for s, t, p in zip(steps, true, learned, strict=True)
    ]
    _write(folder / "comparison.csv", CURVE_COLUMNS, rows)
    _write(folder / "steps.csv", STEP_COLUMNS, [(0, i, t, p) for i, (t, p) in enumerate(points)])
    if model is not None:
        about = {"model": model, "labels": labels, **({"seconds": 12.0} if labels else {})}
        (folder / ABOUT_REWARD).write_text(json.dumps(about))
    return folder


def _write(file: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(columns)
        writer.writerows(rows)
