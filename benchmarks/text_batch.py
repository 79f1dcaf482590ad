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

import gymnasium as gym
import numpy as np
from common import Cell, arguments, claim, run_cells, write_results

from rmgym.cards import env_cards
from rmgym.text import textualizer
from rmgym.transitions import Transitions

STEPS = 4096
BOUND = 100.0


def random_steps(env: gym.Env[object, object], steps: int, seed: int) -> Transitions:
    """Real steps under random actions."""
    env.action_space.seed(seed)
    obs, _ = env.reset(seed=seed)
    rows = []
    for _ in range(steps):
        action = env.action_space.sample()
        next_obs, _, terminated, truncated, _ = env.step(action)
        rows.append((obs, action, next_obs, terminated, truncated))
        obs = env.reset()[0] if terminated or truncated else next_obs
    return Transitions.from_arrays(*(np.asarray(column) for column in zip(*rows, strict=True)))


def measure(cell: Cell) -> Cell:
    """Seconds per road for one environment: the median of several repetitions, after one to warm up."""
    with gym.make(cell["env"]) as env:
        steps = random_steps(env, cell["steps"], cell["seed"])
        say = textualizer(env)
    columns = (steps.obs, steps.action, steps.next_obs, steps.terminated.tolist(), steps.truncated.tolist())
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
    said = arguments(__doc__)
    size = {"steps": 512, "repetitions": 3} if said.quick else {"steps": STEPS, "repetitions": 5}
    names = [card.id for card in env_cards() if card.id in gym.registry]
    grid = [{"env": name, "seed": seed, **size} for name in names for seed in said.seeds]
    cells = run_cells(grid, measure, said.runs, processes=1)
    claims = []
    for name in names:
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
    write_results(said.out, cells, claims, said.seeds, clock="CPU time of one thread, median of repetitions")


if __name__ == "__main__":
    main()
