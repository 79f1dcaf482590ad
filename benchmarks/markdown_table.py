"""Tables in Markdown."""

from __future__ import annotations

from typing import Any


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def verdicts(result: dict[str, Any]) -> str:
    """Every claim with its bound."""
    rows = [
        [
            c["statement"],
            "–" if c["value"] is None else f"{c['value']:.3g}",
            f"{c['bound']:g}",
            "yes" if c["holds"] else "no",
        ]
        for c in result["claims"]
    ]
    return table(["claim", "measured", "at least", "holds"], rows)
