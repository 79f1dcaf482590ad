"""Where cards are: beside ``rmgym/`` in a checkout, inside it in a wheel, in other packages, or at a path.

Another distribution offers cards through the entry-point group ``rmgym.cards``: the entry point names a package
whose folder holds ``envs/*.toml`` and ``agents/*.toml``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from rmgym.cards.agent_schema import AgentCard
from rmgym.cards.load import load_agent_card, load_env_card, own_folders
from rmgym.cards.schema import EnvCard, specificity
from rmgym.errors import CardError, nearest


def _folders(kind: str) -> Iterator[Path]:
    """Folders of cards: other packages' first, so that where ids are equal theirs win, then rmgym's own.

    Raises:
        CardError: an entry point names a package that is not there.
    """
    for point in entry_points(group="rmgym.cards"):
        try:
            spec = find_spec(point.value)
        except (ImportError, ValueError):  # a missing parent package; "package:attribute"
            spec = None
        if spec is None or spec.submodule_search_locations is None:
            raise CardError(
                "an entry point in the group 'rmgym.cards' names an importable package",
                got=f"{point.name} = {point.value}",
                fix=f"repair or uninstall {point.dist.name if point.dist else 'the distribution that declares it'}",
            )
        yield from (Path(location) / kind for location in spec.submodule_search_locations)
    yield from own_folders(kind)


def _files(kind: str) -> list[Path]:
    return [file for folder in _folders(kind) for file in sorted(folder.glob("*.toml"))]


@cache
def env_cards() -> tuple[EnvCard, ...]:
    """All environment cards that are installed, sorted by id."""
    return tuple(sorted((load_env_card(file) for file in _files("envs")), key=lambda c: c.id))


@cache
def agent_cards() -> tuple[AgentCard, ...]:
    """All agent cards that are installed, sorted by name."""
    return tuple(sorted((load_agent_card(file) for file in _files("agents")), key=lambda c: c.name))


def find_env_card(env_id: str, path: str | os.PathLike[str] | None = None) -> EnvCard | None:
    """Return the card for an environment id: the one at ``path``, else the longest matching pattern, else None.

    Raises:
        CardError: the card at ``path`` cannot be read or is for other environments.
    """
    if path is not None:
        card = load_env_card(path)
        if not card.matches(env_id):
            raise CardError(
                f"a card is used only where its id pattern {card.id!r} matches",
                got=env_id,
                fix=f"widen 'id' in {path} or use another card",
            )
        return card
    matching = (card for card in env_cards() if card.matches(env_id))
    return max(matching, key=lambda card: specificity(card.id, env_id), default=None)


def find_agent_card(name: str | os.PathLike[str]) -> AgentCard:
    """Return the agent card with this name, or the one in the file ``name`` (ending in ``.toml``).

    Raises:
        CardError: there is no such card.
    """
    if str(name).endswith(".toml"):
        return load_agent_card(name)
    for card in agent_cards():
        if card.name == str(name).lower():
            return card
    raise CardError("an algorithm needs a card", got=str(name), fix=nearest(str(name), [c.name for c in agent_cards()]))
