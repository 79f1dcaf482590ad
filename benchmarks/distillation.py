"""Do agents earn as much true return on a distilled reward as on the slow original?

The original is ``seq2seq`` (preset small), which reads every step in full, fitted on 300 exact ratings of Pendulum-v1.
PPO trains on it, on a late-fusion model distilled from it with 5,000 random steps, and on it amortised: through a
student that is audited on every rollout. Reported are the true return over 20 held-out episodes, environment steps per
second of training (processor time, one thread), and the share of steps that the original read.

    python benchmarks/distillation.py

Reduction: an original that reads 60 steps per second (MiniLM with early fusion) would need half an hour for each of its
agents here; ``seq2seq`` is the slowest one whose agents three seeds could be trained on. The original of a seed is
fitted once and used by all of its arms.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import Cell, arguments, claim, run_cells, write_results

import rmgym
from rmgym.feedback.labels import Labels, Ratings
from rmgym.feedback.queries import select_steps
from rmgym.models import RewardModel
from rmgym.sb3.deferred import learned_env
from rmgym.training.fitting import FitResult

ENV, STEPS, EPISODES, LABELS = "Pendulum-v1", 100_000, 20, 300
ARMS = ("amortised", "distilled", "original")


def measure(runs: Path, cell: Cell) -> Cell:
    """Train one agent."""
    torch.set_num_threads(1)
    share = 20 if cell["quick"] else 1
    teacher = original(runs / f"original-{cell['seed']}-{share}", cell["seed"], share)
    reward, facts = teacher, dict[str, object]()
    if cell["arm"] == "distilled":
        start = time.process_time()
        result = distilled(teacher, runs / f"distilled-{cell['seed']}-{share}", cell["seed"], share)
        reward = result.model
        facts = {"held_out_r2": result.metrics["validation"]["r2"], "distil_seconds": time.process_time() - start}
    student = rmgym.StudentOptions(seed=cell["seed"]) if cell["arm"] == "amortised" else None
    agent = rmgym.sb3.make_agent(
        "ppo", ENV, reward_model=reward, student=student, seed=cell["seed"], total_steps=STEPS // share
    )
    start = time.process_time()
    agent.learn(STEPS // share)
    seconds = time.process_time() - start
    if (learned := learned_env(agent)) is not None and learned.student is not None:
        facts = dict(learned.student.statistics)
    played = rmgym.sb3.evaluate(agent, ENV, "random", episodes=EPISODES)
    return {
        "true_return": float(np.mean(played.true_return)),
        "steps_per_second": STEPS // share / seconds,
        **facts,
    }


def original(folder: Path, seed: int, share: int) -> RewardModel:
    """The slow model of a seed, fitted once."""
    if (folder / "reward_model.json").exists():
        return rmgym.load_reward_model(folder)
    steps = rmgym.collect(ENV, 4000, seed=seed, reset_every=25, progress=False)
    texts = rmgym.textualizer(ENV).batch(steps)
    rows = select_steps(steps, texts, LABELS, method="random", seed=seed)
    ratings = Ratings(texts=texts[rows], values=steps.true_reward[rows], groups=steps.episode[rows])
    how = rmgym.FitOptions(max_steps=1500 // share, validation=0, seed=seed)
    model = rmgym.create_reward_model("seq2seq", preset="small", seed=seed)
    rmgym.fit(model, Labels(ratings=ratings), how, out=folder, resume=True, progress=False)
    return rmgym.load_reward_model(folder)


def distilled(teacher: RewardModel, folder: Path, seed: int, share: int) -> FitResult:
    """The fast model of a seed."""
    steps = rmgym.collect(ENV, 5000 // share, seed=1_000 + seed, reset_every=25, progress=False)
    how = rmgym.FitOptions(max_steps=3000 // share, batch_size=64, seed=seed)
    texts = rmgym.textualizer(ENV).batch(steps)
    return rmgym.distil(teacher, texts, "minilm", how, groups=steps.episode, out=folder, progress=False)


def difference(cells: list[Cell], arm: str) -> tuple[float, tuple[float, float]]:
    """Mean paired difference of true returns to the original, and its 95 % interval (t, paired over seeds)."""
    from scipy import stats

    by = {(c["arm"], c["seed"]): c["true_return"] for c in cells}
    seeds = sorted({c["seed"] for c in cells})
    pairs = np.array([by[arm, s] - by["original", s] for s in seeds])
    half = (
        float(stats.t.ppf(0.975, len(pairs) - 1) * pairs.std(ddof=1) / np.sqrt(len(pairs))) if len(pairs) > 1 else 0.0
    )
    return float(pairs.mean()), (float(pairs.mean()) - half, float(pairs.mean()) + half)


def main() -> None:
    """Run every arm and compare."""
    options = arguments(__doc__)
    grid: list[Cell] = [{"arm": a, "seed": s, "quick": options.quick} for s in options.seeds for a in ARMS]
    cells = run_cells(grid, partial(measure, options.runs), options.runs, processes=1)
    claims = []
    for arm in ("distilled", "amortised"):
        mean, ci = difference(cells, arm)
        statement = (
            f"{ENV}, PPO {STEPS:,} steps: true return on the {arm} reward less that on the original; 0 is in the CI"
        )
        claims.append(claim(arm, statement, mean, ci=ci, bound=0.0, holds=ci[0] <= 0 <= ci[1]))
    write_results(options.out, cells, claims, options.seeds, torch_threads=1)


if __name__ == "__main__":
    main()
