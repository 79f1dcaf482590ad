"""What was asked in each round of a loop, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rmgym.bench.words import number
from rmgym.evaluation.log import Row
from rmgym.runs.record import Round

HEADERS = ("round", "steps", "labels", "agreement", "true return", "learned return", "asked")
"""Columns of :func:`cells`; all but the last are numbers."""


def cells(rounds: Sequence[Round], evaluations: Sequence[Row]) -> list[list[str]]:
    """One row per round; returns are those of its last evaluation, under its own model.

    Where standard deviations were added to the reward (``κ``), they stand beside the round's number.

    Args:
        rounds: of one loop.
        evaluations: rows of its ``comparison.csv``.
    """
    last = {int(row["round"]): row for row in evaluations}
    return [
        [
            f"{each.number}, κ {each.kappa:g}" if each.kappa else str(each.number),
            f"{each.steps:,}",
            f"{each.labels:,}",
            "–" if each.agreement is None else f"{each.agreement:.3f}",
            *(number(last.get(each.number, {}).get(f"{of}_return_mean", math.nan)) for of in ("true", "learned")),
            ", ".join(f"{count} {reason}" for reason, count in each.asked.items()) or "nothing",
        ]
        for each in rounds
    ]
