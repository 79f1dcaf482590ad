"""What do steps that nobody has rated teach a reward model, and does it pay to shun, or to seek, what it is unsure of?

``offline``: Spearman and R² of models fitted on 20, 50 and 100 exact ratings, on random steps and on those of an agent
that was trained on the true reward for a short while. Free steps are all those that the ratings were chosen from by
coverage: of random behaviour, and of half of that agent's episodes; it is tested on the other half.

- ``plain``: `minilm`, free steps unused;
- ``statistics``: numbers and words are standardised over free steps too (``free_statistics``);
- ``foreseen``: its heads first learn what follows from free steps' states and actions (``free_steps``), for FORESEEING
  optimiser steps.

``loop``: Pendulum, PPO, 50 ratings from 1 to 10 in rounds, as in ``loop.py``, 35 of them before training, or 15, under
which agents may be lost; the agent is rewarded by the mean and ``kappa`` standard deviations, which stay, or have gone
by the last round (``-1 to 0``; with 15 alone).

    python benchmarks/free_steps.py               # --dry-run counts the cells and minutes

All arms of a seed share ratings and tests. Intervals are those of the mean paired difference (Student's t): offline
over environments and seeds, each the mean over the numbers of ratings. Reductions: one agent per environment, trained
for half as long as in ``heads.py``; agents of the loop are trained for STEPS steps; one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import STOPPED, Cell, arguments, claim, finished, report_minutes, run_cells, write_results
from rated_steps import Rated, agent_steps, steps_of, train_agent

from rmgym import ScriptedTeacher
from rmgym.feedback.labels import Labels, Ratings
from rmgym.feedback.queries import select_steps
from rmgym.metrics import mean_ci, r_squared
from rmgym.metrics.ranking import spearman
from rmgym.models import create_reward_model
from rmgym.runs.loop import loop
from rmgym.runs.loop_options import LoopOptions
from rmgym.text import TextBatch
from rmgym.training import FitOptions, fit
from rmgym.transitions import Transitions

ENVIRONMENTS = ("Pendulum-v1", "LunarLander-v3", "HalfCheetah-v5")
LABELS = (20, 50, 100)
FORESEEING = 300
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "statistics": {"free_statistics": True},
    "foreseen": {"free_steps": FORESEEING},
}
TESTS = {"agent": "steps of an agent", "random": "random steps"}
FADING = "-1 to 0"
KAPPAS: dict[str, dict[str, Any]] = {
    "0": {},
    "-1": {"kappa": -1.0},
    "+1": {"kappa": 1.0},
    FADING: {"kappa": -1.0, "kappa_last": 0.0},
}
STEPS, RATED = 40_000, 50
FIRST = (35, 15)
"""Ratings before training."""
FIT_STEPS = 300
"""Optimiser steps of a fit offline, batch 32."""
SECONDS = {"offline": 5, "loop": 25}


def measure(runs: Path, cell: Cell) -> Cell:
    """One fit, or one agent."""
    torch.set_num_threads(1)
    return _offline(runs / "agents", cell) if cell["part"] == "offline" else _looped(runs / "loops", cell)


@lru_cache(maxsize=2)  # cells of one environment and seed follow each other
def _steps(agents: Path, env: str, seed: int, share: int) -> tuple[Rated, dict[str, Rated]]:
    """Free steps, and those that models are tested on."""
    random, unseen = steps_of(env, seed, share)
    played = agent_steps(agents, env)
    own = played[played.steps.episode % 2 == 0]
    free = Rated(
        steps=Transitions.concatenate([random.steps, own.steps]),
        texts=TextBatch.concatenate([random.texts, own.texts]),
        values=np.concatenate([random.values, own.values]),
    )
    return free, {"agent": played[played.steps.episode % 2 == 1], "random": unseen}


def _offline(agents: Path, cell: Cell) -> Cell:
    seed = cell["seed"]
    free, tests = _steps(agents, cell["env"], seed, cell["share"])
    chosen = free[select_steps(free.steps, free.texts, cell["labels"], method="coverage", seed=seed)]
    ratings = Ratings(texts=chosen.texts, values=chosen.values, groups=chosen.steps.episode)
    arm = ARMS[cell["arm"]]
    how = FitOptions(max_steps=FIT_STEPS // cell["share"], validation=0, patience=None, seed=seed, **arm)
    labels, unlabelled = Labels(ratings=ratings), free.texts if arm else None
    model = fit(create_reward_model("minilm", seed=seed), labels, how, unlabelled=unlabelled, progress=False).model
    measured: Cell = {}
    for name, test in tests.items():
        predicted = model.predict(test.texts).mean
        measured |= {
            f"spearman_{name}": spearman(predicted, test.values),
            f"r2_{name}": r_squared(predicted, test.values),
        }
    return measured


def _looped(folder: Path, cell: Cell) -> Cell:
    total = STEPS // cell["share"]
    result = loop(
        "Pendulum-v1",
        "ppo",
        ScriptedTeacher(levels=10),
        labels=RATED,
        out=folder / "_".join(str(value).replace(" ", "-") for value in cell.values()),
        options=LoopOptions(least=cell["first"], **KAPPAS[cell["kappa"]]),
        total_steps=total,
        seed=cell["seed"],
        episodes=10,
        resume=True,
        progress=False,
    )
    run = result.run
    return {
        "true_return": run.best["true_return_mean"],
        "learned_return": run.best["learned_return_mean"],
        "true_return_at_the_end": run.final["true_return_mean"],
        "curve": [[row["steps"], row["true_return_mean"]] for row in run.comparison],
    }


def grid(seeds: Sequence[int], *, quick: bool) -> list[Cell]:
    """All cells, of each seed one after the other."""
    share = 20 if quick else 1
    loops = [
        {"part": "loop", "first": first, "kappa": kappa, "seed": seed, "share": share}
        for seed in seeds
        for first in FIRST
        for kappa in KAPPAS
        if kappa != FADING or first == min(FIRST)
    ]
    fits = [
        {"part": "offline", "env": env, "labels": labels, "arm": arm, "seed": seed, "share": share}
        for seed in seeds
        for env in ENVIRONMENTS[: 1 if quick else None]
        for labels in LABELS
        for arm in ARMS
    ]
    return [*fits, *loops]


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Whether what a part adds can be told from nothing."""
    judged = list[dict[str, Any]]()
    fits, loops = ([c for c in cells if c["part"] == part] for part in ("offline", "loop"))
    for arm in list(ARMS)[1:]:
        for test, words in TESTS.items():
            gains = gained(fits, arm, f"spearman_{test}")
            if len(gains) > 1:
                statement = f"{arm}: Spearman on {words} less that of plain, mean over environments and seeds"
                judged.append(_gain(f"{arm}-{test}", statement, gains))
    by = {(c["first"], c["kappa"], c["seed"]): c["true_return"] for c in loops}
    for first, kappa in dict.fromkeys((first, kappa) for first, kappa, _ in by if kappa != "0"):
        gains = [by[first, kappa, s] - by[first, "0", s] for f, k, s in by if (f, k) == (first, kappa)]
        if len(gains) > 1:
            statement = f"kappa {kappa}, {first} ratings first: true return less that of kappa 0, {len(gains)} seeds"
            judged.append(_gain(f"kappa {kappa}, {first}", statement, gains))
    return judged


def gained(cells: Sequence[Cell], arm: str, key: str) -> list[float]:
    """What an arm adds to ``plain``, of each environment and seed the mean over the numbers of ratings."""
    by = {(c["env"], c["seed"], c["labels"], c["arm"]): c[key] for c in cells}
    gains = list[float]()
    for env, seed in dict.fromkeys((c["env"], c["seed"]) for c in cells):
        pairs = [(by.get((env, seed, n, arm)), by.get((env, seed, n, "plain"))) for n in LABELS]
        whole = [a - b for a, b in pairs if a is not None and b is not None]
        gains += [float(np.mean(whole))] if len(whole) == len(LABELS) else []
    return gains


def _gain(name: str, statement: str, gains: Sequence[float]) -> dict[str, Any]:
    interval = mean_ci(gains)
    ci = (interval.low, interval.high)
    return claim(name, f"{statement} (its interval is above 0)", interval.value, ci=ci, bound=0.0, holds=ci[0] > 0)


def main() -> None:
    """Run every cell."""
    options = arguments(__doc__, flags=STOPPED)
    cells = grid(options.seeds, quick=options.quick)
    if options.dry_run:
        report_minutes({part: [s for c in cells if c["part"] == part] for part, s in SECONDS.items()})
        return
    agents = options.runs / "agents"
    trained = [{"env": env, "seed": 0, "share": 40 if options.quick else 2} for env in ENVIRONMENTS]
    if options.quick:
        trained = trained[:1]
    run = finished if options.finished else partial(run_cells, processes=1)
    run(trained, partial(train_agent, agents), options.runs / "trained")
    done = run(cells, partial(measure, options.runs), options.runs / "cells")
    write_results(options.out, done, claims(done), options.seeds)


if __name__ == "__main__":
    main()
