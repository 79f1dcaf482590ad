"""What does a policy that acts at random earn in each environment that has a card?

The answer is what learned rewards are measured against: (return - random) / (true-reward agent - random). ``--write``
puts it into the cards' ``[reference.random]`` tables and changes nothing else in them.

    python benchmarks/reference_returns.py --write
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from common import Cell, arguments, claim, run_cells, write_results

from rmgym.cards import EnvCard, env_cards
from rmgym.text.environment import make_from_id, register

EPISODES = 100


def measure(cell: Cell) -> Cell:
    """Play episodes with uniformly random actions; one seed for the environment and one for the actions."""
    with make_from_id(cell["env"]) as env:
        env.action_space.seed(cell["seed"])
        env.reset(seed=cell["seed"])
        returns, lengths = zip(*(_episode(env) for _ in range(cell["episodes"])), strict=True)
    return {"returns": returns, "mean": float(np.mean(returns)), "mean_length": float(np.mean(lengths))}


def _episode(env: gym.Env[Any, Any]) -> tuple[float, int]:
    env.reset()
    total, length, over = 0.0, 0, False
    while not over:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        total, length, over = total + float(reward), length + 1, terminated or truncated
    return total, length


def reference(cells: list[Cell]) -> dict[str, Any]:
    """Mean over seeds and episodes, standard deviation over episodes, 95% interval of the mean."""
    returns = np.concatenate([cell["returns"] for cell in cells])
    mean, std = float(returns.mean()), float(returns.std(ddof=1))
    half = 1.96 * std / np.sqrt(len(returns))
    return {"mean": round(mean, 3), "std": round(std, 3), "ci": [round(mean - half, 3), round(mean + half, 3)]}


def with_table(
    text: str, measured: dict[str, Any], seeds: list[int], episodes: int, source: str, kind: str = "random"
) -> str:
    """A card's text with its ``[reference.KIND]`` table replaced, or appended where there is none."""
    table = (
        f"\n\n[reference.{kind}]\nmean = {measured['mean']}\nstd = {measured['std']}\nseeds = {seeds}\n"
        f'episodes = {episodes}\nsource = "{source}"\n'
    )
    found = re.search(rf"\n*^\[reference\.{kind}\]\n(?:\w+ *=.*\n)*", text, re.MULTILINE)
    if found is None:
        return text.rstrip("\n") + table
    return text[: found.start()] + table + text[found.end() :]


def claims_about(card: EnvCard, measured: dict[str, Any]) -> list[dict[str, Any]]:
    """The card's own figure lies in the interval; and a random policy does not solve the environment."""
    low, high = measured["ci"]
    said = []
    if "random" in card.reference:
        mean = card.reference["random"].mean
        said.append(
            claim(
                f"random-{card.id}",
                f"The random return in the card of {card.id} lies in the 95% interval measured here.",
                measured["mean"],
                ci=measured["ci"],
                bound=mean,
                holds=low <= mean <= high,
            )
        )
    if card.threshold is not None:
        said.append(
            claim(
                f"unsolved-{card.id}",
                f"A random policy stays below the threshold of {card.id}.",
                measured["mean"],
                ci=measured["ci"],
                bound=card.threshold,
                holds=high < card.threshold,
            )
        )
    return said


def main() -> None:
    said = arguments(__doc__, flags={"write": "put the measured returns into the cards"})
    episodes = 5 if said.quick else EPISODES
    cards = [card for card in env_cards() if register(card.id)]
    grid = [{"env": card.id, "seed": seed, "episodes": episodes} for card in cards for seed in said.seeds]
    cells = run_cells(grid, measure, said.runs)
    summary = {card.id: reference([cell for cell in cells if cell["env"] == card.id]) for card in cards}
    if said.write:
        for card in cards:
            file = Path(card.file)
            text = file.read_text(encoding="utf-8")
            source = "benchmarks/reference_returns.py"
            file.write_text(with_table(text, summary[card.id], said.seeds, episodes, source), encoding="utf-8")
        env_cards.cache_clear()
        cards = [card for card in env_cards() if register(card.id)]
    claims = [said for card in cards for said in claims_about(card, summary[card.id])]
    write_results(said.out, cells, claims, said.seeds, references=summary)


if __name__ == "__main__":
    main()
