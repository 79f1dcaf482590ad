"""Tables of what unrated steps and standard deviations in the reward add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markdown_table import table


def free_steps(result: dict[str, Any]) -> str:
    """Offline by environment, ratings and arm; agents by ratings before training and kappa; then every claim."""
    fits, loops = ([c for c in result["cells"] if c["part"] == part] for part in ("offline", "loop"))
    rows = list[list[str]]()
    for env, labels, arm in sorted(dict.fromkeys((c["env"], c["labels"], c["arm"]) for c in fits), key=_place(fits)):
        cells = [c for c in fits if (c["env"], c["labels"], c["arm"]) == (env, labels, arm)]
        keys = ("spearman_agent", "spearman_random", "r2_agent", "r2_random")
        rows.append([env, str(labels), arm, *(_each([c[key] for c in cells]) for key in keys)])
    measures = ("Spearman, agent's steps", "Spearman, random steps", "R², agent's", "R², random")
    parts = [table(["environment", "ratings", "arm", *measures], rows)]
    rows = []
    for first, kappa in dict.fromkeys((c["first"], c["kappa"]) for c in loops):
        cells = [c for c in loops if (c["first"], c["kappa"]) == (first, kappa)]
        returns = [[c[key] for c in cells] for key in ("true_return", "true_return_at_the_end")]
        mean = f"{np.mean(returns[0]):.1f}"
        rows.append([str(first), kappa, mean, *(", ".join(f"{value:.1f}" for value in each) for each in returns)])
    header = ["ratings before training", "kappa", "true return of kept agents, mean", "each seed", "at the end"]
    parts += [table(header, rows)] if rows else []
    claims = [[c["statement"], _interval(c), "yes" if c["holds"] else "no"] for c in result["claims"]]
    return "\n".join([*parts, table(["claim", "difference [95 % CI]", "holds"], claims)])


def _place(cells: Sequence[dict[str, Any]]) -> Any:
    envs, arms = (list(dict.fromkeys(c[key] for c in cells)) for key in ("env", "arm"))
    return lambda row: (envs.index(row[0]), row[1], arms.index(row[2]))


def _each(values: Sequence[float | None]) -> str:
    numbers = [np.nan if value is None else value for value in values]
    return f"{np.mean(numbers):.2f} ({', '.join(f'{x:.2f}' for x in numbers)})"


def _interval(claim: dict[str, Any]) -> str:
    ci = claim["ci"]
    return f"{claim['value']:.3g}" + ("" if ci is None else f" [{ci[0]:.3g}, {ci[1]:.3g}]")
