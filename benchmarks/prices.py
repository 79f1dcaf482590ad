"""What does a minute of somebody's time tell: rating steps, comparing segments, or placing steps on a ladder?

A reward model is fitted on what an exact teacher answers in 2, 5 and 10 minutes, at 4 seconds for a rating from 1 to
10, 6 for a comparison of two segments of 15 steps, and 10 for placing a step among all before it. These times are
assumptions, not measured ones: ``--seconds`` sets others, and numbers of answers stand beside the minutes. Questions
are chosen and models fitted as a loop does before training (``rmgym loop``), among 6,000 steps of three behaviours that
know nothing; steps to rate and to place are those that cover the most ground, segments are drawn evenly.

Measured on 3,000 other steps of the same behaviours: squared correlation and Spearman with the true reward, which do
not ask for the scale that comparisons leave open.

    python benchmarks/prices.py                      # --seconds 4 6 10
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Cell, arguments, claim, run_cells, write_results

from rmgym import LabelStore, ScriptedTeacher, create_reward_model, fit, textualizer
from rmgym.environments.behaviours import BEHAVIOURS
from rmgym.environments.collect import collect
from rmgym.feedback.ask import ask
from rmgym.feedback.choice import choose_segments, choose_steps
from rmgym.feedback.ladder import climb
from rmgym.metrics.ranking import spearman
from rmgym.runs.loop_options import LoopOptions
from rmgym.training.fitting import fittable
from rmgym.transitions import Transitions

ENVIRONMENTS = ("Pendulum-v1", "LunarLander-v3")
KINDS = ("rating", "preference", "ladder")
MINUTES = (2, 5, 10)
STEPS, UNSEEN = 6000, 3000


def measure(cell: Cell) -> Cell:
    """Have questions answered, fit, and test."""
    torch.set_num_threads(1)
    env, seed, options = cell["env"], cell["seed"], LoopOptions(kind=cell["kind"])
    words, count = textualizer(env), max(round(60 * cell["minutes"] / cell["seconds_each"]), 2)
    steps, unseen = _steps(env, STEPS // cell["share"], seed), _steps(env, UNSEEN // cell["share"], 10_000 + seed)
    texts, rng, length = words.batch(steps), np.random.default_rng(seed), options.length
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore(Path(folder) / "labels.sqlite")
        how: dict[str, Any] = {"asked": None, "predicted": None, "mix": options.mix, "before": {}, "rng": rng}
        if cell["kind"] == "rating":
            ask(store, ScriptedTeacher(levels=10), steps, texts, choose_steps(steps, texts, count, **how))
        elif cell["kind"] == "preference":
            ask(store, ScriptedTeacher(), steps, texts, choose_segments(steps, texts, count, length, rng=rng))
        else:
            rows = choose_steps(steps, texts, count, **how).ratings
            climb(store, ScriptedTeacher(), steps[rows], texts[rows])
        labels = store.labels()
    model = fittable(create_reward_model(options.model, seed=seed), seed)
    fitted = replace(options.fit_options(seed, len(labels), model.most_drawn), implied=labels.ratings is None)
    model = fit(model, labels, fitted, progress=False).model
    predicted, true = model.predict(words.batch(unseen)).mean.astype(np.float64), unseen.true_reward.astype(np.float64)
    return {
        "answers": count,
        "labels": len(labels),
        "r2": float(np.corrcoef(predicted, true)[0, 1] ** 2),
        "spearman": spearman(predicted, true),
    }


def _steps(env: str, count: int, seed: int) -> Transitions:
    """Steps of each behaviour, as a loop collects them first."""
    each = -(-count // len(BEHAVIOURS))
    return Transitions.concatenate(
        [collect(env, each, seed=seed + 1000 * i, policy=name, progress=False) for i, name in enumerate(BEHAVIOURS)]
    )


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Whether a placement is worth its time beside a comparison, and a comparison beside a rating."""
    judged = list[dict[str, Any]]()
    for env, minutes in dict.fromkeys((c["env"], c["minutes"]) for c in cells):
        here = [c for c in cells if (c["env"], c["minutes"]) == (env, minutes)]
        mean = {kind: float(np.mean([c["r2"] for c in here if c["kind"] == kind])) for kind in KINDS}
        for better, other in (("ladder", "preference"), ("preference", "rating")):
            statement = (
                f"{env}, {minutes} minutes: R² of {better} answers less that of {other} answers, mean of "
                f"{len({c['seed'] for c in here})} seeds"
            )
            gain = mean[better] - mean[other]
            judged.append(claim(f"{env}-{minutes}-{better}", statement, gain, bound=0.0, holds=gain >= 0))
    return judged


def main() -> None:
    """Run every cell."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--seconds", type=float, nargs=3, default=[4, 6, 10])
    words = sys.argv[1:]
    given, sys.argv[1:] = parser.parse_known_args()
    options = arguments(__doc__, seeds=range(3))
    sys.argv[1:] = words  # the command that the result names
    seconds = dict(zip(KINDS, given.seconds, strict=True))
    share = 10 if options.quick else 1
    cells = [
        {"env": env, "minutes": minutes, "kind": kind, "seconds_each": seconds[kind], "seed": seed, "share": share}
        for seed in options.seeds
        for env in (ENVIRONMENTS[:1] if options.quick else ENVIRONMENTS)
        for minutes in (MINUTES[:1] if options.quick else MINUTES)
        for kind in KINDS
    ]
    done = run_cells(cells, measure, options.runs)
    write_results(options.out, done, claims(done), options.seeds, seconds_each=seconds)


if __name__ == "__main__":
    main()
