"""One reader of options: from named values (TOML, JSON, keyword arguments) to a frozen dataclass, or an error in words.

Cards, suites, specs, models and fits are all read here, so that a misspelt key is everywhere refused with its nearest
valid one, and a value of the wrong type with its place.
"""

from __future__ import annotations

import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from rmgym.errors import ModelError, RmgymError, nearest

Options = TypeVar("Options")
_MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")


def read_options(
    kind: type[Options],
    values: Mapping[str, object],
    owner: str,
    error: type[RmgymError] = ModelError,
    hint: str = "",
    *,
    internal: Mapping[str, object] | None = None,
) -> Options:
    """Make a frozen dataclass of named values, nested ones included (lists become tuples where tuples are declared).

    Args:
        kind: the dataclass, or pydantic's.
        values: by name.
        owner: whose options they are, such as a file's path; every error begins with it.
        error: what is raised.
        hint: what to do where a value is wrong or missing.
        internal: fields that only the program sets, with their values; to the user they are unknown.

    Raises:
        RmgymError: (of kind ``error``) a key is unknown or missing, or a value has the wrong type. What the
            dataclass's own checks raise comes through as it is.
    """
    internal = internal or {}
    refuse_unknown(kind, values, owner, error, internal=internal)
    try:
        options: Options = TypeAdapter(kind).validate_python({**values, **internal})
        return options
    except ValidationError as invalid:
        complaint = invalid.errors()[0]
        own = complaint.get("ctx", {}).get("error")
        if isinstance(own, RmgymError):
            raise own from None
        raise _explain(complaint, owner, error, hint, internal) from invalid


def refuse_unknown(
    kind: type,
    values: Mapping[str, object],
    owner: str,
    error: type[RmgymError] = ModelError,
    *,
    internal: Collection[str] = (),
) -> None:
    """Refuse keys that a dataclass, or one nested in it, does not have.

    Args:
        kind: the dataclass.
        values: by name; nested dataclasses are mappings, lists of them, or mappings to them by any key or by one of a
            ``Literal``.
        owner: whose options they are; the error begins with it.
        error: what is raised.
        internal: fields of ``kind`` itself that are not the user's.

    Raises:
        RmgymError: (of kind ``error``) there is one.
    """
    for where, key, valid in _unknown(kind, values, ()):
        elsewhere = [place for place in _places(kind, "") if key in place[1] and key not in internal]
        fix = f"it stands {' or '.join(name for name, _ in elsewhere)}" if elsewhere else ""
        fix = fix or nearest(key, set(valid) - set(internal))
        raise error(f"{owner}: unknown key {'.'.join(where)!r}", got=key, fix=fix)
    for key in values:
        if key in internal:
            valid = set(_hints(kind)) - set(internal)
            raise error(f"{owner}: unknown key {key!r}", got=key, fix=nearest(key, valid))


Unknown = tuple[tuple[str, ...], str, Collection[str]]
"""Where an unknown key stands (itself last), the key, and the valid ones."""


def _unknown(hint: object, value: object, where: tuple[str, ...]) -> Iterator[Unknown]:
    """Unknown keys in a value that is meant to be of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        if isinstance(value, Mapping):
            yield from _unknown_fields(hint, value, where)
    elif origin in (Union, types.UnionType):
        # Of several dataclasses the first: which one is meant, only a discriminator could tell.
        meant = next((part for part in arguments if any(_dataclasses_in(part))), None)
        yield from _unknown(meant, value, where)
    elif origin in (list, tuple, Sequence) and isinstance(value, Sequence) and not isinstance(value, str):
        for i, member in enumerate(value):
            yield from _unknown(arguments[0], member, (*where, str(i)))
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        keys, member_hint = arguments
        valid = get_args(keys) if get_origin(keys) is Literal else value
        for key, member in value.items():
            if key not in valid:
                yield (*where, str(key)), str(key), valid
            else:
                yield from _unknown(member_hint, member, (*where, str(key)))


def _unknown_fields(kind: type, values: Mapping[str, object], where: tuple[str, ...]) -> Iterator[Unknown]:
    hints = _hints(kind)
    for key, value in values.items():
        if key not in hints:
            yield (*where, str(key)), str(key), hints
        else:
            yield from _unknown(hints[key], value, (*where, key))


def _places(kind: type, name: str) -> Iterator[tuple[str, Collection[str]]]:
    """Where keys may stand, in words, and which: in a dataclass and in those nested in it."""
    yield f"in {name!r}" if name else "at the top", _hints(kind)
    for key, hint in _hints(kind).items():
        for nested in _dataclasses_in(hint):
            yield from _places(nested, f"{name}.{key}" if name else key)


@lru_cache(maxsize=256)
def _hints(kind: type) -> dict[str, object]:
    """Types of a dataclass's fields that are arguments, by name."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


def _dataclasses_in(hint: object) -> Iterator[type]:
    """The dataclasses that a type is about: itself, or those of its members."""
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for part in get_args(hint):
        yield from _dataclasses_in(part)


def _explain(
    complaint: ErrorDetails, owner: str, error: type[RmgymError], hint: str, internal: Collection[str]
) -> RmgymError:
    """Pydantic's complaint as one sentence."""
    where = ".".join(str(part) for part in complaint["loc"] if part != "[key]")
    if complaint["type"] in _MISSING:
        given = complaint["input"]
        return error(
            f"{owner}: the key {where!r} is required",
            got=[key for key in given if key not in internal] if isinstance(given, Mapping) else None,
            fix="add it" + (f"; {hint}" if hint else ""),
        )
    message = complaint["msg"].removeprefix("Value error, ")
    place = f" (at {where!r})" if where else ""
    return error(f"{owner}: {message}{place}", got=complaint.get("input") if where else None, fix=hint or "correct it")
