"""What the benchmarks of trained agents share: run a suite of ``benchmarks/suites``, and judge its cells.

Claims are made of cells alone, so that ``--judge`` can make those of a result file anew, without running anything.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common import RESULTS, Cell, judge_again, write_results

from rmgym.bench.compare import compare
from rmgym.bench.report import write_report
from rmgym.bench.runner import run_suite
from rmgym.bench.suite import load_suite
from rmgym.metrics import Interval, Sample, mean_ci, share_ci

QUICK_STEPS = 4096


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Agents and random policies.

    Attributes:
        cells: one per run.
        random: returns of a random policy by environment, over episodes.
    """

    cells: list[Cell]
    random: dict[str, Sample]

    def returns(self, env: str, algo: str, reward: str) -> list[float]:
        """True return of each seed."""
        key = (env, algo, reward)
        return [cell["true_return"] for cell in self.cells if (cell["env"], cell["algo"], cell["reward"]) == key]

    def mean(self, env: str, algo: str, reward: str) -> Interval:
        """True return over seeds."""
        return mean_ci(self.returns(env, algo, reward))

    def share(self, env: str, algo: str, reward: str) -> Interval:
        """The same on a scale from 0, a random policy, to 1, the agents on the true reward of these cells."""
        value, reference = (Sample.of(self.returns(env, algo, name)) for name in (reward, "true"))
        return share_ci(value, random=self.random[env], reference=reference)


def measure(options: argparse.Namespace, suites: Sequence[str] = ()) -> Measured:
    """Run (or go on with) suites, one single-threaded process per core; with ``--judge`` read the result file instead.

    Args:
        options: arguments of the script.
        suites: their names, each then in a folder of its own; by default the one that is named as the script.
    """
    if options.judge:
        result = json.loads(options.out.read_text(encoding="utf-8"))
        return Measured(cells=result["cells"], random=random_policies(result))
    cells, random = list[Cell](), dict[str, Sample]()
    for name in suites or [Path(sys.argv[0]).stem]:
        its_cells, its_random = _run(options, name, options.runs / name if suites else options.runs)
        cells += its_cells
        random |= its_random
    return Measured(cells=cells, random=random)


def random_policies(result: dict[str, Any]) -> dict[str, Sample]:
    """Returns of random policies by environment: of the runs where they played, else of ``reference_returns.json``."""
    played = result.get("random_policy")
    if isinstance(played, dict):
        return {env: Sample(**sample) for env, sample in played.items()}
    measured = json.loads((RESULTS / "reference_returns.json").read_text(encoding="utf-8"))
    returns = dict[str, list[float]]()
    for cell in measured["cells"]:
        returns.setdefault(cell["env"], []).extend(cell["returns"])
    return {env: Sample.of(each) for env, each in returns.items()}


def write(options: argparse.Namespace, measured: Measured, claims: Sequence[dict[str, Any]]) -> None:
    """Write the result file and print the claims."""
    envs = {cell["env"] for cell in measured.cells}
    played = {env: sample._asdict() for env, sample in measured.random.items() if env in envs}
    if options.judge:
        judge_again(options.out, claims, random_policy=played)
    else:
        write_results(options.out, measured.cells, claims, options.seeds, random_policy=played)


def _run(options: argparse.Namespace, name: str, out: Path) -> tuple[list[Cell], dict[str, Sample]]:
    """Run one suite."""
    suite = load_suite(Path(__file__).parent / "suites" / f"{name}.toml")
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
            "kind": run.kind,
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
    return cells, {match.task: match.random for match in compare(outcome.runs)}
