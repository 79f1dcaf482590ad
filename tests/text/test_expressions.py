"""Derived fields are arithmetic, and nothing but arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from rmgym.errors import CardError
from rmgym.text.expressions import FUNCTIONS, evaluate

MAP = np.array([[b"S", b"F", b"F"], [b"H", b"F", b"G"]])
NAMES = {"x": np.array([3.0, -4.0]), "y": np.array([4.0, 3.0]), "cell": np.array([0.0, 5.0]), "map": MAP}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x + y * 2 - 1", [10.0, 1.0]),
        ("-x / +y", [-0.75, 4 / 3]),
        ("x // 2", [1.0, -2.0]),
        ("x % 2", [1.0, 0.0]),
        ("hypot(x, y)", [5.0, 5.0]),
        ("atan2(x, y)", [0.6435011087932844, -0.9272952180016122]),
        ("where(x > 0, x, y - 1)", [3.0, 2.0]),
        ("maximum(abs(x), minimum(y, 3))", [3.0, 4.0]),
        ("cell // columns(map)", [0.0, 1.0]),
        ("cell % columns(map)", [0.0, 2.0]),
        ("at(map, cell)", [83.0, 71.0]),
        ("x <= 3", [1.0, 1.0]),
        (" 2 ", 2.0),
    ],
)
def test_arithmetic(expression: str, expected: object) -> None:
    np.testing.assert_allclose(evaluate(expression, NAMES), np.array(expected), rtol=1e-12)


def test_a_map_of_strings_reads_like_one_of_bytes() -> None:
    letters = evaluate("at(map, cell)", {**NAMES, "map": MAP.astype(str)})
    assert letters.tolist() == [83.0, 71.0]


@pytest.mark.parametrize(
    "expression",
    [
        "x.__class__",
        "x.tobytes()",
        "().__class__.__bases__",
        "__import__('os')",
        "abs.__globals__",
        "map[0]",
        "x[0]",
        "[x]",
        "{'a': x}",
        "(x, y)",
        "9 ** 9 ** 9",
        "2 ** x",
        "1 << 1000000",
        "lambda: x",
        "[v for v in x]",
        "x if y else y",
        "x and y",
        "not x",
        "x = 1",
        "x; y",
        "x := 1",
        "import os",
        "f'{x}'",
        "'text'",
        "'a' * 1000000000",
        "True",
        "1j",
        "None",
        "eval('1')",
        "open('/etc/passwd')",
        "print(x)",
        "abs",
        "abs(x, out=y)",
        "abs(x, y)",
        "abs()",
        "unknown + 1",
        "at(map, cell * 100)",
        "columns(x)",
        "x + map",
        "9" * 5000,
        "9" * 400 + " / 3",
        "(" * 500 + "x" + ")" * 500,
        "+".join(["x"] * 20_000),
        "",
    ],
)
def test_everything_else_is_refused(expression: str) -> None:
    with pytest.raises(CardError, match="arithmetic over keys"):
        evaluate(expression, NAMES)


def test_nothing_is_written() -> None:
    before = {key: value.copy() for key, value in NAMES.items()}
    with pytest.raises(CardError):
        evaluate("sin(x, y)", NAMES)
    assert all((NAMES[key] == before[key]).all() and NAMES[key].flags.writeable for key in NAMES)


def test_an_expression_is_evaluated_anew_with_other_names() -> None:
    assert evaluate("x + 1", {"x": np.array([1.0])}).tolist() == [2.0]
    assert evaluate("x + 1", {"x": np.array([5.0])}).tolist() == [6.0]
    with pytest.raises(CardError, match="x"):
        evaluate("x + 1", {"z": np.array([5.0])})


def test_division_by_zero_is_no_error_of_the_card() -> None:
    assert evaluate("1 / x", {"x": np.zeros(1)}).tolist() == [np.inf]


def test_the_error_names_what_there_is() -> None:
    with pytest.raises(CardError) as caught:
        evaluate("speed * 2", NAMES)
    assert "'speed'" in str(caught.value)
    assert all(name in caught.value.fix for name in (*NAMES, *FUNCTIONS))
