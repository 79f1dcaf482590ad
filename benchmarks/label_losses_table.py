"""The table of docs/label-losses.md: what makes labels count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markdown_table import table, verdicts

from rmgym.bench.words import estimate
from rmgym.metrics import mean_ci

Result = dict[str, Any]
MEASURES = {"r2": "R²", "spearman": "Spearman", "pairs": "pairs in order"}


def label_losses(result: Result) -> str:
    """Measures of each arm by labels, and how far it is above the arm without its part."""
    cells, rows = result["cells"], []
    amounts = sorted({c["labels"] for c in cells})
    for env, arm in dict.fromkeys((c["env"], c["arm"]) for c in cells):
        here, off = [c for c in cells if (c["env"], c["arm"]) == (env, arm)], result["beside"].get(arm)
        row = [env, arm, off or "–"]
        for key in MEASURES:
            at = {n: [c[key] for c in here if c["labels"] == n] for n in amounts}
            means = [f"{np.mean(at[n]):.3f}" if at[n] else "–" for n in amounts]
            gain = estimate(mean_ci(differences(cells, env, arm, off, key)), _signed) if off else "–"
            row += ["; ".join(means), gain]
        rows.append(row)
    header = ["environment", "labels and fit", "beside"]
    for name in MEASURES.values():
        header += [f"{name} at {'; '.join(map(str, amounts))}", "difference [95 % CI]"]
    return "\n".join([table(header, rows), verdicts(result)])


def differences(cells: Sequence[Result], env: str, arm: str, off: str, key: str) -> list[float]:
    """By how much an arm is above another one for each seed, mean over the numbers of labels that all seeds have."""
    at = {(c["arm"], c["labels"], c["seed"]): c[key] for c in cells if c["env"] == env and c["arm"] in (arm, off)}
    seeds = list(dict.fromkeys(seed for *_, seed in at))
    amounts = [n for n in dict.fromkeys(n for _, n, _ in at) if all((a, n, s) in at for a in (arm, off) for s in seeds)]
    return [float(np.mean([at[arm, n, seed] - at[off, n, seed] for n in amounts])) for seed in seeds]


def _signed(value: float) -> str:
    return f"{value:+.3f}"
