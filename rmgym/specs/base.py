"""What all specs can: become JSON and come back, exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Self, TypeAlias

import numpy as np

from rmgym.errors import RunError
from rmgym.options import read_options

Json: TypeAlias = dict[str, Any]
"""A JSON object; what is in it is known to whoever reads it with :func:`rmgym.options.read_options`."""
_TUPLE, _ARRAY = "__tuple__", "__array__"


class Spec:
    """Base of the frozen dataclasses that say what something is."""

    def to_json(self) -> Json:
        """JSON-able values by name; :meth:`from_json` takes them back."""
        return {field.name: _declared(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, values: Mapping[str, object], owner: str) -> Self:
        """Read what :meth:`to_json` gave.

        Args:
            values: by name.
            owner: where they are from, for errors.

        Raises:
            RunError: a key is unknown or missing, or a value is of the wrong type.
        """
        return read_options(cls, values, owner, RunError)


def exact(values: Mapping[str, object], what: str, fix: str) -> Json:
    """Arguments of a call that survive JSON: numbers, strings, lists, tuples, arrays, and dictionaries of them.

    Returns:
        The arguments as they were, those that came back from JSON included.

    Raises:
        RunError: there is another object among them.
    """
    restored = {name: _restored(value) for name, value in values.items()}
    try:
        json.dumps(_free(restored))
        _refuse_lookalikes(restored)
    except TypeError as error:
        got = f"{restored}: {error}"
        raise RunError(f"{what} are JSON-able, so that a saved agent can make them again", got=got, fix=fix) from error
    return restored


def _declared(value: object) -> Any:
    """A value of a declared field: its type is known where it is read back."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _declared(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_declared(part) for part in value]
    return _free(value)


def _free(value: object) -> Any:
    """A value of which nothing is declared: what JSON would confuse says what it is."""
    if isinstance(value, Mapping):
        return {str(key): _free(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [_free(part) for part in value]}
    if isinstance(value, list):
        return [_free(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {_ARRAY: value.tolist(), "dtype": str(value.dtype)}
    return value


def _refuse_lookalikes(value: object) -> None:
    """Refuse what JSON takes for something simpler: keys that are no strings, enums, named tuples.

    Raises:
        TypeError: there is one.
    """
    if isinstance(value, Mapping):
        for key, part in value.items():
            if type(key) is not str:
                raise TypeError(f"key {key!r} is a {type(key).__name__}, no string")
            _refuse_lookalikes(part)
    elif type(value) in (tuple, list):
        for part in value:  # type: ignore[attr-defined]
            _refuse_lookalikes(part)
    elif isinstance(value, str | int | float | tuple | list) and not (
        isinstance(value, np.generic) or type(value) in (str, int, float, bool)
    ):
        raise TypeError(f"{value!r} is a {type(value).__name__}")


def _restored(value: object) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {_TUPLE} and isinstance(value[_TUPLE], list):
            return tuple(_restored(part) for part in value[_TUPLE])
        if set(value) == {_ARRAY, "dtype"}:
            return _array(value[_ARRAY], value["dtype"])
        return {key: _restored(part) for key, part in value.items()}
    return [_restored(part) for part in value] if isinstance(value, list) else value


def _array(values: object, name: object) -> np.ndarray[Any, Any]:
    """An array of numbers, as :func:`_free` wrote it; no other dtype, some of which make gigabytes of a letter.

    Raises:
        RunError: it is none.
    """
    try:
        dtype = np.dtype(str(name))
        if dtype.kind not in "biuf":
            raise ValueError(f"dtype {name}")
        return np.array(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise RunError("an array in JSON holds numbers", got=f"{name}: {error}", fix="write it again") from error
