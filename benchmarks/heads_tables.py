"""The tables of docs/heads.md: heads, their parts, and words never labelled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from markdown_table import table, verdicts

Result = dict[str, Any]


def heads(result: Result) -> str:
    """Test R² and Spearman of every arm by environment and ratings; then how good std is."""
    cells, labels = result["cells"], sorted({c["labels"] for c in result["cells"]})
    rows = []
    for env in dict.fromkeys(c["env"] for c in cells):
        for arm in dict.fromkeys(c["arm"] for c in cells if c["env"] == env):
            here = [c for c in cells if (c["env"], c["arm"]) == (env, arm)]
            rows.append([env, arm, *(_scores([c for c in here if c["labels"] == n]) for n in labels)])
    header = ["environment", "head", *(f"R² (each seed); Spearman at {n}" for n in labels)]
    return "\n".join([table(header, rows), _stds(result), verdicts(result)])


def ablation(result: Result) -> str:
    """Test R² and Spearman with one part taken out at a time."""
    cells, rows = result["cells"], []
    places = list(dict.fromkeys((c["env"], c["labels"]) for c in cells))
    for variant in dict.fromkeys(c["variant"] for c in cells):
        here = [c for c in cells if c["variant"] == variant]
        rows.append([variant, *(_scores([c for c in here if (c["env"], c["labels"]) == place]) for place in places)])
    header = ["minilm", *(f"{env}, {labels} ratings" for env, labels in places)]
    about = "R² as mean and each seed, then the mean Spearman.\n"
    return "\n".join([about, table(header, rows), verdicts(result)])


def _scores(cells: list[Result]) -> str:
    """R² as mean and each seed, then the mean Spearman."""
    if not cells:
        return "–"
    r2 = [math.nan if c["r2"] is None else c["r2"] for c in cells]
    rho = [math.nan if c["spearman"] is None else c["spearman"] for c in cells]
    return f"{np.mean(r2):.3f} ({', '.join(f'{x:.3f}' for x in r2)}); {np.mean(rho):.2f}"


def _stds(result: Result) -> str:
    """How good std is, of the arms that have several heads: means over seeds, all ratings from fewest to most."""
    rows = []
    cells = [c for c in result["cells"] if "inside" in c]
    returns = {agent["env"]: agent for agent in result["agents"]}
    for env, arm in dict.fromkeys((c["env"], c["arm"]) for c in cells):
        here = [c for c in cells if (c["env"], c["arm"]) == (env, arm)]
        labels = sorted({c["labels"] for c in here})

        def means(*keys: str, here: list[Result] = here, labels: list[int] = labels) -> str:
            by = [[_at(c, keys) for c in here if c["labels"] == n] for n in labels]
            return ", ".join(f"{np.nanmean(v):.2f}" if np.isfinite(v).any() else "–" for v in map(np.array, by))

        shares = [f"{means(where, 'within1')}; {means(where, 'within2')}" for where in ("inside", "outside")]
        new = ", ".join(f"{np.mean([c['new'] for c in here if c['labels'] == n]):.0f}" for n in labels)
        agent = f"{returns[env]['algo'].upper()} {returns[env]['steps']:,}: {returns[env]['true_return']:.4g}"
        errors = [means("inside", "ece"), means("outside", "ece")]
        rows.append(
            [env, arm, ", ".join(map(str, labels)), *errors, *shares, means("auroc"), means("auroc_new"), new, agent]
        )
    header = [
        "environment",
        "heads",
        "ratings",
        "ECE, random steps",
        "ECE, agent's",
        "within 1; 2 std, random steps",
        "within 1; 2 std, agent's",
        "AUROC of std",
        "AUROC, agent's new steps alone",
        "new steps",
        "agent: steps: true return",
    ]
    return table(header, rows)


def _at(cell: Result, keys: tuple[str, ...]) -> float:
    for key in keys:
        cell = cell.get(key)
    return math.nan if cell is None else float(cell)  # type: ignore[arg-type]


def language(result: Result) -> str:
    """Spearman and R² in words never labelled, and at 200 ratings in the words of the labels."""
    cells, labels = result["cells"], sorted({c["labels"] for c in result["cells"]})
    rows = []
    for setting in dict.fromkeys(c["setting"] for c in cells):
        for arm in dict.fromkeys(c["arm"] for c in cells if c["setting"] == setting):
            here = [c for c in cells if (c["setting"], c["arm"]) == (setting, arm)]
            if all("refused" in c for c in here):
                rows.append([setting, arm, *["refused: unknown characters"] * (len(labels) + 1)])
                continue
            for test in dict.fromkeys(test for c in here for test in c["tests"] if test != "seen"):
                name = setting + test.removeprefix("unseen")
                at = [_unseen([c["tests"][test] for c in here if c["labels"] == n]) for n in labels]
                rows.append([name, arm, *at, _unseen([c["tests"]["seen"] for c in here if c["labels"] == 200])])
    unseen = [f"unseen words, {n} ratings" for n in labels]
    header = ["setting", "model", *unseen, "words of the labels, 200 ratings"]
    about = "Spearman as mean and each seed, the mean R², and the share of steps whose rating lies within two std.\n"
    return "\n".join([about, table(header, rows), verdicts(result)])


def _unseen(tests: list[Result]) -> str:
    """Spearman as mean and each seed, the mean R², and the share of steps whose rating lies within two std."""
    if not tests:
        return "–"
    rho, r2 = ([math.nan if test[key] is None else test[key] for test in tests] for key in ("spearman", "r2"))
    within = np.mean([test["within2"] for test in tests])
    return f"{np.mean(rho):.2f} ({', '.join(f'{x:.2f}' for x in rho)}); {np.mean(r2):.2f}; {within:.2f}"
