"""How much faster is a batch of texts than rendering them one at a time?

Three roads to the text of the same 4,096 steps, timed in CPU time (other work on the machine does not count):

- ``batch``: ``Textualizer.batch``, templates and numbers; no string is built. What reward models read.
- ``describe``: ``Textualizer.describe`` for each step: what a wrapper that works step by step would do.
- ``rendered``: ``batch`` and then ``TextBatch.strings``: what it costs where all strings are wanted after all.

    python benchmarks/text_batch.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from common import Cell, arguments, claim, run_cells, write_results

import rmgym
from rmgym.trees import Tree, Value

ENVIRONMENTS = (
    "Pendulum-v1",
    "CartPole-v1",
    "Acrobot-v1",
    "MountainCar-v0",
    "FrozenLake-v1",
    "Taxi-v4",
    "LunarLander-v3",
    "HalfCheetah-v5",
    "Ant-v5",
    "Humanoid-v5",
    "Wide-v0",
    "MiniGrid-Empty-8x8-v0",
    "MiniGrid-DoorKey-8x8-v0",
    "MiniGrid-KeyCorridorS3R3-v0",
)
STEPS = 4096
BOUND = 100.0


class Wide(gym.Env[np.ndarray, int]):
    """As many numbers as are put into words without a card, drawn anew at every step."""

    observation_space = gym.spaces.Box(-1, 1, (512,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin anew."""
        super().reset(seed=seed)
        return self._draw(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Draw once more."""
        return self._draw(), 0.0, False, False, {}

    def _draw(self) -> np.ndarray:
        return self.np_random.uniform(-1, 1, 512).astype(np.float32)


gym.register("Wide-v0", Wide, max_episode_steps=200)


def single(tree: Tree, row: int) -> Value:
    """One observation out of a batch."""
    return {key: part[row] for key, part in tree.items()} if isinstance(tree, dict) else tree[row]


def measure(cell: Cell) -> Cell:
    """Seconds per road for one environment: the median of several repetitions, after one to warm up."""
    steps = rmgym.collect(cell["env"], cell["steps"], seed=cell["seed"], progress=False)
    say = rmgym.textualizer(cell["env"])
    before, after = ([single(tree, row) for row in range(len(steps))] for tree in (steps.obs, steps.next_obs))
    columns = (before, steps.action, after, steps.terminated.tolist(), steps.truncated.tolist())
    rows = list(zip(*columns, strict=True))
    roads: dict[str, Callable[[], object]] = {
        "batch": lambda: say.batch(steps),
        "describe": lambda: [say.describe(*row) for row in rows],
        "rendered": lambda: say.batch(steps).strings(),
    }
    assert roads["describe"]() == roads["rendered"]()
    timed = {name: _median_seconds(road, cell["repetitions"]) for name, road in roads.items()}
    return {
        **{f"{name}_ms": round(1000 * seconds, 3) for name, seconds in timed.items()},
        "templates": len(say.batch(steps).templates),
        "describe_over_batch": round(timed["describe"] / timed["batch"], 1),
        "rendered_over_batch": round(timed["rendered"] / timed["batch"], 1),
    }


def _median_seconds(road: Callable[[], object], repetitions: int) -> float:
    seconds = []
    for _ in range(repetitions):
        start = time.process_time()
        road()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def main() -> None:
    options = arguments(__doc__)
    size = {"steps": 512, "repetitions": 3} if options.quick else {"steps": STEPS, "repetitions": 3}
    grid = [{"env": name, "seed": seed, **size} for name in ENVIRONMENTS for seed in options.seeds]
    cells = run_cells(grid, measure, options.runs, processes=1)
    claims = []
    for name in ENVIRONMENTS:
        ratios = [cell["describe_over_batch"] for cell in cells if cell["env"] == name]
        claims.append(
            claim(
                f"text-batch-{name}",
                f"{name}: the batch road is at least {BOUND:.0f} times faster than describing {size['steps']:,} steps "
                "one at a time (the smallest ratio over seeds).",
                min(ratios),
                bound=BOUND,
                holds=min(ratios) >= BOUND,
            )
        )
    write_results(options.out, cells, claims, options.seeds, clock="CPU time of one thread, median of repetitions")


if __name__ == "__main__":
    main()
