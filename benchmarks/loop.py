"""Does asking where the agent goes make few labels enough? The loop beside the same labels all up front.

Every arm trains the same agent for as many steps. Of all evaluated agents the one with the largest return under the
last learned reward is kept (of ``true``: the largest true return), and judged on five times as many other episodes of
the raw environment (how many: ``loop_tasks.py``):

- ``loop``: three tenths of the labels, at least 35, up front, the others in nine rounds while the agent trains
  (``rmgym loop``);
- ``up front``: as many labels, all by coverage before training;
- ``loop, no-lm``: the loop without a language model;
- ``loop, warm``: each round's model goes on from the one before for 100 steps, instead of beginning anew;
- ``loop, few first``: three tenths up front, however few that are; with the fewest labels;
- ``loop, not implied``: of comparisons alone, without the ratings that they imply;
- ``loop, uniform``, ``loop, no largest``, ``loop, no unsure``, ``loop, no ended``: questions after the first about any
  steps of the agent alone, or about all but one kind of steps (:class:`rmgym.feedback.choice.QuestionMix`); with the
  fewest labels, of tasks that name them;
- ``shuffled``: the loop, its answers permuted among the questions of each round: a control that must not work;
- ``true``: the true reward;
- ``exact``: where people as they are answer (scales of their own, mistakes, skips), the loop with exact answers; no
  other arm is run there;
- ``constant``, ``random``: rewards that know nothing, where the true reward is constant.

The share is (return - random policy) / (true-reward agents - random policy). Returns are given seed by seed, with their
interquartile mean; the interval is that of the mean (Student's t).

    python benchmarks/loop.py                    # --dry-run counts the cells and minutes
    python benchmarks/loop.py --tasks Pendulum   # one task after the other: a full run takes many hours

Reductions: of arms beside the loop, one number of labels for each task; HalfCheetah and Hopper are trained for 50,000
steps, half of what is usual.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from common import (
    STOPPED,
    Cell,
    arguments,
    claim,
    command_line,
    finished,
    report_minutes,
    run_cells,
    write_results,
)
from loop_sparse import GAMMA, SHOWN, shown, soon
from loop_tasks import MIXES, TASKS
from scipy.stats import trim_mean

from rmgym import ScriptedTeacher
from rmgym.feedback.choice import QuestionMix
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions
from rmgym.metrics import mean_ci
from rmgym.runs.loop import SELECTED_BY, loop
from rmgym.runs.train import train

FEW_FIRST, NOT_IMPLIED = "loop, few first", "loop, not implied"
EXACT = "exact"
ARMS = ("loop", "true", FEW_FIRST, "up front", NOT_IMPLIED, "loop, no-lm", "shuffled", "loop, warm")
OTHERWISE: dict[str, dict[str, Any]] = {
    "loop, no-lm": {"model": "no-lm"},
    "loop, warm": {"warm_steps": 100},
    FEW_FIRST: {"least": 2},
    NOT_IMPLIED: {"implied": False},
    "loop, uniform": {"mix": QuestionMix(terminated=0, uniform=1, largest=0, unsure=0)},
    "loop, no largest": {"mix": QuestionMix(largest=0)},
    "loop, no unsure": {"mix": QuestionMix(unsure=0)},
    "loop, no ended": {"mix": QuestionMix(terminated=0)},
}
"""What is set otherwise in an arm than in the loop."""


@dataclass(frozen=True, kw_only=True)
class Shuffled(ScriptedTeacher):
    """Its answers belong to other questions."""

    def rate(self, questions: RatingQuestions) -> Answers:
        """See the class."""
        return _permuted(super().rate(questions))

    def compare(self, questions: PreferenceQuestions) -> Answers:
        """See the class."""
        return _permuted(super().compare(questions))


def _permuted(answers: Answers) -> Answers:
    order = np.random.default_rng(crc32(answers.values.tobytes())).permutation(len(answers))
    return replace(answers, values=answers.values[order])


def measure(cell: Cell, runs: Path) -> Cell:
    """Train one agent."""
    torch.set_num_threads(1)
    task, arm, seed = TASKS[cell["task"]], cell["arm"], cell["seed"]
    steps, name = task.steps // cell["share"], "-".join(str(value) for value in cell.values()).replace(" ", "_")
    out = runs / "runs" / name.replace(",", "")
    how: dict[str, Any] = {"total_steps": steps, "seed": seed, "resume": True, "progress": False}
    how |= {"episodes": task.episodes, "eval_every": max(steps // task.evaluations, 1)}
    if arm in ("true", *task.controls):
        run = train(task.algo, task.env, arm, out=out, save_best=SELECTED_BY, **how)
        rounds: list[Cell] = []
    else:
        options = replace(task.options, **OTHERWISE.get(arm, {}))
        if arm == "up front":
            options = replace(options, at=(), collect=2 * options.collect)
        scripted = (Shuffled if arm == "shuffled" else ScriptedTeacher)(
            target=task.target,
            gamma=task.gamma,
            levels=task.levels,
            edges=task.edges,
            value=task.value and task.value(),
            value_gamma=GAMMA,
        )
        by_people = task.people is not None and arm != EXACT
        teacher = replace(task.people, seed=seed).knowing(scripted) if by_people else scripted
        how |= {"labels": cell["labels"], "demonstrations": task.expert and shown(task.env, task.expert, seed, runs)}
        result = loop(task.env, task.algo, teacher, out=out, options=options, reward_name=arm, **how)
        run = result.run
        rounds = [
            {"steps": r.steps, "labels": r.labels, "agreement": r.agreement, "seconds": r.seconds, **r.asked}
            for r in result.rounds
        ]
    final, best = run.final, run.best
    return {
        "true_return": best["true_return_mean"],
        "learned_return": best["learned_return_mean"],
        "spearman": best["spearman"],
        "kept": best["steps"],
        "true_return_at_the_end": final["true_return_mean"],
        "curve": [[row["steps"], row["true_return_mean"]] for row in run.comparison],
        "random": float(np.mean(run.random.returns)),
        "run_seconds": run.outcome.wall_seconds,
        "asking_seconds": sum(r["seconds"] for r in rounds),
        "all_seconds": run.outcome.wall_seconds + (rounds[0]["seconds"] if rounds else 0.0),
        "rounds": rounds,
    }


def grid(seeds: Sequence[int], tasks: Sequence[str], *, quick: bool) -> list[Cell]:
    """All cells: of each task the loop and the true reward first."""
    of = {"loop": slice(None), FEW_FIRST: slice(-1, None)} | {arm: slice(-1, None) for arm in MIXES}
    return [
        {"task": task, "labels": labels, "arm": arm, "seed": seed, "share": 20 if quick else 1}
        for task in tasks
        for arm in (("loop", EXACT) if TASKS[task].people else (*ARMS, *TASKS[task].mixes, *TASKS[task].controls))
        if arm != NOT_IMPLIED or TASKS[task].options.kind == "preference"
        for labels in TASKS[task].labels[of.get(arm, slice(1))]
        for seed in seeds
    ]


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Whether the loop reaches what is asked, and what it gained beside the same labels up front."""
    judged = list[dict[str, Any]]()
    for name, task in TASKS.items():
        for labels, (least, worst) in task.least.items():
            values = _values(cells, name, "loop", labels)
            if task.by_share:
                values = _shares(cells, name, values)
            if not values:
                continue
            what = "share of the random-to-true range" if task.by_share else "true return"
            middle = float(np.mean(values)) if task.by_share else float(trim_mean(values, 0.25))
            kind = "mean" if task.by_share else "interquartile mean"
            ci = tuple(mean_ci(values))[1:3] if len(values) > 1 else None
            statement = f"{name}, {labels} labels in the loop, {len(values)} seeds: {kind} of the {what}"
            judged.append(claim(f"{name}-{labels}", statement, middle, ci=ci, bound=least, holds=middle >= least))
            if worst is not None:
                statement = f"{name}, {labels} labels in the loop: {what} of the worst of {len(values)} seeds"
                judged.append(
                    claim(f"{name}-{labels}-worst", statement, min(values), bound=worst, holds=min(values) >= worst)
                )
        if task.people is not None:
            judged += _beside_exact(cells, name)
        if task.threshold is not None:
            first = task.options.collect + (SHOWN if task.expert else 0)
            judged += soon([c for c in cells if c["task"] == name], task.threshold, first)
        in_rounds, before = (_values(cells, name, arm, task.labels[0]) for arm in ("loop", "up front"))
        if in_rounds and before:
            gain = float(np.mean(in_rounds) - np.mean(before))
            statement = (
                f"{name}, {task.labels[0]} labels: mean true return of the loop less that of all labels up front"
            )
            judged.append(claim(f"{name}-gain", statement, gain, bound=0.0, holds=gain >= 0))
        costs = [c["asking_seconds"] / c["all_seconds"] for c in cells if (c["task"], c["arm"]) == (name, "loop")]
        if costs:
            statement = f"{name}: share of the time spent on choosing, asking and refitting, median (at most)"
            cost = float(np.median(costs))
            judged.append(claim(f"{name}-cost", statement, cost, bound=0.15, holds=cost <= 0.15))
    return judged


def _beside_exact(cells: Sequence[Cell], name: str) -> list[dict[str, Any]]:
    """Whether people as they are come near to exact answers."""
    task, labels = TASKS[name], TASKS[name].labels[0]
    exact = _values(cells, name, EXACT, labels)
    shares = _of_range(cells, name, _values(cells, name, "loop", labels), exact)
    if not shares:
        return []
    statement = f"{name}, {labels} labels, {len(shares)} seeds: of what exact answers gain over a random policy, mean"
    ci = tuple(mean_ci(shares))[1:3] if len(shares) > 1 else None
    share = float(np.mean(shares))
    return [claim(f"{name}-exact", statement, share, ci=ci, bound=task.of_exact, holds=share >= task.of_exact)]


def _values(cells: Sequence[Cell], task: str, arm: str, labels: int) -> list[float]:
    return [c["true_return"] for c in cells if (c["task"], c["arm"], c["labels"]) == (task, arm, labels)]


def _shares(cells: Sequence[Cell], task: str, values: Sequence[float]) -> list[float]:
    """What part of the range some returns make up; tasks of the same agents have one true reward."""
    alike = {name for name, other in TASKS.items() if other.agent == TASKS[task].agent}
    reference = {c["seed"]: c["true_return"] for c in cells if c["task"] in alike and c["arm"] == "true"}
    return _of_range(cells, task, values, list(reference.values()))


def _of_range(cells: Sequence[Cell], task: str, values: Sequence[float], reference: Sequence[float]) -> list[float]:
    """The shares of the range from a random policy to the mean of a reference."""
    if not reference:
        return []
    random = float(np.mean([c["random"] for c in cells if c["task"] == task]))
    top = float(np.mean(reference))
    return [(value - random) / (top - random) for value in values] if math.isfinite(top) and top > random else []


def main() -> None:
    """Run every cell."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--arms", nargs="+", default=[*ARMS, *MIXES, EXACT, "constant", "random"])
    words = sys.argv[1:]
    chosen, sys.argv[1:] = parser.parse_known_args()
    options = arguments(__doc__, seeds=range(5), flags=STOPPED)
    sys.argv[1:] = words  # the command that the result names
    tasks = [task for task in TASKS if any(task.startswith(name) for name in chosen.tasks)]
    cells = [cell for cell in grid(options.seeds, tasks, quick=options.quick) if cell["arm"] in chosen.arms]
    if options.dry_run:
        report_minutes({task: [TASKS[task].seconds for c in cells if c["task"] == task] for task in tasks})
        return
    work = partial(measure, runs=options.runs)
    done = (finished if options.finished else run_cells)(cells, work, options.runs / "cells")
    # Tasks are measured one after the other: what is there of others stays, with the command that gave it.
    before = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    cells = [*(cell for cell in before.get("cells", []) if cell["task"] not in tasks), *done]
    commands = {**before.get("commands", {}), **dict.fromkeys(tasks, command_line())}
    write_results(options.out, cells, claims(cells), sorted({c["seed"] for c in cells}), commands=commands)


if __name__ == "__main__":
    main()
