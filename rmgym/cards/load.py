"""Read one card file; every mistake in it is an error that names file, key and the nearest valid key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from rmgym.cards.agent_schema import AgentCard
from rmgym.cards.schema import EnvCard
from rmgym.errors import CardError
from rmgym.options import read_options
from rmgym.storage.foreign import read_toml

Card = TypeVar("Card", EnvCard, AgentCard)

_PACKAGE = Path(__file__).resolve().parent.parent
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
    return read_options(kind, content, str(path), CardError, _HELP, internal={"file": str(path)})


def _toml(path: Path) -> dict[str, object]:
    try:
        return read_toml(path)
    except OSError as error:
        raise CardError("a card is a readable file", got=str(path), fix="check the path") from error
    except ValueError as error:
        raise CardError("a card is valid TOML", got=f"{path}: {error}", fix="correct that line") from error


def _read(path: Path, extending: tuple[Path, ...] = ()) -> dict[str, object]:
    """A card's keys, and those of the card it extends where it has none of its own."""
    content, extending = _toml(path), (*extending, path)
    base = content.get("extends")
    if not base or not isinstance(base, str):  # none, or a mistake that the schema explains
        return content
    files = [folder / base for folder in (path.parent, *own_folders("envs"))]
    bases = [file for file in files if file.is_file() and file not in extending]
    if base != Path(base).name or not bases:
        raise CardError(
            f"{path}: 'extends' is the name of another card, in the same folder or of rmgym's own, which does not lead "
            "back here",
            got=base,
            fix="name a file beside it, or one of rmgym's, such as 'MiniGrid.toml'",
        )
    return {**_read(bases[0], extending), **content}
