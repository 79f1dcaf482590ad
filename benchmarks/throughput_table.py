"""The tables of throughput.py."""

from __future__ import annotations

from typing import Any

from markdown_table import table

Result = dict[str, Any]
_ARCHITECTURES = {
    "minilm": "late fusion, MiniLM once per template, five heads 128 x 2",
    "minilm, one head": "the same, one head",
    "smollm2": "late fusion, SmolLM2-135M once per template, five heads 128 x 2",
    "no-lm": "the same heads on hashed words, no language model",
    "seq2seq small": "encoder-decoder d128 x 3, every step",
    "seq2seq reference": "encoder-decoder 512 x 4, every step",
    "early minilm": "MiniLM, 22M, every step",
    "early minilm, distilled": "its student: late fusion, five heads 128 x 2",
}


def throughput(result: Result) -> str:
    """Training beside plain SB3, scoring beside a bare MLP, and the other claims; then where the time goes."""
    verdicts = {(claim["statement"], claim["bound"]): claim["holds"] for claim in result["claims"]}
    rows = []
    for cell in (c for c in result["cells"] if c["what"] in ("training", "cold")):
        statement = f"{cell['algo'].upper()}, {cell['env']}: steps/s on {cell['model']} / plain SB3 on the true reward"
        judged = [
            (said.removeprefix(statement), bound, holds)
            for (said, bound), holds in verdicts.items()
            if said.startswith(statement) and said.endswith("(from the first step)") == (cell["what"] == "cold")
        ]
        when, bound, holds = judged[0] if judged else ("", None, False)
        asked = "–" if bound is None else f"{bound:.2f}: {'holds' if holds else 'fails'}"
        read = f"{cell['numbers']:.0f}" + (f" / {cell['tokens']}" if cell["tokens"] else "")
        what = [cell["model"], _ARCHITECTURES[cell["model"]], read]
        rest = max(1 - cell["ratio"] - cell["model_share"], 0)
        shares = f"{100 * cell['model_share']:.1f} / {100 * rest:.1f} %"
        rows.append([cell["algo"].upper(), cell["env"] + when, *what, *_rates(cell), shares, asked])
    header = ["agent", "environment", "reward model", "what runs", "numbers / tokens per step"]
    header += ["steps/s, learned / true", "ratio (pairs)", "of its time: model / text and recording", "asked for"]
    lines = [table(header, rows), _scored(result)]
    others = [c for c in result["claims"] if "plain SB3" not in c["statement"]]
    rows = [
        [c["statement"], _three_digits(c["value"]), _three_digits(c["bound"]), "yes" if c["holds"] else "no"]
        for c in others
    ]
    lines.append(table(["measure", "value", "asked for", "holds"], rows))
    for cell in (c for c in result["cells"] if c["what"] == "profile"):
        shares = ", ".join(f"`{name}` {100 * share:.0f} %" for name, share in cell["profile"].items())
        lines.append(f"Where the time of scoring a rollout goes ({cell['model']}, {cell['env']}): {shares}.\n")
    return "\n".join(lines)


def _scored(result: Result) -> str:
    """Steps scored per second, beside a bare MLP."""
    rows = [
        [
            cell["env"],
            cell["model"],
            *(f"{cell[f'{of}_per_second']:,.0f}" for of in ("scored", "text", "bare_mlp")),
            f"{cell['ratio']:.2f} ({min(cell['ratios']):.2f}–{max(cell['ratios']):.2f})",
        ]
        for cell in result["cells"]
        if cell["what"] == "rate"
    ]
    header = ["rollout of 4,096 steps", "reward model", "steps scored/s, text included", "text alone", "bare MLP"]
    return table([*header, "scored / bare MLP (pairs)"], rows)


def _rates(cell: Result) -> list[str]:
    """Steps per second on both rewards, and their ratio over the pairs."""
    rates = f"{cell['learned_steps_per_second']:,.0f} / {cell['plain_steps_per_second']:,.0f}"
    return [rates, f"{cell['ratio']:.2f} ({min(cell['ratios']):.2f}–{max(cell['ratios']):.2f})"]


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
