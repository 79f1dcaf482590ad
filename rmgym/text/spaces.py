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
from itertools import chain, count
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.cards import EnvCard, Field
from rmgym.cards.schema import FREE_NUMBER
from rmgym.errors import TextError
from rmgym.text.numbers import DECIMALS, EXACT, LARGEST
from rmgym.trees import Array, Space, is_ragged, is_text

MAX_ELEMENTS = 512
"""Numbers of one leaf, such as a ``Box``, that a card from the spaces alone shows; a card may name more."""
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
    """What of a space shapes the text or says what its numbers mean, such as ``Box(3,) from -1.0 to 1.0``.

    A dtype does not.
    """
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
    if isinstance(space, gym.spaces.Box):
        return f"Box{space.shape} from {_bound(space.low)} to {_bound(space.high)}"
    return f"{type(space).__name__}{space.shape}"


def _bound(bound: Array) -> object:
    """One bound of a Box: a number where all elements have the same."""
    values = bound.astype(np.float64)
    return values.flat[0].item() if values.size and (values == values.flat[0]).all() else values.tolist()


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
        TextError: the values do not have the space's shape, are not finite, are whole numbers of 2^53 or more, or are
            not in a space of whole numbers.
    """
    array = np.asarray(values)
    shape = space.shape or ()
    if array.dtype.kind not in "biuf":
        raise TextError(f"{what} is made of numbers", got=f"{array.dtype} for {space}", fix="return real numbers")
    if array.shape[1:] != shape and array.shape[1:] != (1, *shape):
        raise TextError(f"{what} has the shape of its space", got=f"{array.shape[1:]} for {space}", fix="pass [B, ...]")
    table = array.reshape(len(array), math.prod(shape))
    if chosen is not None:
        table = table[:, chosen]
    table = table.astype(np.float64)
    check_finite(
        table, lambda column: f"element {column if chosen is None else chosen[column]} of {what}" if shape else what
    )
    _check_exact(space, table, array.dtype, what)
    if not isinstance(space, gym.spaces.Box):
        low, count = _whole_numbers(space, chosen)
        wrong = (table < low) | (table >= low + count)
        if array.dtype.kind == "f":
            wrong |= table % 1 != 0
        if wrong.any():
            raise TextError(f"{what} is in its space", got=f"{table[wrong][0]} in {space}", fix="pass raw values")
    return table


def _check_exact(space: Space, table: npt.NDArray[np.float64], dtype: np.dtype[Any], what: str) -> None:
    """Refuse whole numbers of which several are one in float64, or in the dtype that they came in.

    Raises:
        TextError: there is one.
    """
    if space.dtype is None or np.dtype(space.dtype).kind not in "iu" or (dtype.itemsize < 8 and dtype.kind != "f"):
        return
    most = 2 ** (np.finfo(dtype).nmant + 1) if dtype.kind == "f" else EXACT
    if (wrong := np.abs(table) >= most).any():
        raise TextError(
            f"whole numbers in a text are exact, which those of {dtype} are below {most}",
            got=f"{table[wrong][0]:.0f} in {what}, {space}",
            fix="wrap the environment so that it returns smaller ones, such as the difference to the first",
        )


def _whole_numbers(space: Space, chosen: Sequence[int] | None) -> tuple[Array | int, Array | int]:
    """The least value and the number of values, of all elements or of each that is wanted."""
    if isinstance(space, gym.spaces.Discrete):
        return int(space.start), int(space.n)
    if isinstance(space, gym.spaces.MultiDiscrete):
        wanted = slice(None) if chosen is None else chosen
        return space.start.reshape(-1)[wanted], space.nvec.reshape(-1)[wanted]
    return 0, 2


def check_finite(table: npt.NDArray[np.float64], name: Callable[[int], str]) -> None:
    """Refuse numbers that no text can show.

    Args:
        table: ``[B, N]``.
        name: says what a column is, for the error.

    Raises:
        TextError: a number is NaN, infinite, or beyond float32.
    """
    if not np.abs(table).max(initial=0) <= LARGEST:  # NaN is not
        row, column = np.argwhere(~(np.abs(table) <= LARGEST))[0].tolist()
        raise TextError(
            "every number in a text is finite",
            got=f"{table[row, column]} in {name(column)} in row {row}",
            fix="find out why the environment returns it; clip or replace it before rmgym's wrapper",
        )


def card_from_spaces(
    env_id: str, observation_space: Space, action_space: Space, *, has_captioner: bool = False
) -> EnvCard:
    """A card for an environment that has none: generic names, four decimals or digits, actions in words.

    Args:
        env_id: the environment's id.
        observation_space: of the environment.
        action_space: of the environment.
        has_captioner: whether someone says what is on pictures.

    Raises:
        TextError: a leaf cannot be put into words without a card, or there is nothing to say.
    """
    for space, what in ((observation_space, "observation"), (action_space, "action")):
        if not paths(space):
            raise TextError(
                f"the text of a step says something of the {what}",
                got=str(space),
                fix=f"give the environment an {what} space with a value in it, such as Discrete(1)",
            )
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
            unique = next(k for k in chain([field.key], (f"{field.key}_{i}" for i in count(2))) if k not in taken)
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
    whole = space.dtype is not None and np.dtype(space.dtype).kind in "biu"
    separator = "_" if leaf else ""
    return [
        Field(
            key=f"{prefix}{separator}{i}",
            path=path,
            name={"en": prefix},
            decimals=0 if whole else DECIMALS,
            scientific=not whole,
        )
        for i, path in enumerate(elements(leaf, space))
    ]


def unreadable(leaf: str, space: Space) -> TextError:
    """What to say of a leaf that has no readable text of its own: a picture, or more than ``MAX_ELEMENTS`` numbers."""
    where = f"{space} at {leaf!r}" if leaf else str(space)
    if is_image(space):
        return TextError(
            "a picture is put into words by a captioner",
            got=where,
            fix="wrap the environment in rmgym.CaptionWrapper(env, captioner), captioner from uint8 [B, H, W, C] to B "
            "strings, or make it return numbers",
        )
    return TextError(
        f"without a card an array of up to {MAX_ELEMENTS} numbers is put into words",
        got=f"{math.prod(space.shape or ()):,} numbers, {where}",
        fix="give the environment a card that names the few elements that matter (their 'path'), or wrap it so that it "
        "returns them",
    )


def _as_key(path: str) -> str:
    """A path as part of a key: lower-case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_") or "x"
