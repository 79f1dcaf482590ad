"""Gymnasium spaces as columns of numbers, and a card made from the spaces alone.

A *leaf* is a part of a space that is neither ``Dict`` nor ``Tuple``; its dotted path is ``goal.position`` or ``1``, and
``""`` where the whole space is one leaf. Leaves of fixed size hold *elements*, numbers with a path each: that of the
leaf and the element's index in it (``goal.position.2``; for a ``Discrete`` leaf its own). Other leaves give fragments
of text (:mod:`rmgym.text.ragged`), and have one path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.cards import EnvCard, Field
from rmgym.cards.schema import FREE_NUMBER
from rmgym.errors import CardError, TextError
from rmgym.text.numbers import LARGEST
from rmgym.trees import Space, is_ragged, is_text

MAX_ELEMENTS = 64
"""Elements of a leaf that an automatic card shows; more have no readable text."""
FIXED = (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)
_COUNTING = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen",
    "zh": "零 一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九",
}
_WORDS = [dict(zip(_COUNTING, words, strict=True)) for words in zip(*map(str.split, _COUNTING.values()), strict=True)]


def leaf_spaces(space: Space, path: str = "") -> dict[str, Space]:
    """The leaves of a space by path.

    Raises:
        TextError: a leaf is of a kind that cannot be put into words, or two have the same path.
    """
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        parts = space.items() if isinstance(space, gym.spaces.Dict) else enumerate(space)
        leaves = dict[str, Space]()
        for key, part in parts:
            inner = leaf_spaces(part, f"{path}.{key}" if path else str(key))
            if doubled := sorted(set(leaves) & set(inner)):
                raise TextError("every leaf of a space has a path of its own", got=doubled, fix="rename a key")
            leaves |= inner
        return leaves
    if isinstance(space, FIXED) or is_ragged(space):
        return {path: space}
    raise TextError("Gymnasium's own spaces are put into words", got=space, fix="wrap the environment")


def paths(space: Space) -> list[str]:
    """Paths that a card's field can name: every element of fixed leaves, every other leaf.

    Raises:
        TextError: as for :func:`leaf_spaces`.
    """
    return [path for leaf, part in leaf_spaces(space).items() for path in elements(leaf, part)]


def elements(leaf: str, space: Space) -> list[str]:
    """Paths of one leaf's elements, in order."""
    if isinstance(space, gym.spaces.Discrete) or is_ragged(space):
        return [leaf]
    return [f"{leaf}.{i}" if leaf else str(i) for i in range(math.prod(space.shape or ()))]


def is_image(space: Space) -> bool:
    """Whether a leaf is a picture, ``uint8 [H, W]`` or ``[H, W, C]`` of more than 64 numbers."""
    size = math.prod(space.shape or ())
    return isinstance(space, gym.spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3) and size > 64


def signature(space: Space) -> str:
    """What of a space shapes the text, such as ``Box(3,)``: bounds and dtype do not."""
    if isinstance(space, gym.spaces.Dict):
        return "{" + ", ".join(f"{key!r}: {signature(part)}" for key, part in space.items()) + "}"
    if isinstance(space, gym.spaces.Tuple):
        return "(" + ", ".join(signature(part) for part in space) + ")"
    if isinstance(space, gym.spaces.Discrete):
        return f"Discrete({int(space.n)}, start={int(space.start)})"
    if isinstance(space, gym.spaces.MultiDiscrete):
        return f"MultiDiscrete({space.nvec.tolist()}, start={space.start.tolist()})"
    if is_text(space):
        return "Text"
    if isinstance(space, gym.spaces.Sequence):
        return f"Sequence({signature(space.feature_space)})"
    if isinstance(space, gym.spaces.OneOf):
        return " or ".join(signature(part) for part in space.spaces)
    if isinstance(space, gym.spaces.Graph):
        return f"Graph({', '.join('' if p is None else signature(p) for p in (space.node_space, space.edge_space))})"
    return f"{type(space).__name__}{space.shape}"


def columns(
    space: Space, values: npt.ArrayLike, what: str = "value", chosen: Sequence[int] | None = None
) -> npt.NDArray[np.float64]:
    """Values of a batch of one fixed leaf as ``float64 [B, elements]``.

    Args:
        space: the leaf's space.
        values: ``[B, *space.shape]``; ``[B, 1, *space.shape]`` is taken too (SB3 adds such an axis to actions).
        what: how an error calls them.
        chosen: which elements are wanted; None for all. The others are not looked at.

    Raises:
        TextError: the values do not have the space's shape, are not finite, or are not in a space of whole numbers.
    """
    array = np.asarray(values)
    shape = space.shape or ()
    if array.shape[1:] != shape and array.shape[1:] != (1, *shape):
        raise TextError(f"{what} has the shape of its space", got=f"{array.shape[1:]} for {space}", fix="pass [B, ...]")
    elements = np.arange(math.prod(shape)) if chosen is None else np.asarray(chosen)
    table = array.reshape(len(array), math.prod(shape))[:, elements].astype(np.float64)
    check_finite(table, lambda column: f"element {elements[column]} of {what}" if shape else what)
    if not isinstance(space, gym.spaces.Box):
        low, count = (np.broadcast_to(n, math.prod(shape))[elements] for n in _whole_numbers(space))
        wrong = (table < low) | (table >= low + count) | (table % 1 != 0)
        if wrong.any():
            raise TextError(f"{what} is in its space", got=f"{table[wrong][0]} in {space}", fix="pass raw values")
    return table


def _whole_numbers(space: Space) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    """The least value and the number of values of every element."""
    if isinstance(space, gym.spaces.Discrete):
        return int(space.start), int(space.n)
    if isinstance(space, gym.spaces.MultiDiscrete):
        return space.start.reshape(-1), space.nvec.reshape(-1)
    return 0, 2


def check_finite(table: npt.NDArray[np.float64], name: Callable[[int], str]) -> None:
    """Refuse numbers that no text can show.

    Args:
        table: ``[B, N]``.
        name: says what a column is, for the error.

    Raises:
        TextError: a number is NaN, infinite, or beyond float32.
    """
    good = np.abs(table) <= LARGEST
    if not good.all():
        row, column = np.argwhere(~good)[0].tolist()
        raise TextError(
            "every number in a text is finite",
            got=f"{table[row, column]} in {name(column)} in row {row}",
            fix="find out why the environment returns it; clip or replace it before rmgym's wrapper",
        )


def card_from_spaces(
    env_id: str, observation_space: Space, action_space: Space, *, has_captioner: bool = False
) -> EnvCard:
    """A card for an environment that has none: generic names, four decimals, actions in words.

    Args:
        env_id: the environment's id.
        observation_space: of the environment.
        action_space: of the environment.
        has_captioner: whether someone says what is on pictures.

    Raises:
        TextError: a leaf cannot be put into words without a card.
    """
    name = FREE_NUMBER.sub("", env_id)
    return EnvCard(
        id=env_id,
        task={"en": f"Act well in the environment {name}.", "zh": f"在环境 {name} 中表现良好。"},
        observation=_fields(observation_space, "obs", {"en": "value", "zh": "观测"}, has_captioner, words=False),
        action=_fields(action_space, "act", {"en": "choice", "zh": "选择"}, has_captioner, words=True),
    )


def _fields(space: Space, key: str, name: dict[str, str], has_captioner: bool, *, words: bool) -> list[Field]:
    fields, taken = list[Field](), set[str]()
    for leaf, part in leaf_spaces(space).items():
        for field in _leaf_fields(leaf, part, key, has_captioner, words=words):
            unique = next(k for k in (field.key, *(f"{field.key}_{i}" for i in range(2, 10_000))) if k not in taken)
            taken.add(unique)
            shown_name = (
                name if leaf == "" and unique == key else {lang: f"{word} {unique}" for lang, word in name.items()}
            )
            fields.append(replace(field, key=unique, name=shown_name))
    return fields


def _leaf_fields(leaf: str, space: Space, key: str, has_captioner: bool, *, words: bool) -> list[Field]:
    """Fields of one leaf, with keys that other leaves may have too."""
    prefix = f"{key}_{_as_key(leaf)}" if leaf else key
    if is_ragged(space) or (is_image(space) and has_captioner):
        return [Field(key=prefix, path=leaf, name={"en": prefix})]
    if isinstance(space, gym.spaces.Discrete):
        start, labels = int(space.start), dict[int, dict[str, str]]()
        if words and start >= 0 and start + space.n <= len(_WORDS):
            labels = {i: _WORDS[i] for i in range(start, start + int(space.n))}
        return [Field(key=prefix, path=leaf, name={"en": prefix}, decimals=0, labels=labels)]
    if is_image(space) or math.prod(space.shape or ()) > MAX_ELEMENTS:
        raise unreadable(leaf, space)
    whole = space.dtype is not None and np.issubdtype(space.dtype, np.integer)
    separator = "_" if leaf else ""
    return [
        Field(key=f"{prefix}{separator}{i}", path=path, name={"en": prefix}, decimals=0 if whole else 4)
        for i, path in enumerate(elements(leaf, space))
    ]


def unreadable(leaf: str, space: Space) -> TextError:
    """What to say of a leaf that has no readable text of its own: a picture, or more than 64 elements."""
    where = f"{space} at {leaf!r}" if leaf else str(space)
    if is_image(space):
        return TextError(
            "a picture is put into words by a captioner",
            got=where,
            fix="wrap the environment in rmgym.CaptionWrapper(env, captioner), captioner from uint8 [B, H, W, C] to B "
            "strings, or make it return numbers",
        )
    return TextError(
        f"a leaf with more than {MAX_ELEMENTS} elements has no readable text",
        got=where,
        fix="give the environment a card that names the few elements that matter (their 'path'), or wrap it so that it "
        "returns them",
    )


def _as_key(path: str) -> str:
    """A path as part of a key: lower-case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_") or "x"


def check_fields(fields: list[Field], space: Space, card: EnvCard, what: str) -> None:
    """Refuse a card whose fields are not in the space.

    Raises:
        CardError: a field's path is not in the space, or a discrete value has no words.
    """
    leaves = leaf_spaces(space)
    owner = {path: part for leaf, part in leaves.items() for path in elements(leaf, part)}
    owner |= {leaf: part for leaf, part in leaves.items() if is_image(part)}
    for field in fields:
        if field.path not in owner:
            raise CardError(
                f"{card.file or card.id}: {what} field {field.key!r} is at a path that the space does not have",
                got=f"path {field.path!r} in {space}",
                fix=f"use one of {', '.join(map(repr, list(owner)[:8]))}, or a card for this space",
            )
        part = owner[field.path]
        if field.labels and not isinstance(part, FIXED):
            raise CardError(
                f"{card.file or card.id}: {what} field {field.key!r} has labels, which are for numbers",
                got=str(part),
                fix="remove its labels",
            )
        if field.labels and isinstance(part, gym.spaces.Discrete):
            values = set(range(int(part.start), int(part.start + part.n)))
            if values != set(field.labels):
                raise CardError(
                    f"{card.file or card.id}: {what} field {field.key!r} labels other values than the space has",
                    got=sorted(field.labels),
                    fix=f"label exactly {sorted(values)}",
                )
