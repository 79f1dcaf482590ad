"""How fast does an agent train on a language model's reward, beside the same agent on the true one?

Training: environment steps per second of ``make_agent(...).learn`` on each reward model, divided by plain
Stable-Baselines3 with the same hyperparameters on the true reward. Both are measured in turn, A B B A A B ..., in one
process on one thread, in CPU time, in runs as short as can be (a single rollout of PPO on Pendulum-v1, two on
CartPole-v1): a shared machine is faster and slower by a third from one second to the next. The ratio is that of the
medians. Both learn with a rate of 0, so that
both take the same steps: an agent that learns nothing falls sooner, and a reset costs time. Reward models are not
fitted, which changes no speed (the distilled one is a real student; one that is audited while it trains depends on its
original, and is measured in distillation.py). Texts hold state, action, next state and flags. Where states and actions
are numbered, scores are looked up in a table: warm is a learner that has filled it, cold one at its beginning. SAC is
measured after the random steps that it begins with, so that each step learns. A further run of each says how much of
its time the model took; the rest above plain Stable-Baselines3 is recording, text and the buffer.

Scoring: rollouts of 4,096 steps, text included, beside a bare MLP on the same numbers. And one rollout of Pendulum-v1
divided by what is written by hand today: the same steps as digits, one call of ``transformers`` per step with the same
weights. Dedupe and cache are off.

    python benchmarks/throughput.py               # --dry-run counts the cells and minutes

Cells are done one at a time, claims first and SAC last; ``--finished`` writes the result of those that are done.
Reductions: early fusion is trained on CartPole-v1 alone, whose rollouts are short, in two pairs; SAC in few steps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from common import (
    JUDGE,
    STOPPED,
    Cell,
    arguments,
    claim,
    finished,
    judge_again,
    report_minutes,
    run_cells,
    write_results,
)
from throughput_cells import measure
from throughput_picture import draw

BOUNDS = {
    # (algorithm, environment, model): at least; the aim of the first is 0.96, of the second 0.98
    ("ppo", "CartPole-v1", "minilm"): 0.90,
    ("ppo", "Pendulum-v1", "minilm"): 0.93,
    ("ppo", "CartPole-v1", "minilm, one head"): None,
    ("ppo", "CartPole-v1", "no-lm"): None,
    ("ppo", "CartPole-v1", "smollm2"): 0.90,
    ("ppo", "Pendulum-v1", "smollm2"): 0.93,
    ("ppo", "CartPole-v1", "seq2seq small"): 0.60,
    ("ppo", "Pendulum-v1", "seq2seq small"): 0.60,
    ("ppo", "CartPole-v1", "early minilm, distilled"): 0.90,
    ("dqn", "CartPole-v1", "minilm"): 0.95,
    ("dqn", "FrozenLake8x8-v1", "minilm"): 0.93,
    ("dqn", "Taxi-v4", "minilm"): 0.93,
    ("ppo", "Pendulum-v1", "early minilm, distilled"): None,
    ("ppo", "CartPole-v1", "early minilm"): None,
    ("ppo", "CartPole-v1", "seq2seq reference"): None,
    ("ppo", "Pendulum-v1", "seq2seq reference"): None,
    ("sac", "Pendulum-v1", "minilm"): 0.85,
    ("sac", "HalfCheetah-v5", "minilm"): 0.95,
    ("sac", "Ant-v5", "minilm"): 0.95,
}
COLD, COLD_STEPS = 0.85, 4096
STEPS = {
    ("ppo", "CartPole-v1"): (512, 80), ("ppo", "Pendulum-v1"): (4096, 16), ("dqn", "CartPole-v1"): (256, 60),
    ("dqn", "FrozenLake8x8-v1"): (256, 60), ("dqn", "Taxi-v4"): (256, 60), ("sac", "Pendulum-v1"): (256, 11),
    ("sac", "HalfCheetah-v5"): (256, 11), ("sac", "Ant-v5"): (256, 11),
}  # fmt: skip
"""Of each run, and how many pairs of them."""
EARLY_STEPS, EARLY_PAIRS = 512, 2  # early fusion reads about 40 steps a second
TABLED = {"FrozenLake8x8-v1": 20_000, "Taxi-v4": 60_000}
"""Steps of warm-up where scores are looked up in a table: most of what there is to say has been read after that."""
BEFORE = TABLED | {"HalfCheetah-v5": 10_000, "Ant-v5": 10_000}
"""Steps before the first measured one; in MuJoCo the random ones that SAC begins with."""
SWEEP = [
    *({"n_envs": n, "n_steps": max(256 // n, 4), "width": 128} for n in (1, 2, 4, 8, 16, 32, 64)),
    *({"n_envs": 8, "n_steps": n, "width": 128} for n in (8, 128, 512)),
    *({"n_envs": 8, "n_steps": 32, "width": n} for n in (32, 64, 256, 512)),
]
SUBJECT = {"algo": "ppo", "env": "CartPole-v1", "model": "minilm"}
COLD_PAIRS, RATED = 7, 5
RATES = {"minilm, one head": 100_000, "minilm": 50_000}
BARE = 0.15
NAIVE = {"minilm": 200.0, "early minilm": None}
GIGABYTES = 0.6
SECONDS = {"rate": 5, "scoring": 30, "profile": 6, "memory": 15, "sweep": 11}
"""About how long a cell takes on one core, where that is not steps by steps per second."""
PER_SECOND = {
    ("ppo", "CartPole-v1"): 3500, ("ppo", "Pendulum-v1"): 2200, ("dqn", "CartPole-v1"): 800,
    ("dqn", "FrozenLake8x8-v1"): 1300, ("dqn", "Taxi-v4"): 1000, ("sac", "Pendulum-v1"): 80,
    ("sac", "HalfCheetah-v5"): 75, ("sac", "Ant-v5"): 70,
}  # fmt: skip


def grid(seeds: Sequence[int], *, quick: bool) -> list[Cell]:
    """Every cell, what the claims are about first and SAC last, one seed after the other."""
    cells: list[Cell] = []
    for seed in seeds:
        trained = training_cells(seed, quick=quick)
        ppo = [cell for cell in trained if cell["algo"] == "ppo"]
        dqn, sac = ([cell for cell in trained if cell["algo"] == algo] for algo in ("dqn", "sac"))
        claimed = [cell for cell in ppo if BOUNDS[cell["algo"], cell["env"], cell["model"]] is not None]
        reported = [cell for cell in ppo if cell not in claimed]
        cells += [*claimed, *other_cells(seed, quick=quick), *dqn, *reported, *sweep_cells(seed, quick=quick), *sac]
    return cells


def training_cells(seed: int, *, quick: bool) -> list[Cell]:
    """Agents beside plain SB3, all of them past the steps in which they do not learn yet."""
    cells: list[Cell] = []
    for algo, env, model in BOUNDS:
        (steps, pairs), before = STEPS[algo, env], BEFORE.get(env, 0)
        if model == "early minilm":
            steps, pairs = EARLY_STEPS, EARLY_PAIRS
        one = {"algo": algo, "env": env, "model": model, "seed": seed}
        if quick:
            steps, before, pairs = (
                steps // (8 if env == "Pendulum-v1" else 1),
                before // (10 if env in TABLED else 1),
                1,
            )
        cells.append({"what": "training", **one, "steps": steps, "pairs": pairs, "before": before})
        if env in TABLED:
            cold_steps, cold_pairs = (COLD_STEPS // 2, 1) if quick else (COLD_STEPS, COLD_PAIRS)
            cells.append({"what": "cold", **one, "steps": cold_steps, "pairs": cold_pairs})
    return cells


def other_cells(seed: int, *, quick: bool) -> list[Cell]:
    """Scoring, where its time goes, and memory."""
    rated = [("rate", env, model) for env in ("Pendulum-v1", "CartPole-v1") for model in RATES]
    naive = [("scoring", "Pendulum-v1", model) for model in NAIVE]
    where = [("profile", "Pendulum-v1", model) for model in ("minilm", "seq2seq small", "early minilm")]
    one = {"algo": "", "steps": 0, "seed": seed, "pairs": 1 if quick else RATED}
    cells = [{"what": what, "env": env, "model": model, **one} for what, env, model in (*rated, *naive, *where)]
    return [*cells, {"what": "memory", **SUBJECT, "steps": 8192 // (8 if quick else 1), "seed": seed}]


def sweep_cells(seed: int, *, quick: bool) -> list[Cell]:
    """What the picture shows."""
    steps, pairs = (512, 1) if quick else (4096, 3)
    return [{"what": "sweep", **SUBJECT, "steps": steps, "seed": seed, "pairs": pairs, **shape} for shape in SWEEP]


def seconds_of(cell: Cell) -> float:
    """About how long a cell takes on one core of a quiet machine."""
    if cell["what"] in SECONDS:
        return SECONDS[cell["what"]]
    rate = PER_SECOND[cell["algo"], cell["env"]]
    slower = {"early minilm": 45, "seq2seq reference": 3, "seq2seq small": 1.3}.get(cell["model"], 1)
    runs = cell["pairs"] + 1
    measured = cell["steps"] * (runs * (1 + slower) + slower) / rate
    random_rate = 2500 if cell["algo"] == "sac" else rate
    return 2 + measured + 2 * cell.get("before", 0) / random_rate


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """One for each cell with a bound; the median over seeds."""
    judged = list[dict[str, Any]]()
    for what, algo, env, model in dict.fromkeys((c["what"], c["algo"], c["env"], c["model"]) for c in cells):
        here = [c for c in cells if (c["what"], c["algo"], c["env"], c["model"]) == (what, algo, env, model)]
        end = f"{env}-{model}".replace(",", "").replace(" ", "-")
        statement = f"{algo.upper()}, {env}: steps/s on {model} / plain SB3 on the true reward"
        if what == "training":
            warm = f", warm (after {TABLED[env]:,} steps)" if env in TABLED else ""
            judged += _at_least(f"{algo}-{end}", statement + warm, here, "ratio", BOUNDS[algo, env, model])
        elif what == "cold":
            judged += _at_least(f"cold-{algo}-{end}", f"{statement}, cold (from the first step)", here, "ratio", COLD)
        elif what == "rate":
            say = f"{env}: steps scored per second, text included, {model}"
            judged += _at_least(f"rate-{end}", say, here, "scored_per_second", RATES[model])
            bound = BARE if model == "minilm, one head" else None
            judged += _at_least(f"bare-{end}", f"{say} / a bare MLP", here, "ratio", bound)
        elif what == "scoring":
            say = f"Scoring a rollout of {env} with {model} / transformers step by step"
            judged += _at_least(f"scoring-{end}", say, here, "ratio", NAIVE[model])
        elif what == "memory":
            value = max(c["gigabytes"] for c in here)
            say = f"Peak memory of training {algo.upper()} with {model}, GB (at most)"
            judged.append(claim(f"memory-{end}", say, value, bound=GIGABYTES, holds=value <= GIGABYTES))
    return judged


def _at_least(name: str, statement: str, cells: Sequence[Cell], key: str, bound: float | None) -> list[dict[str, Any]]:
    """The claim that what was measured is at least the bound; none where there is no bound."""
    value = float(np.median([cell[key] for cell in cells]))
    return [] if bound is None else [claim(name, statement, value, bound=bound, holds=value >= bound)]


def main() -> None:
    """Measure every row."""
    options = arguments(__doc__, seeds=(0,), flags=JUDGE | STOPPED)
    cells = grid(options.seeds, quick=options.quick)
    if options.dry_run:
        kinds = dict.fromkeys((c["what"], c["algo"], c["env"]) for c in cells)
        report_minutes(
            {
                " ".join(kind): [seconds_of(c) for c in cells if (c["what"], c["algo"], c["env"]) == kind]
                for kind in kinds
            }
        )
        return
    if options.judge:
        judge_again(options.out, claims(json.loads(options.out.read_text(encoding="utf-8"))["cells"]))
        return
    run = finished if options.finished else partial(run_cells, processes=1)
    done = run(cells, measure, options.runs)
    swept = [cell for cell in done if cell["what"] == "sweep" and cell["seed"] == options.seeds[0]]
    if not options.quick and len(swept) == len(SWEEP):
        draw(swept)
    write_results(
        options.out,
        done,
        claims(done),
        options.seeds,
        clock="CPU time of one thread, medians of pairs",
        precision="float32",
        torch_threads=1,
    )


if __name__ == "__main__":
    main()
