"""Slots: where the numbers and words of a text are, and back.

A template is a Python format string whose only fields are ``{:.Nf}``, one per number, with ``N`` decimals, and
``{:s}``, one per phrase; braces of the text itself are doubled. A number's slot shows it exactly: with ``N`` decimals
where that is all of it, as 0.5000, and else with ``N`` decimals of a power of ten, as 1.2346e-05. So numbers are
rounded before, once, and never narrowed: they are float64. A number found in a plain string becomes a slot by the same
rule that a card's numbers do, so that both roads give the same batch once phrases are written into their slots
(:meth:`rmgym.text.batch.TextBatch.filled`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rmgym.cards.schema import FREE_NUMBER
from rmgym.text.kept import kept

Numbers: TypeAlias = npt.NDArray[np.float64]
LARGEST = float(np.finfo(np.float32).max)
"""Largest number that a slot can hold: models read float32."""
DECIMALS = 4
"""Of a number that no card describes; small ones keep so many digits behind the first."""
EXACT = 2**53
"""Whole numbers below it are exact in float64."""

WORD = "{:s}"
"""The slot of a phrase."""
IS_WORD = -1
"""What stands for the decimals of a phrase's slot."""

_SLOT = re.compile(r"\{:(?:\.([0-9])f|s)\}")
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(23)])  # higher ones are not exact


def slot(decimals: int) -> str:
    """The slot of a number with this many decimals (0 to 9)."""
    return f"{{:.{decimals}f}}"


def escape(text: str) -> str:
    """Double the braces of plain text so that it can stand in a template."""
    return text.replace("{", "{{").replace("}", "}}")


@kept
def split_template(template: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Split a template into its plain pieces and the decimals of the slots between them.

    Returns:
        ``pieces`` (one more than there are slots; braces no longer doubled) and ``decimals``, :data:`IS_WORD` for a
        phrase's slot.
    """
    pieces, decimals, start = list[str](), list[int](), 0
    for match in _SLOT.finditer(template):
        piece = template[start : match.start()]
        if (len(piece) - len(piece.rstrip("{"))) % 2:  # its brace is the second half of a doubled one
            continue
        pieces.append(piece)
        decimals.append(IS_WORD if match[1] is None else int(match[1]))
        start = match.end()
    pieces.append(template[start:])
    return tuple(p.replace("{{", "{").replace("}}", "}") for p in pieces), tuple(decimals)


def is_template(text: str) -> bool:
    """Whether a text's only fields are slots, and all its other braces are doubled."""
    pieces, decimals = split_template(text)
    slots = [*(WORD if d == IS_WORD else slot(d) for d in decimals), ""]
    return text == "".join(escape(piece) + then for piece, then in zip(pieces, slots, strict=True))


def slot_counts(template: str) -> tuple[int, int]:
    """How many slots for numbers, and how many for phrases, a template has."""
    decimals = split_template(template)[1]
    words = decimals.count(IS_WORD)
    return len(decimals) - words, words


@kept
def fill(template: str, phrases: tuple[str, ...]) -> str:
    """A template with phrases written into their slots."""
    pieces, decimals = split_template(template)
    words = iter(phrases)
    slots = [escape(next(words)) if d == IS_WORD else slot(d) for d in decimals]
    return "".join(escape(piece) + then for piece, then in zip(pieces, [*slots, ""], strict=True))


def show(number: float, decimals: int, sign: str = "") -> str:
    """What a slot with so many decimals shows; ``sign="+"`` for one in front of positive numbers too."""
    fixed = f"{number:{sign}.{decimals}f}"
    return fixed if float(fixed) == number else f"{number:{sign}.{decimals}e}"


def render(template: str, numbers: Sequence[float]) -> str:
    """A template, whose phrases are filled in, with its numbers; nothing else in it is acted upon.

    Python's own format language would make a billion spaces of ``{:>999999999}``.
    """
    pieces, decimals = split_template(template)
    shown = [*map(show, numbers, decimals), ""]
    return "".join([part for pair in zip(pieces, shown, strict=True) for part in pair])


def rounded(values: Numbers, decimals: npt.NDArray[np.int64] | int) -> Numbers:
    """Values rounded to so many decimals (halves to even); zero has no sign.

    Where float64 has no more decimals than that, a value stays as it is.
    """
    return _rounded(values, decimals, None)


def precise(
    values: Numbers, decimals: npt.NDArray[np.int64] | int, which: npt.NDArray[np.bool_] | bool = True
) -> Numbers:
    """Values rounded to so many decimals, or where fewer than three digits would be left, to so many of a power of ten.

    With three decimals or more, values that differ by more than one per cent, or by more than one in the last decimal,
    stay apart, whatever their size. Values that are not ``which`` are rounded to so many decimals in any case.
    """
    return _rounded(values, decimals, np.where(which, np.minimum(100, _POWERS[decimals]), 0))


def _rounded(values: Numbers, decimals: npt.NDArray[np.int64] | int, least: Numbers | None) -> Numbers:
    """Values to so many decimals, but those of fewer than ``least`` of the last one to so many of a power of ten."""
    scale = _POWERS[decimals]
    scaled = values * scale
    size = np.abs(scaled)
    small = None if least is None else size < least
    large = size >= EXACT if size.max(initial=0) >= EXACT else None
    np.rint(scaled, out=scaled)  # in place: temporary arrays cost more than the arithmetic
    scaled /= scale
    scaled += 0.0
    shown: Numbers = scaled if large is None else np.where(large, values, scaled)
    if small is not None and small.any():
        small &= values != 0
        shown[small] = _significant(values[small], np.broadcast_to(decimals, values.shape)[small])
    return shown


def _significant(values: Numbers, decimals: npt.NDArray[np.int64]) -> Numbers:
    """Values that are not zero, rounded to one digit before the point of a power of ten and so many behind it."""
    power = decimals - np.floor(np.log10(np.abs(values))).astype(np.int64)
    exact = power < len(_POWERS)
    scale = _POWERS[np.where(exact, power, 0)]
    shown: Numbers = np.rint(values * scale) / scale
    for i in np.flatnonzero(~exact):
        shown[i] = float(f"{values[i]:.{decimals[i]}e}")
    return shown


def extract_numbers(text: str) -> tuple[str, list[float]]:
    """Turn a plain string into a template and its numbers; rendering them gives the same string back.

    A number that float64 cannot print back exactly (too many digits, minus zero) stays a piece of text.
    """
    pieces, numbers, start = list[str](), list[float](), 0
    for match in FREE_NUMBER.finditer(text):
        shown = match[0]
        decimals = len(shown.partition("e")[0].partition(".")[2])
        value = float(shown)
        if decimals > 9 or abs(value) > LARGEST or (value == 0 and shown.startswith("-")):
            continue
        if show(value, decimals) != shown:
            continue
        pieces += [escape(text[start : match.start()]), slot(decimals)]
        numbers.append(value)
        start = match.end()
    return "".join([*pieces, escape(text[start:])]), numbers
