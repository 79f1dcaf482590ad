"""The work that a suite is: reward models to fit, agents to train on them, each in a folder of its own.

    models/<environment>/<reward>/seed<k>/                 steps, labels and the fitted model, shared by algorithms
    runs/<environment>/<algorithm>/<reward>/seed<k>/       a run folder

``task.json`` in each says what it is; a folder whose task has changed is refused, never silently reused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rmgym.bench.store import ABOUT_REWARD
from rmgym.bench.suite import Environment, Reward, Suite
from rmgym.bench.writing import write_atomically
from rmgym.errors import HarnessError

TASK = "task.json"
LOG = "log.txt"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One piece of work, done by one process.

    Attributes:
        kind: ``model`` (collect, label, fit) or ``train``.
        folder: its place.
        title: how people call it.
        settings: everything that decides its outcome, JSON-able.
        after: the folder of the task that it needs, if any.
        cost: rough share of the whole work, in training steps.
    """

    kind: Literal["model", "train"]
    folder: Path
    title: str
    settings: Mapping[str, Any]
    after: Path | None
    cost: float

    @property
    def is_done(self) -> bool:
        """Whether its results are there."""
        if self.kind == "model":
            return (self.folder / ABOUT_REWARD).exists()
        try:
            said = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(said.get("status") == "done")

    def prepare(self) -> None:
        """Write down what the folder is for.

        Raises:
            HarnessError: it is for something else.
        """
        file = self.folder / TASK
        said = json.dumps({"kind": self.kind, **self.settings}, indent=2, ensure_ascii=False)
        if file.exists():
            before, now = json.loads(file.read_text(encoding="utf-8")), json.loads(said)
            if changed := [k for k in sorted({*before, *now}) if before.get(k) != now.get(k)]:
                raise HarnessError(
                    f"a suite goes on with the settings it was begun with; {self.folder} was begun with others",
                    got="; ".join(f"{key}: {before.get(key)} -> {now.get(key)}" for key in changed),
                    fix="choose another --out, or delete that folder",
                )
        else:
            write_atomically(file, said)


def plan(suite: Suite, out: Path) -> list[Task]:
    """All tasks of a suite: models first, because training waits for them."""
    models, runs = list[Task](), list[Task]()
    for environment in suite.environments:
        for reward in suite.reward:
            for seed in suite.seeds:
                model = _model_task(suite, environment, reward, seed, out) if reward.is_fitted else None
                models += [model] if model is not None else []
                runs += [_run_task(suite, environment, a, reward, seed, out, model) for a in suite.algorithms]
    return [*models, *sorted(runs, key=lambda task: task.after is None)]


def _model_task(suite: Suite, environment: Environment, reward: Reward, seed: int, out: Path) -> Task:
    made = reward
    if reward.model == "shuffled":  # the same labels, model and options: only their order differs
        of = next(r for r in suite.reward if r.name == reward.of)
        made = replace(of, name=reward.name, fit={**of.fit, "shuffle_labels": True})
    if made.reset_every is None:
        made = replace(made, reset_every=25 if environment.target == "reward" else 0)
    settings = {
        "env": environment.id,
        "env_kwargs": environment.kwargs,
        "target": environment.target,
        "seed": seed,
        "reward": {**asdict(made), "kind": reward.model},
    }
    return Task(
        kind="model",
        folder=out / "models" / environment.folder / reward.name / f"seed{seed}",
        title=_title(suite, environment, f"fit {reward.name}", seed),
        settings=settings,
        after=None,
        cost=30_000 if "max_steps" not in made.fit else 20.0 * made.fit["max_steps"],
    )


def _run_task(
    suite: Suite, environment: Environment, algo: str, reward: Reward, seed: int, out: Path, model: Task | None
) -> Task:
    folder = out / "runs" / environment.folder / algo / reward.name / f"seed{seed}"
    steps = environment.steps or suite.steps
    settings = {
        "env": environment.id,
        "env_kwargs": environment.kwargs,
        "algo": algo,
        "reward": reward.name,
        # relative to the suite's folder, which may be moved
        "model": reward.model if model is None else str(model.folder.relative_to(out) / "model"),
        "is_fitted": model is not None,
        "seed": seed,
        "steps": steps,
        "eval_every": suite.eval_every or max(1, steps // 10),
        "episodes": suite.episodes,
    }
    return Task(
        kind="train",
        folder=folder,
        title=_title(suite, environment, f"{algo} on {reward.name}", seed),
        settings=settings,
        after=model.folder if model is not None else None,
        cost=steps,
    )


def _title(suite: Suite, environment: Environment, what: str, seed: int) -> str:
    """What tells a task from the suite's others."""
    where = f" in {environment.folder}" if len(suite.environments) > 1 else ""
    return what + where + (f", seed {seed}" if len(suite.seeds) > 1 else "")
