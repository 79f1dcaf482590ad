"""Write the tables of README.md, CONTRIBUTING.md and docs/ from the result files. No number in them is typed.

python benchmarks/tables.py            # rewrite what stands between <!-- table: NAME --> and <!-- end -->
python benchmarks/tables.py --check    # exit 1 if that would change anything
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cleaning_table import cleaning
from faults_table import faults
from free_steps_table import free_steps
from heads_tables import ablation, heads, language
from judges_table import judges
from label_losses_table import label_losses
from markdown_table import table, verdicts
from scipy.stats import trim_mean
from suite_runs import Measured, random_policies
from throughput_table import throughput

from rmgym.bench.words import estimate, percent
from rmgym.metrics import mean_ci

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
Result = dict[str, Any]


def returns(result: Result) -> str:
    """Agents by environment, algorithm and reward: true return, share of the range, agreement, every seed; last in each
    environment, a random policy.
    """
    measured = Measured(cells=result["cells"], random=random_policies(result))
    rows = []
    for env in dict.fromkeys(cell["env"] for cell in measured.cells):
        for algo, reward in dict.fromkeys((c["algo"], c["reward"]) for c in measured.cells if c["env"] == env):
            cells = [c for c in measured.cells if (c["env"], c["algo"], c["reward"]) == (env, algo, reward)]
            seeds = ", ".join(f"{c['true_return']:.4g}" for c in cells)
            ranks = mean_ci([math.nan if c["spearman"] is None else c["spearman"] for c in cells])
            rho = "–" if reward == "true" else estimate(ranks._replace(low=math.nan, high=math.nan), _two_digits)
            share = "–" if reward == "true" else estimate(measured.share(env, algo, reward), percent)
            mean = estimate(measured.mean(env, algo, reward), _four_digits)
            rows.append([env, algo.upper(), reward, str(cells[0]["labels"]), mean, share, rho, seeds])
        played = measured.random[env]
        mean = estimate(played.interval(), _four_digits)
        rows.append([env, "random policy", "–", "–", mean, "–", "–", f"{played.size} episodes"])
    header = ["environment", "agent", "reward", "labels", "true return [95 % CI]", "of the range [95 % CI]"]
    return table([*header, "per-step Spearman", "each seed"], rows)


def _four_digits(value: float) -> str:
    return f"{value:.4g}"


def _two_digits(value: float) -> str:
    return f"{value:.2f}"


def label_efficiency(result: Result) -> str:
    """Mean test R² over seeds by model and labels, and scoring speed."""
    rows = []
    labels = sorted({c["labels"] for c in result["cells"]})
    for env, model in dict.fromkeys((c["env"], c["model"]) for c in result["cells"]):
        cells = [c for c in result["cells"] if (c["env"], c["model"]) == (env, model)]
        at = {n: [c["r2"] for c in cells if c["labels"] == n] for n in labels}
        r2 = [f"{np.mean(at[n]):.3f} ({', '.join(f'{x:.3f}' for x in at[n])})" if at[n] else "–" for n in labels]
        rows.append([env, model, *r2, f"{np.median([c['scored_per_second'] for c in cells]):,.0f}"])
    return table(["environment", "numbers, LM", *(f"R² at {n} (each seed)" for n in labels), "steps scored/s"], rows)


def text_batch(result: Result) -> str:
    """Claims of the text benchmark."""
    rows = [[c["statement"], f"{c['value']:,.0f}×", "yes" if c["holds"] else "no"] for c in result["claims"]]
    return table(["claim", "measured", "holds"], rows)


def text_share(result: Result) -> str:
    """Time that PPO spends on text."""
    rows = []
    for env in dict.fromkeys(cell["env"] for cell in result["cells"]):
        cells = [cell for cell in result["cells"] if cell["env"] == env]
        shares = ", ".join(f"{100 * cell['text_share']:.2f} %" for cell in cells)
        rows.append([env, shares])
    return table(["environment", "share of PPO's time spent on text (each seed)"], rows)


def registry_sweep(result: Result) -> str:
    """What came of every environment: those that can be made one by one, the others by their reason."""
    counts, marks = result["counts"], {kind: chr(ord("a") + i) for i, kind in enumerate(result["known_warnings"])}
    tried = [cell for cell in result["cells"] if cell["status"] != "not made"]
    rows = []
    for cell in tried:
        warned = sorted({marks[kind] for kind in marks for warning in cell["warnings"] if kind in warning})
        came = cell["algorithm"].upper() if cell["status"] == "passed" else f"{cell['status']}: {cell['reason']}"
        words = f"`{cell['card']}`" if cell["card"] else "the spaces"
        rows.append([cell["env"], words, cell["observation"], cell["action"], came, " ".join(warned)])
    lines = [f"{len(result['cells'])} ids: {', '.join(f'{count} {kind}' for kind, count in counts.items())}.\n"]
    lines.append(table(["environment", "words from", "observation", "action", "trained, or why not", "warnings"], rows))
    lines += [
        "Warnings:\n",
        *(f"- **{mark}** “{kind}”: {result['known_warnings'][kind]}." for kind, mark in marks.items()),
    ]
    lines.append("\nNot made here, without rmgym already:\n")
    reasons = {cell["env"]: cell["reason"].rpartition("fix: ")[2] for cell in result["cells"] if cell not in tried}
    for reason in dict.fromkeys(reasons.values()):
        lines.append(f"- {', '.join(env for env, other in reasons.items() if other == reason)}: {reason}")
    return "\n".join(lines) + "\n"


def distillation(result: Result) -> str:
    """Agents on the original, on a distilled one, on the original through a student; and a random policy."""
    rows = []
    for arm in ("original", "distilled", "student"):
        cells = [c for c in result["cells"] if c["arm"] == arm]
        seeds = ", ".join(f"{c['true_return']:.4g}" for c in cells)
        mean = estimate(mean_ci([c["true_return"] for c in cells]), _four_digits)
        shares = [c["lm_call_share"] for c in cells if c.get("lm_call_share") is not None]
        errors = [c["audit_error"] for c in cells if c.get("audit_error") is not None]
        share = {"original": "100 %", "distilled": "0 (5,000 before)"}.get(arm) or f"{100 * np.mean(shares):.1f} %"
        error = f"{np.mean(errors):.3f}" if errors else "–"
        rate = f"{np.median([c['steps_per_second'] for c in cells]):,.0f}"
        rows.append([arm, mean, seeds, share, error, rate])
    played = random_policies(result)["Pendulum-v1"]
    mean = estimate(played.interval(), _four_digits)
    rows.append(["random policy", mean, f"{played.size} episodes", "–", "–", "–"])
    header = [
        "reward",
        "true return [95 % CI]",
        "each seed",
        "steps the original read",
        "audited error (std)",
        "steps/s",
    ]
    lines = [table(header, rows)]
    for judged in result["claims"]:
        low, high = judged["ci"]
        verdict = "holds" if judged["holds"] else "fails"
        lines.append(f"- {judged['statement']}: {judged['value']:.3g} [{low:.3g}, {high:.3g}], {verdict}")
    return "\n".join(lines) + "\n"


def loop(result: Result) -> str:
    """True returns of the loop and of what stands beside it."""
    cells, rows = result["cells"], []
    for task, labels, arm in dict.fromkeys((c["task"], c["labels"], c["arm"]) for c in cells):
        here = [c for c in cells if (c["task"], c["labels"], c["arm"]) == (task, labels, arm)]
        returns = [c["true_return"] for c in here]
        cost = np.median([c["asking_seconds"] / c["all_seconds"] for c in here])
        digits = 1 if max(map(abs, returns)) >= 10 else 3  # returns of MiniGrid are at most 1
        each = ", ".join(f"{value:.{digits}f}" for value in returns)
        end = ", ".join(f"{c['true_return_at_the_end']:.{digits}f}" for c in here)
        middle = f"{trim_mean(returns, 0.25):.{digits}f}"
        rows.append([task, arm, str(labels), middle, each, end, f"{100 * cost:.0f} %"])
    header = [
        "task",
        "arm",
        "labels",
        "true return, interquartile mean",
        "each seed",
        "at the end",
        "time spent on asking and refitting",
    ]
    return "\n".join([table(header, rows), verdicts(result)])


def prices(result: Result) -> str:
    """What answers of each kind tell, by the minutes that they take."""
    cells, rows = result["cells"], []
    for env, minutes, kind in dict.fromkeys((c["env"], c["minutes"], c["kind"]) for c in cells):
        here = [c for c in cells if (c["env"], c["minutes"], c["kind"]) == (env, minutes, kind)]
        r2, rho = ([c[name] for c in here] for name in ("r2", "spearman"))
        seconds = f"{here[0]['seconds_each']:g}"
        each = [f"{np.mean(values):.2f} ({', '.join(f'{x:.2f}' for x in values)})" for values in (r2, rho)]
        rows.append([env, str(minutes), kind, seconds, str(here[0]["answers"]), *each])
    rows.sort(key=lambda row: (row[0] != "Pendulum-v1", int(row[1])))
    header = [
        "environment",
        "minutes",
        "answers are",
        "seconds each",
        "answers",
        "R² (each seed)",
        "Spearman (each seed)",
    ]
    return "\n".join([table(header, rows), verdicts(result)])


def devices(result: Result) -> str:
    """Seconds of a fit, steps scored a second, and how far rewards differ, by model and device."""
    rows = []
    for c in result["cells"]:
        fits = "; ".join(f"{c['fit'][device]:.1f}" for device in ("cpu", "cuda"))
        rates = [f"{c['score'][place]:,.0f}" for place in ("cpu, 1 thread", "cpu", "cuda", "cuda, bfloat16")]
        same = [f"{c['differs'][place]:.1g}" for place in ("cuda", "cuda, bfloat16")]
        rows.append([c["arm"], str(c["fit_steps"]), fits, *rates, *same, f"{c['ranks']['cuda, bfloat16']:.4f}"])
    header = [
        "model",
        "steps of a fit",
        "seconds of it: CPU; GPU",
        "steps scored/s: CPU, 1 thread",
        "CPU, all cores",
        "GPU",
        "GPU, bfloat16",
        "differs: GPU",
        "GPU, bfloat16",
        "ranks, bfloat16",
    ]
    about = f"{result['cells'][0]['device']} beside {result['machine']['cores']} CPU cores.\n"
    return "\n".join([about, table(header, rows)])


def floors(result: Result) -> str:
    """The lowest versions that were installed together, by who asks for them, and what their tests came to."""
    rows = []
    for who in dict.fromkeys(cell["asked_by"] for cell in result["cells"]):
        lowest = [f"{c['package']} {c['installed']}" for c in result["cells"] if c["asked_by"] == who]
        rows.append([who if who == "rmgym" else f"extra `{who}`", ", ".join(lowest)])
    counts = ", ".join(f"{count} {outcome}" for outcome, count in result["counts"].items())
    about = f"Python {result['versions']['python']}; tests: {counts}.\n"
    return "\n".join([about, table(["asked for by", "lowest versions, installed together"], rows)])


def page(result: Result) -> str:
    """How long people wait for the next question of the labelling page, and what became of their answers."""
    shown = {"words": "words alone", "pictures": "clips are drawn meanwhile", "kills": "killed twice"}
    rows = [
        [shown[cell["what"]], str(cell["people"]), str(cell["confirmed"]), f"{cell['labels_per_minute']:.0f}"]
        + [f"{cell['milliseconds'][name]:.0f}" for name in ("p50", "p95", "p99")]
        + [str(cell["lost"]), str(cell["doubled"])]
        for cell in result["cells"]
    ]
    waits = [f"{name} of the wait, ms" for name in ("median", "95th percentile", "99th percentile")]
    return table(["server", "people", "answers", "answers per minute", *waits, "lost", "doubled"], rows)


TABLES: dict[str, Callable[[Result], str]] = {
    "pendulum": returns,
    "cartpole": returns,
    "frozenlake": returns,
    "any_environment": returns,
    "label_efficiency": label_efficiency,
    "label_losses": label_losses,
    "heads": heads,
    "ablation": ablation,
    "loop": loop,
    "free_steps": free_steps,
    "prices": prices,
    "cleaning": cleaning,
    "judges": judges,
    "language": language,
    "registry_sweep": registry_sweep,
    "distillation": distillation,
    "devices": devices,
    "floors": floors,
    "text_batch": text_batch,
    "text_share": text_share,
    "throughput": throughput,
    "faults": faults,
    "ui": page,
}


def fill(text: str, root: str = "") -> str:
    """The text with every marked table made anew; ``root`` leads from its folder to the project's."""

    def one(match: re.Match[str]) -> str:
        file = RESULTS / f"{match[2]}.json"
        if not file.exists():
            return f"{match[1]}Not measured yet.\n{match[3]}"
        result = json.loads(file.read_text())
        file_name = f"benchmarks/results/{match[2]}.json"
        command = f"\n`{result['command']}` → [`{file_name}`]({root}{file_name})\n"
        return match[1] + TABLES[match[2]](result) + command + match[3]

    return MARK.sub(one, text)


def main() -> None:
    """Rewrite or check README.md, CONTRIBUTING.md and docs/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        before = file.read_text()
        after = fill(before, "" if file.parent == ROOT else "../")
        if options.check and after != before:
            sys.exit(f"{file.name}: tables differ from benchmarks/results; run python benchmarks/tables.py")
        file.write_text(after)


if __name__ == "__main__":
    main()
