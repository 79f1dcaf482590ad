"""Arithmetic of derived fields, evaluated without ``eval`` on whole columns at once.

Allowed: ``+ - * / // %``, comparisons, numbers, keys of fields and facts, and the functions in :data:`FUNCTIONS`.
Attribute access, subscripts and every other piece of Python are refused, so that a card can run no code.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache
from threading import Lock
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
from simpleeval import InvalidExpression, SimpleEval

from rmgym.errors import CardError
from rmgym.trees import Array


def _at(grid: Array, cell: Array) -> Array:
    """Element of a flattened fact, such as the tile under a cell number; letters become their code points."""
    flat = grid.reshape(-1)
    if flat.dtype.kind in "SU":
        flat = flat.astype("U1").view(np.uint32)
    return flat[np.asarray(cell, np.int64)]


FUNCTIONS: dict[str, Callable[..., npt.ArrayLike]] = {
    "abs": np.abs,
    "at": _at,
    "atan2": np.arctan2,
    "columns": lambda grid: grid.shape[1],
    "cos": np.cos,
    "exp": np.exp,
    "floor": np.floor,
    "hypot": np.hypot,
    "log": np.log,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "where": np.where,
}

_OPERATORS: dict[type[ast.AST], Callable[..., Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
}


class _Evaluator(Protocol):
    """What is used of simpleeval, which has no types."""

    names: Mapping[str, Array]
    nodes: dict[type[ast.AST], Callable[..., object]]

    def eval(self, expr: str, previously_parsed: ast.expr) -> npt.ArrayLike:
        """Value of a parsed expression."""
        ...


_NODES = (ast.Name, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Call, ast.Constant)
_MISTAKES = (
    *(InvalidExpression, SyntaxError, AttributeError, KeyError, TypeError, ValueError, IndexError),
    *(ArithmeticError, RecursionError, MemoryError),
)


def evaluate(expression: str, names: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.float64]:
    """Evaluate one expression on columns.

    Args:
        expression: such as ``atan2(y, x)``.
        names: values by key, each ``[B]`` (or a fact of any shape).

    Returns:
        ``float64``, broadcast as NumPy does; NaN or infinite where the arithmetic is, say, a division by zero.

    Raises:
        CardError: the expression is not arithmetic or names something that is not there.
    """
    try:
        tree, evaluator, lock, used = _compile(expression)
        arrays = {key: np.asarray(names[key]).view() for key in used if key in names}
        for array in arrays.values():  # a further argument of NumPy's functions is written to
            array.flags.writeable = False
        with lock, np.errstate(all="ignore"):
            evaluator.names = arrays
            return np.asarray(evaluator.eval(expression, tree), np.float64)
    except _MISTAKES as error:
        raise CardError(
            "a derived field is arithmetic over keys of the card",
            got=f"{expression!r}: {error}",
            fix=f"use the keys {', '.join(names)} and the functions {', '.join(FUNCTIONS)}",
        ) from error


@lru_cache(maxsize=1024)
def _compile(expression: str) -> tuple[ast.expr, _Evaluator, Lock, list[str]]:
    """One expression (a second one, or a statement, is a syntax error) whose only constants are real numbers, and the
    names in it.

    Making an evaluator costs more than using it, so it is kept; the lock is because it holds the names it is used with.
    """
    tree = ast.parse(expression.strip(), mode="eval").body
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) not in (int, float):
            raise ValueError(f"{node.value!r} is not a number")
    evaluator = cast(_Evaluator, SimpleEval(operators=_OPERATORS, functions=FUNCTIONS))
    evaluator.nodes = {node: evaluator.nodes[node] for node in _NODES}
    return tree, evaluator, Lock(), sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
