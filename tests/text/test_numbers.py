"""Numbers of plain strings become slots, and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.text.batch import TextBatch
from rmgym.text.numbers import (
    DECIMALS,
    escape,
    extract_numbers,
    precise,
    rounded,
    show,
    slot,
    split_template,
)

TABLE = [
    ("no number", "no number", []),
    ("", "", []),
    ("x is 3", "x is {:.0f}", [3.0]),
    ("-0.250 rad", "{:.3f} rad", [-0.25]),
    ("角度3.5度，速度-2", "角度{:.1f}度，速度{:.0f}", [3.5, -2.0]),
    ("agent 007 at v2", "agent 007 at v2", []),
    ("1.2.3", "1.2.3", []),
    ("1e5 and 1e-5 and 2.5E+3", "1e5 and 1e-5 and 2.5E+3", []),
    ("-0 and -0.00", "-0 and -0.00", []),
    ("0.12345678901", "0.12345678901", []),
    ("16777217 and -20000001", "{:.0f} and {:.0f}", [16777217.0, -20000001.0]),
    ("9007199254740991", "{:.0f}", [9007199254740991.0]),
    ("9007199254740993", "9007199254740993", []),
    ("1700000050.123456", "{:.6f}", [1700000050.123456]),
    ("x is -1.2346e-05", "x is {:.4f}", [-1.2346e-05]),
    ("1.0000e-04 is 0.0001, 5.0000e-01 is 0.5000", "1.0000e-04 is {:.4f}, 5.0000e-01 is {:.4f}", [0.0001, 0.5]),
    ("1.2346e-05s, 1.2346e-5, 1.2346E-05, 1.0e-999", "1.2346e-05s, 1.2346e-5, 1.2346E-05, 1.0e-999", []),
    ("9" * 400, "9" * 400, []),
    ("{0} {:.2f} {} 4", "{{{:.0f}}} {{:.2f}} {{}} {:.0f}", [0.0, 4.0]),
    ("{{7}}", "{{{{{:.0f}}}}}", [7.0]),
    ("3-2, (1,2), 5%", "{:.0f}-{:.0f}, ({:.0f},{:.0f}), {:.0f}%", [3.0, 2.0, 1.0, 2.0, 5.0]),
]


@pytest.mark.parametrize(("text", "template", "numbers"), TABLE)
def test_table(text: str, template: str, numbers: list[float]) -> None:
    assert extract_numbers(text) == (template, numbers)
    assert TextBatch.from_strings([text]).strings() == [text]


PIECES = st.one_of(
    st.text(max_size=8),
    st.text(alphabet="{}:.0123456789fEe+-_ ", max_size=12),
    st.text(alphabet="状态行动，。（）0123456789.-", max_size=8),
    st.floats(width=32, allow_nan=True).map(str),
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.floats(-1, 1).map("{:.4e}".format),
    st.just(slot(3)),
)


@given(st.lists(st.lists(PIECES, max_size=6).map("".join), max_size=4))
@settings(max_examples=100)
def test_strings_come_back_as_they_were(texts: list[str]) -> None:
    batch = TextBatch.from_strings(texts)
    assert batch.strings() == texts
    assert np.isfinite(batch.numbers).all()


@given(st.lists(st.tuples(st.text(max_size=6), st.integers(0, 9)), max_size=5), st.text(max_size=6))
@settings(max_examples=100)
def test_a_template_is_split_where_it_was_joined(slots: list[tuple[str, int]], tail: str) -> None:
    template = "".join(escape(piece) + slot(decimals) for piece, decimals in slots) + escape(tail)
    assert split_template(template) == ((*(p for p, _ in slots), tail), tuple(d for _, d in slots))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.0000"),
        (-0.0, "0.0000"),
        (0.5, "0.5000"),
        (-12345.67891, "-12345.6789"),
        (0.01, "0.0100"),
        (0.0123456, "0.0123"),
        (0.00999996, "0.0100"),
        (0.0012, "0.0012"),
        (0.00123456, "1.2346e-03"),
        (-0.0000123456, "-1.2346e-05"),
        (1e-5, "1.0000e-05"),
        (np.float32(1e-5), "1.0000e-05"),
        (np.float32(0.1), "0.1000"),
        (1e-30, "1.0000e-30"),
        (5e-324, "4.9407e-324"),
        (1e20, "100000000000000000000.0000"),
        (0.1 + 2**40, "1099511627776.1001"),
        (0.00005 + 2**42, "4398046511104.0000"),
        (0.00025 + 2**46, "70368744177664.0000"),
    ],
)
def test_a_number_without_a_card_by_hand(value: float, shown: str) -> None:
    assert show(float(precise(np.array([value], np.float64), DECIMALS)[0]), DECIMALS) == shown


FLOATS = st.floats(-1e30, 1e30) | st.floats(-1, 1) | st.floats(-1e-4, 1e-4) | st.floats(-(2.0**90), 2.0**90, width=32)


@given(st.lists(FLOATS, min_size=1, max_size=8), st.integers(0, 9))
@settings(max_examples=100)
def test_what_is_shown_is_the_number_itself(values: list[float], decimals: int) -> None:
    for work in (precise, rounded):
        numbers = work(np.array(values), decimals)
        strings = [show(number, decimals) for number in numbers.tolist()]
        assert [float(said) for said in strings] == numbers.tolist()
        assert not any(said.strip("-0.") == "" and said.startswith("-") for said in strings)
        assert [extract_numbers(said) for said in strings] == [(slot(decimals), [x]) for x in numbers.tolist()]
        batch = TextBatch.from_strings(strings)
        assert batch.strings() == strings
        np.testing.assert_array_equal(work(numbers, decimals), numbers)


@given(FLOATS, st.integers(3, 6))
@settings(max_examples=100)
def test_numbers_one_per_cent_apart_are_told_apart(value: float, decimals: int) -> None:
    other = value * 1.0101
    if other != value and abs(value) > 1e-300:
        shown = [show(number, decimals) for number in precise(np.array([value, other]), decimals).tolist()]
        assert shown[0] != shown[1]
