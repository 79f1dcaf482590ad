"""Slots: where the numbers of a text are, and back.

A template is a Python format string whose only fields are ``{:.Nf}``, one per number, with ``N`` decimals; braces of
the text itself are doubled. A number found in a plain string becomes a slot by the same rule that a card's numbers do,
so that both roads give the same batch.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from rmgym.cards.schema import FREE_NUMBER

LARGEST = float(np.finfo(np.float32).max)
"""Largest number that a slot can hold."""

_SLOT = re.compile(r"(?<!\{)(?:\{\{)*\{:\.([0-9])f\}")


def slot(decimals: int) -> str:
    """The slot of a number with this many decimals (0 to 9)."""
    return f"{{:.{decimals}f}}"


def escape(text: str) -> str:
    """Double the braces of plain text so that it can stand in a template."""
    return text.replace("{", "{{").replace("}", "}}")


@lru_cache(maxsize=65536)
def split_template(template: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Split a template into its plain pieces and the decimals of the slots between them.

    Returns:
        ``pieces`` (one more than there are slots; braces no longer doubled) and ``decimals``.
    """
    pieces, decimals, start = list[str](), list[int](), 0
    for match in _SLOT.finditer(template):
        begin = match.end() - 6  # a slot is always the six characters {:.Nf}
        pieces.append(template[start:begin])
        decimals.append(int(match[1]))
        start = match.end()
    pieces.append(template[start:])
    return tuple(p.replace("{{", "{").replace("}}", "}") for p in pieces), tuple(decimals)


def extract_numbers(text: str) -> tuple[str, list[float]]:
    """Turn a plain string into a template and its numbers; rendering them gives the same string back.

    A number that float32 cannot print back exactly (too many digits, minus zero) stays a piece of text.
    """
    pieces, numbers, start = list[str](), list[float](), 0
    for match in FREE_NUMBER.finditer(text):
        shown = match[0]
        decimals = len(shown.partition(".")[2])
        if decimals > 9 or abs(float(shown)) > LARGEST or (shown.startswith("-") and not shown.strip("-0.")):
            continue
        value = float(np.float32(shown))
        if f"{value:.{decimals}f}" != shown:
            continue
        pieces += [escape(text[start : match.start()]), slot(decimals)]
        numbers.append(value)
        start = match.end()
    return "".join([*pieces, escape(text[start:])]), numbers
