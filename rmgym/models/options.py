"""Options of reward models: a frozen dataclass each, made from named values and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rmgym.errors import ModelError, RmgymError, nearest

Options = TypeVar("Options")


def make_options(kind: type[Options], owner: str, options: Mapping[str, Any]) -> Options:
    """Make a frozen dataclass of options; values are checked against its annotations (lists become tuples).

    Args:
        kind: the dataclass.
        owner: name of the model, for the error.
        options: values by name.

    Raises:
        ModelError: a name is unknown or a value is of the wrong type or impossible.
    """
    assert is_dataclass(kind)
    valid = [field.name for field in fields(kind) if field.init]
    for name in options:
        if name not in valid:
            raise ModelError(f"options of {owner!r} are known", got=name, fix=nearest(name, valid))
    try:
        made: Options = TypeAdapter(kind).validate_python(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        original = first.get("ctx", {}).get("error")
        if isinstance(original, RmgymError):
            raise original from None
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            f"option {where!r} of {owner!r} has the type it is declared with", got=first["input"], fix=first["msg"]
        ) from error
    return made
