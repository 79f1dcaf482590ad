"""Settings of jobs as JSON has them, and how two of them differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, cast

from rmgym.errors import JobError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class _Missing:
    def __repr__(self) -> str:
        return "(not there)"


_MISSING = _Missing()


def as_json(settings: Mapping[str, Json], owner: str) -> dict[str, Json]:
    """Settings as they will be when read back from a file: tuples become lists, keys become strings.

    Raises:
        JobError: they hold something that JSON cannot say.
    """
    try:
        return cast("dict[str, Json]", json.loads(json.dumps(dict(settings))))
    except (TypeError, ValueError) as error:  # a ValueError where they contain themselves
        raise JobError(
            f"the settings of {owner} are numbers, strings, lists and dictionaries of them",
            got=str(error),
            fix="pass names and values instead of objects",
        ) from error


def differences(before: Mapping[str, Json], now: Mapping[str, Json], path: str = "") -> Iterator[str]:
    """What differs between two settings read from JSON, as ``a.b: 1 -> 2``, sorted by key."""
    for key in sorted({*before, *now}):
        old, new = before.get(key, _MISSING), now.get(key, _MISSING)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, f"{path}{key}.")
        elif not _same(old, new):
            yield f"{path}{key}: {old!r} -> {new!r}"


def _same(old: Json | _Missing, new: Json | _Missing) -> bool:
    """Equality in which what is not a number equals itself, and neither True equals 1 nor a missing key None."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, bool) is not isinstance(new, bool):
        return False
    return old == new or (old != old and new != new)
