"""A function of the user's own that says what steps are worth: how it is called, and what it may give."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.queries import Rows
from rmgym.imports import in_short
from rmgym.transitions import ARRAY_FIELDS, Transitions
from rmgym.trees import Array, Tree, mapped

Function = Callable[..., object]
"""Of all steps at once, or of the parts of one."""
PARTS = ("obs", "action", "next_obs", "terminated", "truncated")
"""Of a step, by the names that a function's parameters have."""
_BY_STEP = "to be called step by step, name its parameters obs, action, next_obs (terminated, truncated)"


@dataclass(frozen=True)
class StepFunction:
    """What steps are worth by a function.

    A function of ``steps`` (or ``transitions``) is called once, with all steps, and gives one number for each, ``[B]``.
    A function whose parameters are parts of a step, as ``obs``, ``action``, ``next_obs``, ``terminated``,
    ``truncated``, is called step by step and gives one number. What it is given cannot be changed.

    Attributes:
        function: what a step is worth, in any unit; higher is better.
        per_step: whether it is called step by step; by default its parameters' names tell. Where they do not, a
            function of one step gets as many parts as it has parameters, in the order above.
        name: what it is called; by default module and name.

    Raises:
        FeedbackError: it is no function, or its parameters do not tell how it is called.
    """

    function: Function
    _: KW_ONLY
    per_step: bool | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise FeedbackError(
                "what steps are worth is told by a function", got=repr(self.function), fix="pass a function of steps"
            )
        if not self.name:
            named = self.function if hasattr(self.function, "__qualname__") else type(self.function)
            object.__setattr__(self, "name", f"{named.__module__}:{named.__qualname__}")
        self._parts  # noqa: B018  # which refuses what is not clear, before anything is asked

    @property
    def identity(self) -> str:
        """``NAME@DIGEST``, of the function's code: one that was changed is another one."""
        code = _code(self.function)
        return self.name + (f"@{hashlib.sha256(code.encode()).hexdigest()[:8]}" if code else "")

    def values(self, transitions: Transitions, rows: Rows) -> npt.NDArray[np.float64]:
        """What some of all steps are worth, ``float64 [N]``.

        Raises:
            FeedbackError: the function fails, or gives anything but one finite number per step.
        """
        from rmgym.randomness import preserved  # which imports torch

        steps = replace(transitions, **{n: mapped(_read_only, getattr(transitions, n)) for n in ARRAY_FIELDS})
        with preserved():
            if self._parts is None:
                values = self._called(functools.partial(self.function, steps), (len(steps),))[rows]
            else:
                values = np.array([self._of_step(steps, row) for row in rows.tolist()])
        values = values.astype(np.float64)
        with np.errstate(over="ignore"):
            wrong = ~np.isfinite(values.astype(np.float32))
        if wrong.any():
            row = int(rows[wrong][0])
            where = f"step {transitions.step[row]} of episode {transitions.episode[row]}"
            raise FeedbackError(
                f"{self.name} gives a finite number for every step",
                got=f"{values[wrong][0]} for {where}, observation {_at(transitions.obs, row)!r}",
                fix="let it return one there, or collect steps for which it has one",
            )
        return values

    @cached_property
    def _parts(self) -> tuple[str, ...] | None:
        """Parts of a step that the function takes; None for one that takes all steps at once."""
        named, needed = _parameters(self.function)
        if self.per_step is not False and self._by_name:
            return named
        if self.per_step and 0 < len(needed) <= len(PARTS):
            return PARTS[: len(needed)]
        if self.per_step is False or (self.per_step is None and needed in (("steps",), ("transitions",))):
            return None
        raise FeedbackError(
            "the parameters of a function tell whether it takes all steps at once or the parts of one",
            got=f"{self.name}({', '.join(needed)})",
            fix=f"{_BY_STEP}; for all at once, its only one steps",
        )

    @cached_property
    def _by_name(self) -> bool:
        """Whether all that the function needs are parts of a step, by their names."""
        named, needed = _parameters(self.function)
        return bool(named) and set(needed) <= set(named)

    def _of_step(self, steps: Transitions, row: int) -> Array:
        """What the function gives for one step."""
        parts = {name: _at(getattr(steps, name), row) for name in self._parts or ()}
        if self._by_name:
            return self._called(functools.partial(self.function, **parts), ())
        return self._called(functools.partial(self.function, *parts.values()), ())

    def _called(self, call: Callable[[], object], shape: tuple[int, ...]) -> Array:
        """What a call of the function gives, of the shape that it is to have."""
        try:
            result = np.asarray(call())
        except Exception as error:  # whatever a user's function does
            raise FeedbackError(
                f"{self.name} says what steps are worth",
                got=in_short(error),
                fix="correct the function; RMGYM_DEBUG=1 shows where it fails",
            ) from error
        if result.shape != shape or result.dtype.kind not in "fiub":
            one = "a number for one step" if not shape else f"one number for each of {shape[0]} steps, [{shape[0]}]"
            raise FeedbackError(
                f"{self.name} gives {one}",
                got=f"{result.dtype} {list(result.shape)}" if result.dtype != object else repr(result),
                fix=_how_to(result.shape, shape),
            )
        return result


def _how_to(got: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """What to do about a result of another shape."""
    if not shape:
        return "take one number: action[0], or float(...)" if got else "return a number"
    if got == (*shape, 1):
        return "take the last axis away: values[:, 0]"
    return f"compute with whole columns, such as -abs(steps.action[:, 0]); {_BY_STEP}"


def _parameters(function: Function) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which parameters are named after parts of a step, and which a call needs; none where a function does not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # as some of C
        return (), ()
    named = tuple(p.name for p in parameters if p.name in PARTS and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return named, tuple(p.name for p in parameters if p.default is p.empty and p.kind not in variable)


def _at(tree: Tree, row: int) -> Tree:
    """One row of a tree of arrays."""
    return mapped(lambda leaf: leaf[row], tree)


def _read_only(leaf: Array) -> Array:
    view = leaf.view()
    view.flags.writeable = False
    return view


def _code(function: Function) -> str:
    """The text of a function's code without comments; empty where there is none."""
    if isinstance(function, functools.partial):
        return f"{_code(function.func)} {function.args} {function.keywords}"
    try:
        text = textwrap.dedent(inspect.getsource(function if hasattr(function, "__qualname__") else type(function)))
    except (OSError, TypeError):
        return ""
    try:
        return ast.unparse(ast.parse(text))
    except SyntaxError:  # a piece of a line, as of a lambda
        return text
