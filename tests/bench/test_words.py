import math

import pytest

from rmgym.bench.words import estimate, number, percent, portion
from rmgym.metrics import Interval

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "text"),
    [(-1203.4, "-1,203"), (17.25, "17.2"), (0.974, "0.97"), (NAN, "–"), (0.0, "0.00"), (-0.001, "0.00")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "short", "words"),
    [(0.974, "97%", "97%"), (1.0, "100%", "100%"), (1.12, "≥100%", "at least all"), (-0.66, "-66%", "none")],
)
def test_shares_are_capped(share: float, short: str, words: str) -> None:
    assert (percent(share), portion(share)) == (short, words)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Interval(-172, -190, -155, 3), "-172 [-190, -155]"),
        (Interval(500, NAN, NAN, 3), "500"),
        (Interval(0.5, 0.25, 0.75, 2, 1), "0.50 [0.25, 0.75] (2 of 3 seeds)"),
        (Interval(NAN, NAN, NAN, 0, 3), "undefined"),
        (Interval(NAN, NAN, NAN), "–"),
        (Interval(1, -math.inf, math.inf, 3), "1.00 [unbounded]"),
    ],
)
def test_estimates(value: Interval, text: str) -> None:
    assert estimate(value) == text
