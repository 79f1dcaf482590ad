"""``rmgym agents``: what algorithms have a card."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rmgym.cards import agent_cards, find_agent_card
from rmgym.cli.completion import agent_names
from rmgym.cli.output import AsJson, out, print_json, table


def agents(
    agent: Annotated[
        str | None,
        typer.Argument(help="A card's name or file; without one, all are listed.", autocompletion=agent_names),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List agent cards, or show one with its hyperparameters and where they come from."""
    if agent is None:
        if as_json:
            print_json([asdict(card) for card in agent_cards()])
            return
        listed = [
            (c.name, c.algorithm, f"{c.total_steps:,}", ", ".join(o.id for o in c.environment) or "-")
            for c in agent_cards()
        ]
        out.print(table(("name", "algorithm", "steps", "tuned for"), listed, right=("steps",)))
        return
    card = find_agent_card(agent)
    if as_json:
        print_json(asdict(card))
        return
    rows = [
        ("algorithm", card.algorithm),
        ("policy", card.policy),
        ("environments", str(card.n_envs)),
        ("steps", f"{card.total_steps:,}"),
        *((key, str(value)) for key, value in card.hyperparameters.items()),
        ("source", card.source or "-"),
        *((f"for {o.id}", f"{_override(o.hyperparameters)}  ({o.source})") for o in card.environment),
    ]
    out.print(table((card.name, ""), rows))


def _override(hyperparameters: dict[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in hyperparameters.items()) or "-"
