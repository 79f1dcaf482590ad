"""The table of docs/judges.md."""

from __future__ import annotations

from typing import Any

from markdown_table import table


def judges(result: dict[str, Any]) -> str:
    """Every claim with its interval, where it has one."""
    rows = [
        [
            claim["statement"],
            f"{claim['value']:.3f}",
            "–" if claim["ci"] is None else f"{claim['ci'][0]:.2f} to {claim['ci'][1]:.2f}",
            f"{claim['bound']:g}",
            "yes" if claim["holds"] else "no",
        ]
        for claim in result["claims"]
    ]
    whole = f"{len(result['cells'])} of {result['cells_in_all']} cells are measured.\n"
    return table(["claim", "measured", "95 % interval", "at least", "holds"], rows) + "\n" + whole
