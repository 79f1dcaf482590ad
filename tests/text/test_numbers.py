"""Numbers of plain strings become slots, and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.text.batch import TextBatch
from rmgym.text.numbers import escape, extract_numbers, slot, split_template

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
    ("16777217", "16777217", []),
    ("9" * 400, "9" * 400, []),
    ("{0} {:.2f} {} 4", "{{{:.0f}}} {{:.2f}} {{}} {:.0f}", [0.0, 4.0]),
    ("{{7}}", "{{{{{:.0f}}}}}", [7.0]),
    ("3-2, (1,2), 5%", "{:.0f}-{:.0f}, ({:.0f},{:.0f}), {:.0f}%", [3.0, 2.0, 1.0, 2.0, 5.0]),
]


@pytest.mark.parametrize(("text", "template", "numbers"), TABLE)
def test_table(text: str, template: str, numbers: list[float]) -> None:
    assert extract_numbers(text) == (template, numbers)
    assert template.format(*numbers) == text


PIECES = st.one_of(
    st.text(max_size=8),
    st.text(alphabet="{}:.0123456789fEe+-_ ", max_size=12),
    st.text(alphabet="状态行动，。（）0123456789.-", max_size=8),
    st.floats(width=32, allow_nan=True).map(str),
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.just(slot(3)),
)


@given(st.lists(st.lists(PIECES, max_size=6).map("".join), max_size=4))
@settings(max_examples=300)
def test_strings_come_back_as_they_were(texts: list[str]) -> None:
    batch = TextBatch.from_strings(texts)
    assert batch.strings() == texts
    assert np.isfinite(batch.numbers).all()


@given(st.lists(st.tuples(st.text(max_size=6), st.integers(0, 9)), max_size=5), st.text(max_size=6))
@settings(max_examples=100)
def test_a_template_is_split_where_it_was_joined(slots: list[tuple[str, int]], tail: str) -> None:
    template = "".join(escape(piece) + slot(decimals) for piece, decimals in slots) + escape(tail)
    assert split_template(template) == ((*(p for p, _ in slots), tail), tuple(d for _, d in slots))
