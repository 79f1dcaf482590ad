"""Whether a card was written for a space: every element of it is named, or said to be left out."""

from __future__ import annotations

from itertools import groupby
from typing import Literal

import gymnasium as gym

from rmgym.cards import EnvCard, Field
from rmgym.errors import CardError, TextError
from rmgym.text.spaces import FIXED, elements, is_image, leaf_spaces
from rmgym.trees import Space

Part = Literal["observation", "action"]
_MOST_SHOWN = 8


def check_card(card: EnvCard, part: Part, space: Space) -> None:
    """Refuse a card that was written for another space.

    Args:
        card: the card.
        part: which of its fields are checked.
        space: where they are.

    Raises:
        CardError: a path is not in the space, a discrete value has no words, or an element of the space is neither
            named nor said to be left out, or both.
        TextError: the space is empty.
    """
    owner = f"{card.file or card.id}: "
    leaves = leaf_spaces(space)
    if not leaves:
        raise TextError(
            f"an {part} holds something", got=str(space), fix="use a space with a value, such as Discrete(1)"
        )
    inside = {leaf: elements(leaf, leaf_space) for leaf, leaf_space in leaves.items()}
    named, places = set[str](), {path: leaf for leaf, paths in inside.items() for path in paths}
    fields: list[Field] = getattr(card, part)
    for field in fields:
        where = f"{owner}{part} field {field.key!r}"
        is_picture = field.path in leaves and is_image(leaves[field.path])
        if field.path not in places and not is_picture:
            raise CardError(
                f"{where} is at a path that the space does not have",
                got=f"path {field.path!r} in {space}",
                fix=f"use one of {_listed(list(places))}, or a card for this space",
            )
        leaf = field.path if is_picture else places[field.path]
        _check_labels(field, leaves[leaf], where)
        named |= {*inside[leaf]} if is_picture else {field.path}
    for grid in card.grid if part == "observation" else ():
        named |= {*inside.get(grid.path, ())}
    left_out = set[str]()
    for entry in getattr(card.left_out, part):
        left_out |= _meant(entry, inside, places, f"{owner}left_out.{part}")
    if both := [path for path in places if path in named and path in left_out]:
        raise CardError(f"{owner}left_out.{part} has what a field names", got=both, fix="remove it from one of them")
    if missing := [r for paths in inside.values() for r in _ranges(paths, named | left_out)]:
        raise CardError(
            f"{owner}a card fits the space it was written for: it names every element, or says that it is left out",
            got=f"{space}, with nothing about {_listed(missing)}",
            fix=f"use a card for this space, or name them, or write left_out.{part} = [{_listed(missing)}] in the card",
        )


def _check_labels(field: Field, space: Space, where: str) -> None:
    if field.labels and not isinstance(space, FIXED):
        raise CardError(f"{where} has labels, which are for numbers", got=str(space), fix="remove its labels")
    if field.labels and isinstance(space, gym.spaces.Discrete):
        values = set(range(int(space.start), int(space.start + space.n)))
        if values != set(field.labels):
            raise CardError(
                f"{where} labels other values than the space has",
                got=sorted(field.labels),
                fix=f"label exactly {sorted(values)}",
            )


def _meant(entry: str, inside: dict[str, list[str]], places: dict[str, str], where: str) -> set[str]:
    """The elements that one entry of ``left_out`` is about: one, a leaf's, or those from one to another."""
    first, dots, last = entry.partition("..")
    if entry in places:
        return {entry}
    if entry in inside:
        return {*inside[entry]}
    if dots and first in places and places.get(last) == places[first]:
        order = inside[places[first]]
        if between := order[order.index(first) : order.index(last) + 1]:
            return {*between}
    raise CardError(
        f"{where} has paths of the space, or 'first..last'", got=entry, fix=f"use some of {_listed(list(places))}"
    )


def _ranges(paths: list[str], named: set[str]) -> list[str]:
    """The elements of one leaf that are not named, neighbours as ``first..last``."""
    runs = [list(run) for is_named, run in groupby(paths, named.__contains__) if not is_named]
    return [run[0] if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs]


def _listed(paths: list[str]) -> str:
    return ", ".join(f'"{path}"' for path in paths[:_MOST_SHOWN]) + (", …" if len(paths) > _MOST_SHOWN else "")
