"""What does a policy that acts at random earn in each environment that has a card?

The answer is what learned rewards are measured against: (return - random) / (true-reward agent - random). ``--write``
puts it into the cards' ``[reference.random]`` tables and changes nothing else in them.

    python benchmarks/reference_returns.py --write
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypedDict

import numpy as np
from common import Cell, arguments, claim, run_cells, write_results

from rmgym.cards import EnvCard, env_cards
from rmgym.environments.kinds import Env
from rmgym.environments.make import make_env, register

EPISODES = 100


class Measured(TypedDict, total=False):
    """A return over seeds and episodes; ``ci`` is the 95% interval of the mean."""

    mean: float
    std: float
    ci: list[float]


def measure(cell: Cell) -> Cell:
    """Play episodes with uniformly random actions; one seed for the environment and one for the actions."""
    with make_env(cell["env"]) as env:
        env.action_space.seed(cell["seed"])
        env.reset(seed=cell["seed"])
        returns, lengths = zip(*(_episode(env) for _ in range(cell["episodes"])), strict=True)
    return {"returns": returns, "mean": float(np.mean(returns)), "mean_length": float(np.mean(lengths))}


def _episode(env: Env) -> tuple[float, int]:
    env.reset()
    total, length, over = 0.0, 0, False
    while not over:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        total, length, over = total + float(reward), length + 1, terminated or truncated
    return total, length


def reference(cells: list[Cell]) -> Measured:
    """Mean over seeds and episodes, standard deviation over episodes, 95% interval of the mean."""
    returns = np.concatenate([cell["returns"] for cell in cells])
    mean, std = float(returns.mean()), float(returns.std(ddof=1))
    half = 1.96 * std / np.sqrt(len(returns))
    return {"mean": round(mean, 3), "std": round(std, 3), "ci": [round(mean - half, 3), round(mean + half, 3)]}


def with_table(
    text: str, measured: Measured, seeds: list[int], episodes: int, source: str, kind: str = "random"
) -> str:
    """A card's text with its ``[reference.KIND]`` table replaced, or appended where there is none."""
    table = (
        f"\n\n[reference.{kind}]\nmean = {measured['mean']}\nstd = {measured['std']}\nseeds = {seeds}\n"
        f'episodes = {episodes}\nsource = "{source}"\n'
    )
    old = re.search(rf"\n*^\[reference\.{kind}\]\n(?:\w+ *=.*\n)*", text, re.MULTILINE)
    if old is None:
        return text.rstrip("\n") + table
    return text[: old.start()] + table + text[old.end() :]


def claims_about(card: EnvCard, measured: Measured) -> list[dict[str, object]]:
    """The card's own figure lies in the interval; and a random policy does not solve the environment."""
    low, high = measured["ci"]
    judged = []
    if "random" in card.reference:
        mean = card.reference["random"].mean
        judged.append(
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
        judged.append(
            claim(
                f"unsolved-{card.id}",
                f"A random policy stays below the threshold of {card.id}.",
                measured["mean"],
                ci=measured["ci"],
                bound=card.threshold,
                holds=high < card.threshold,
            )
        )
    return judged


def main() -> None:
    options = arguments(__doc__, flags={"write": "put the measured returns into the cards"})
    episodes = 5 if options.quick else EPISODES
    cards = [card for card in env_cards() if register(card.id)]
    grid = [{"env": card.id, "seed": seed, "episodes": episodes} for card in cards for seed in options.seeds]
    cells = run_cells(grid, measure, options.runs)
    summary = {card.id: reference([cell for cell in cells if cell["env"] == card.id]) for card in cards}
    if options.write:
        for card in cards:
            file = Path(card.file)
            text = file.read_text(encoding="utf-8")
            source = "benchmarks/reference_returns.py"
            file.write_text(with_table(text, summary[card.id], options.seeds, episodes, source), encoding="utf-8")
        env_cards.cache_clear()
        cards = [card for card in env_cards() if register(card.id)]
    claims = [judged for card in cards for judged in claims_about(card, summary[card.id])]
    write_results(options.out, cells, claims, options.seeds, references=summary)


if __name__ == "__main__":
    main()
