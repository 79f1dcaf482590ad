"""Do agents earn as much true return on a distilled reward as on the slow original?

The original is ``seq2seq`` (preset small), which reads every step in full, fitted on 300 ratings equal to
Pendulum's true reward. PPO trains on it, on a late-fusion model distilled from it with 5,000 random steps, and on it
through a student (``rmgym train --student``) that is audited on every rollout. Reported are the true return over 20
held-out episodes, environment steps per second of training (processor time, one thread), and the share of steps that
the original read. "As much" means: the 95 % interval of the difference, paired over seeds, lies within a tenth of the
range from a random policy to the agents on the original.

    python benchmarks/distillation.py

Reduction: an original that reads 60 steps per second (MiniLM with early fusion) would need half an hour for each of its
agents here; ``seq2seq`` is the slowest one whose agents three seeds could be trained on. The original of a seed is
fitted once and used by all of its arms.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import JUDGE, Cell, arguments, claim, judge_again, run_cells, write_results

import rmgym
from rmgym.cards import find_env_card
from rmgym.feedback.labels import Labels, Ratings
from rmgym.feedback.queries import select_steps
from rmgym.metrics import mean_ci
from rmgym.models import RewardModel
from rmgym.sb3.deferred import learned_env
from rmgym.training.fitting import FitResult

ENV, STEPS, EPISODES, LABELS = "Pendulum-v1", 100_000, 20, 300
ARMS = ("distilled", "original", "student")


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
    student = rmgym.StudentOptions(seed=cell["seed"]) if cell["arm"] == "student" else None
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
    """Mean paired difference of true returns to the original, and its 95 % interval (Student's, paired over seeds)."""
    by = {(c["arm"], c["seed"]): c["true_return"] for c in cells}
    seeds = sorted({c["seed"] for c in cells})
    paired = mean_ci([by[arm, s] - by["original", s] for s in seeds])
    return paired.value, (paired.low, paired.high)


def main() -> None:
    """Run every arm and compare."""
    options = arguments(__doc__, flags=JUDGE)
    grid: list[Cell] = [{"arm": a, "seed": s, "quick": options.quick} for s in options.seeds for a in ARMS]
    if options.judge:
        cells: list[Cell] = json.loads(options.out.read_text(encoding="utf-8"))["cells"]
    else:
        cells = run_cells(grid, partial(measure, options.runs), options.runs, processes=1)
    original_return = float(np.mean([cell["true_return"] for cell in cells if cell["arm"] == "original"]))
    card = find_env_card(ENV)
    assert card is not None  # rmgym brings it
    margin = (original_return - card.reference["random"].mean) / 10
    claims = []
    for arm in ("distilled", "student"):
        mean, ci = difference(cells, arm)
        statement = (
            f"{ENV}, PPO {STEPS:,} steps: true return on the {arm} reward less that on the original; its 95 % interval "
            f"lies within a tenth of the range from a random policy to the original's agents (±{margin:.0f})"
        )
        claims.append(claim(arm, statement, mean, ci=ci, bound=margin, holds=max(map(abs, ci)) <= margin))
    if options.judge:
        judge_again(options.out, claims)
    else:
        write_results(options.out, cells, claims, options.seeds, torch_threads=1)


if __name__ == "__main__":
    main()
