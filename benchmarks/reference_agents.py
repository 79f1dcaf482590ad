"""What does an agent on the true reward earn, where training one fits this machine?

One run of ``rmgym train --reward true`` per seed with the agent card's hyperparameters; the figure is the return of 20
held-out episodes after the last update, over all seeds. ``--write`` puts it into the cards' ``[reference.agent]``
tables. Not run to the end yet: until it is, the cards hold published figures and say whose.

    python benchmarks/reference_agents.py --write
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from common import Cell, arguments, run_cells, write_results
from reference_returns import with_table

from rmgym.cards import find_env_card
from rmgym.runs.train import train
from rmgym.sb3 import evaluate, load_agent

AGENTS = (
    ("Pendulum-v1", "ppo", 100_000),
    ("CartPole-v1", "ppo", 100_000),
    ("Acrobot-v1", "ppo", 200_000),
    ("MountainCar-v0", "dqn", 120_000),
    ("MountainCarContinuous-v0", "sac", 50_000),
    ("FrozenLake-v1", "dqn", 100_000),
    ("FrozenLake8x8-v1", "dqn", 100_000),
    ("Blackjack-v1", "ppo", 100_000),
    ("Taxi-v4", "ppo", 200_000),
    ("CliffWalking-v1", "ppo", 100_000),
    ("MiniGrid-Empty-5x5-v0", "ppo", 100_000),
    ("MiniGrid-Empty-Random-5x5-v0", "ppo", 100_000),
    ("MiniGrid-Empty-6x6-v0", "ppo", 100_000),
    ("MiniGrid-Empty-8x8-v0", "ppo", 100_000),
    ("MiniGrid-DoorKey-5x5-v0", "ppo", 100_000),
    ("MiniGrid-LavaGapS5-v0", "ppo", 100_000),
    ("Reacher-v5", "sac", 30_000),
)
EPISODES = 20


def measure(cell: Cell) -> Cell:
    """Returns of one trained agent."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        steps = cell["steps"]
        train(
            cell["algo"], cell["env"], "true", out=out, total_steps=steps, seed=cell["seed"], eval_every=steps,
            episodes=1, checkpoint_every=steps, progress=False,
        )  # fmt: skip
        played = evaluate(load_agent(out / "agent.zip", "true"), cell["env"], "true", episodes=cell["episodes"])
    return {"returns": played.true_return.tolist(), "mean": float(played.true_return.mean())}


def main() -> None:
    """Train, and write what the agents earn."""
    options = arguments(__doc__, flags={"write": "put the measured returns into the cards"})
    agents = [(env, algo, 2048) for env, algo, _ in AGENTS[:2]] if options.quick else AGENTS
    grid = [
        {"env": env, "algo": algo, "steps": steps, "seed": seed, "episodes": EPISODES}
        for env, algo, steps in agents
        for seed in options.seeds
    ]
    cells = run_cells(grid, measure, options.runs, processes=1)
    references: dict[str, dict[str, float]] = {}
    for env, algo, steps in agents:
        returns = np.concatenate([cell["returns"] for cell in cells if cell["env"] == env])
        measured = {"mean": round(float(returns.mean()), 3), "std": round(float(returns.std(ddof=1)), 3)}
        references[env] = measured
        if options.write:
            card = find_env_card(env)
            assert card is not None
            assert card.id == env
            file, source = Path(card.file), f"benchmarks/reference_agents.py: {algo.upper()}, {steps:,} steps"
            text = with_table(file.read_text(encoding="utf-8"), measured, options.seeds, EPISODES, source, "agent")
            file.write_text(text, encoding="utf-8")
    write_results(options.out, cells, [], options.seeds, references=references)


if __name__ == "__main__":
    main()
