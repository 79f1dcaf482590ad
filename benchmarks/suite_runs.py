"""What the benchmarks of trained agents share: run a suite of ``benchmarks/suites``, read its cells and its matches."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from common import Cell

from rmgym.bench.compare import Arm, Match, compare
from rmgym.bench.report import write_report
from rmgym.bench.runner import run_suite
from rmgym.bench.suite import load_suite

QUICK_STEPS = 4096


def run(options: argparse.Namespace, name: str | None = None) -> tuple[list[Match], list[Cell]]:
    """Run (or go on with) a suite, one single-threaded process per core.

    Args:
        options: arguments of the script.
        name: of the suite, if it is not that of the script; it then works in a folder of its own.

    Returns:
        Matches, and one cell per run.
    """
    suite = load_suite(Path(__file__).parent / "suites" / f"{name or Path(sys.argv[0]).stem}.toml")
    out = options.runs / name if name else options.runs
    suite = replace(suite, seeds=options.seeds)
    if options.quick:
        rewards = [replace(r, fit={**r.fit, "max_steps": 100}) if r.is_fitted else r for r in suite.reward]
        suite = replace(
            suite, seeds=options.seeds[:1], steps=QUICK_STEPS, eval_every=QUICK_STEPS, episodes=2, reward=rewards
        )
    outcome = run_suite(suite, out)
    write_report(outcome.runs, out / "report.html", title=suite.name, about=suite.about)
    for failure in outcome.failures:
        sys.exit(f"{failure.title}: {failure.reason}\n{failure.tail}")
    cells = [
        {
            "env": run.task,
            "algo": run.algo,
            "reward": run.reward,
            "seed": run.seed,
            "steps": run.last("steps"),
            "true_return": run.last("true_return_mean"),
            "learned_return": run.last("learned_return_mean"),
            "spearman": run.last("spearman"),
            "labels": run.labels,
            "true_return_curve": run.curve["true_return_mean"].tolist(),
            "seconds": run.wall_seconds,
            "steps_per_second": run.steps_per_second,
        }
        for run in outcome.runs
    ]
    return compare(outcome.runs), cells


def arm(match: Match, reward: str) -> Arm:
    """The arm of one reward."""
    return next(a for a in match.arms if a.reward == reward)
