"""The table of ``benchmarks/cleaning.py``."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from markdown_table import table, verdicts


def cleaning(result: dict[str, Any]) -> str:
    """Models with and without cleaning, and whose answers were set aside."""
    rows, cells = [], result["cells"]
    for who, kind, model in dict.fromkeys((c["people"], c["kind"], c["model"]) for c in cells):
        here = [c for c in cells if (c["people"], c["kind"], c["model"]) == (who, kind, model)]
        by = {clean: [c for c in here if c["clean"] is clean] for clean in (False, True)}
        aside = Counter(what.strip() for c in by[True] for what in c["set_aside"])
        seeds = len(by[True])
        whose = "; ".join(f"{what} ({count} of {seeds})" for what, count in sorted(aside.items())) or "nothing"
        means = [f"{np.mean([c[name] for c in by[clean]]):.3f}" for name in ("r2", "pairs") for clean in (False, True)]
        rows.append([who, f"{kind}s", model, str(here[0]["answers"]), *means, whose])
    header = ["people", "answers", "model", "how many", "R² without", "with", "pairs in order without", "with"]
    return table([*header, "set aside (seeds)"], rows) + "\n" + verdicts(result)
