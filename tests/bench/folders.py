"""Run folders written by hand, in the format that rmgym.runs writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmgym.composition import Composition
from rmgym.evaluation.evaluate import SUCCESS
from rmgym.evaluation.log import COLUMNS, STEP_COLUMNS, write_rows
from rmgym.evaluation.measure import MEASURED
from rmgym.evaluation.random_policy import RandomReturns
from rmgym.runs.record import AboutReward, Outcome
from rmgym.specs import AgentSpec, EnvSpec, RewardSpec, RunSpec
from rmgym.specs.reward import Kind
from rmgym.storage.atomic import write_json

KINDS: dict[str, Kind] = {"true": "true", "random": "control", "constant": "control"}


def write_run(
    folder: Path,
    *,
    env: str = "Pendulum-v1",
    env_kwargs: dict[str, Any] | None = None,
    horizon: int | None = None,
    language: str = "en",
    algo: str = "ppo",
    hyperparameters: dict[str, Any] | None = None,
    total_steps: int = 3000,
    reward: str = "learned",
    model: str = "minilm",
    kind: Kind | None = None,
    labels: int = 100,
    digest: str | None = None,
    recipe: str | None = "of a suite",
    unshuffled: str | None = "the same labels",
    composition: Composition | None = None,
    seed: int = 0,
    status: str = "done",
    steps: Sequence[float] = (1000, 2000, 3000),
    true: Sequence[float] = (-1000, -500, -200),
    learned: Sequence[float] = (10, 20, 30),
    spearman: float = 0.9,
    points: Sequence[tuple[float, float]] = ((-1.0, 3.0), (-2.0, 2.0), (-3.0, 1.0)),
    random: Sequence[float] | None = (-1210, -1190),
    doubts: dict[str, str] | None = None,
    measure: str | None = None,
    measured: Sequence[float] = (5, 6, 7),
    random_measured: Sequence[float] = (1, 3),
    success: Sequence[float] | None = None,
    random_success: Sequence[float] = (0, 0, 1, 0),
    held_out: dict[str, float | int | None] | None = None,
) -> Path:
    """One run whose columns are given; the others are plain. A random policy returns -1,200.

    ``doubts`` are sentences of its outcome, such as ``survival_bonus``.
    """
    folder.mkdir(parents=True)
    agent = AgentSpec(
        env=EnvSpec(id=env, kwargs=env_kwargs or {}, horizon=horizon, language=language),
        reward=RewardSpec(
            name=model,
            digest=digest or f"{model} {seed}",
            kind=kind or KINDS.get(model, "learned"),
            labels=labels,
            composition=composition or Composition(),
        ),
        algo=algo,
        algorithm="stable_baselines3.PPO",
        hyperparameters=hyperparameters or {},
        n_envs=1,
        seed=seed,
        total_steps=total_steps,
    )
    spec = RunSpec(agent=agent, reward_name=reward, eval_every=1000, checkpoint_every=1000, measure=measure)
    facts: dict[str, Any] = {**(doubts or {}), "held_out": held_out}
    outcome = Outcome(wall_seconds=6.0, steps_per_second=500.0, final={}, **facts)
    own = () if measure is None else tuple(random_measured)
    won = () if success is None else tuple(random_success)
    zero = RandomReturns(returns=tuple(random or ()), seed=10_000, action_seed=seed, measured=own, success=won)
    played = None if random is None else zero
    record = {
        "schema": 1, "kind": "run", "settings": spec.settings(), "status": status,
        "result": outcome.to_json() if status == "done" else None,
        "notes": {} if played is None else {"random_policy": played.to_json()}, "versions": {},
    }  # fmt: skip
    write_json(folder / "run.json", record)
    rows: list[tuple[float, ...]] = [
        (s, s / 500, 0, 10, t, 5.0, p, 1.0, spearman, spearman, 0.95)
        for s, t, p in zip(steps, true, learned, strict=True)
    ]
    columns: tuple[str, ...] = COLUMNS
    if measure is not None:
        rows = [(*row, value, 0.5) for row, value in zip(rows, measured, strict=True)]
        columns += MEASURED
    if success is not None:
        rows = [(*row, value) for row, value in zip(rows, success, strict=True)]
        columns += (SUCCESS,)
    _write(folder / "comparison.csv", columns, rows)
    _write(folder / "steps.csv", STEP_COLUMNS, [(0, i, t, p) for i, (t, p) in enumerate(points)])
    AboutReward(recipe=recipe if labels else None, unshuffled=unshuffled, seconds=12.0 if labels else None).write(
        folder
    )
    return folder


def _write(file: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    write_rows(file, columns, [dict(zip(columns, row, strict=True)) for row in rows])
