"""Read one card file; every mistake in it is an error that names file, key and the nearest valid key."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rmgym.cards.schema import AgentCard, EnvCard, EnvironmentOverride, Field, Grid, Reference, Symmetry
from rmgym.errors import CardError, nearest

Card = TypeVar("Card", EnvCard, AgentCard)

_PACKAGE = Path(__file__).resolve().parent.parent
_TABLES: dict[str, type] = {
    "observation": Field,
    "derived": Field,
    "grid": Grid,
    "action": Field,
    "symmetries": Symmetry,
    "reference": Reference,
    "environment": EnvironmentOverride,
}
_MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")
_HELP = "see 'A card, line by line' in CONTRIBUTING.md"


def own_folders(kind: str) -> Iterator[Path]:
    """Folders of rmgym's own cards, ``envs`` or ``agents``."""
    yield _PACKAGE / kind  # a wheel carries them inside,
    if (_PACKAGE.parent / "pyproject.toml").is_file():  # a checkout beside; site-packages/agents is someone else's
        yield _PACKAGE.parent / kind


def load_env_card(path: str | os.PathLike[str]) -> EnvCard:
    """Read an environment card.

    Raises:
        CardError: the file is missing, is not TOML, or holds a key or value that a card may not.
    """
    return _load(EnvCard, Path(path))


def load_agent_card(path: str | os.PathLike[str]) -> AgentCard:
    """Read an agent card; errors as in :func:`load_env_card`."""
    return _load(AgentCard, Path(path))


def _load(kind: type[Card], path: Path) -> Card:
    content = _read(path) if kind is EnvCard else _toml(path)
    if "file" in content:
        raise CardError("'file' is set by rmgym", got=str(path), fix="remove the key 'file'")
    try:
        return TypeAdapter(kind).validate_python({**content, "file": str(path)})
    except ValidationError as error:
        raise _explain(kind, path, error) from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError("a card is a readable file", got=str(path), fix="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError("a card is valid TOML", got=f"{path}: {error}", fix="correct that line") from error


def _read(path: Path, extending: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A card's keys, and those of the card it extends where it has none of its own."""
    content, extending = _toml(path), (*extending, path)
    base = content.get("extends")
    if not base or not isinstance(base, str):  # none, or a mistake that the schema explains
        return content
    files = [folder / base for folder in (path.parent, *own_folders("envs"))]
    found = [file for file in files if file.is_file() and file not in extending]
    if base != Path(base).name or not found:
        raise CardError(
            f"{path}: 'extends' is the name of another card, in the same folder or of rmgym's own, which does not lead "
            "back here",
            got=base,
            fix="name a file beside it, or one of rmgym's, such as 'MiniGrid.toml'",
        )
    return {**_read(found[0], extending), **content}


def _unknown(error: Any) -> bool:
    """Whether pydantic complains of a key; that of a dictionary with fixed keys is a literal error at ``[key]``."""
    kind: str = error["type"]
    is_literal = kind == "literal_error" and error["loc"][-1] == "[key]"
    return is_literal or kind in ("unexpected_keyword_argument", "extra_forbidden")


def _explain(kind: type[Any], path: Path, error: ValidationError) -> CardError:
    """Turn pydantic's complaints into one sentence, about an unknown key (the likeliest slip) if there is one."""
    said = error.errors()
    first = next((e for e in said if _unknown(e)), said[0])
    loc = [str(part) for part in first["loc"] if part != "[key]"]
    if _unknown(first):
        owner = kind if len(loc) == 1 else _TABLES.get(loc[0], kind)
        # A dictionary with fixed keys lists them as "'random' or 'agent'".
        valid = re.findall(r"'(\w+)'", first.get("ctx", {}).get("expected", "")) or [f.name for f in fields(owner)]
        valid = [name for name in valid if name != "file"]
        return CardError(f"{path}: unknown key {'.'.join(loc)!r}", got=loc[-1], fix=nearest(loc[-1], valid))
    if first["type"] in _MISSING:
        here = [key for key in first["input"] if key != "file"] if isinstance(first["input"], dict) else None
        return CardError(f"{path}: the key {'.'.join(loc)!r} is required", got=here, fix=f"add it; {_HELP}")
    where = f" (at {'.'.join(loc)!r})" if loc else ""
    return CardError(
        f"{path}: {first['msg'].removeprefix('Value error, ')}{where}",
        got=first.get("input") if loc else None,
        fix=_HELP,
    )
