"""What share of a PPO run is spent on putting steps into words?

PPO with the environment card's hyperparameters on ``minilm`` (late fusion, not fitted: that changes no speed), scored a
rollout at a time. Timed in CPU time of one thread: all of ``learn`` after a first rollout to warm up, and inside it
every call of ``Textualizer.batch``.

    python benchmarks/text_share.py
"""

from __future__ import annotations

import time
from unittest.mock import patch

import torch
from common import Cell, arguments, claim, run_cells, write_results

import rmgym
from rmgym.text.batch import TextBatch
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import Transitions

ENVIRONMENTS = ("Pendulum-v1", "CartPole-v1", "MiniGrid-DoorKey-5x5-v0", "HalfCheetah-v5")
STEPS = 16_384
BOUND = 0.03


def measure(cell: Cell) -> Cell:
    """CPU seconds of one run, and of its text."""
    torch.set_num_threads(1)
    text_seconds = 0.0
    batch = Textualizer.batch

    def timed(self: Textualizer, transitions: Transitions) -> TextBatch:
        nonlocal text_seconds
        start = time.process_time()
        try:
            return batch(self, transitions)
        finally:
            text_seconds += time.process_time() - start

    model = rmgym.create_reward_model("minilm", seed=cell["seed"]).accept_random_weights()
    agent = rmgym.sb3.make_agent("ppo", cell["env"], reward_model=model, seed=cell["seed"])
    agent.learn(1)
    with patch.object(Textualizer, "batch", timed):
        start = time.process_time()
        agent.learn(cell["steps"], reset_num_timesteps=False)
        seconds = time.process_time() - start
    return {
        "text_share": text_seconds / seconds,
        "cpu_seconds": round(seconds, 2),
        "text_seconds": round(text_seconds, 3),
        "steps_per_cpu_second": round(cell["steps"] / seconds),
    }


def main() -> None:
    """Run every environment and judge it."""
    options = arguments(__doc__)
    steps = 2048 if options.quick else STEPS
    grid = [{"env": env, "seed": seed, "steps": steps} for env in ENVIRONMENTS for seed in options.seeds]
    cells = run_cells(grid, measure, options.runs, processes=1)
    claims = []
    for env in ENVIRONMENTS:
        worst = max(cell["text_share"] for cell in cells if cell["env"] == env)
        statement = f"{env}: PPO spends less than {BOUND:.0%} of its time on text (the largest share over seeds)"
        claims.append(claim(f"text-share-{env}", statement, worst, bound=BOUND, holds=worst < BOUND))
    write_results(options.out, cells, claims, options.seeds, clock="CPU time of one thread")


if __name__ == "__main__":
    main()
