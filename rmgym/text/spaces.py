"""Gymnasium spaces as columns of numbers, and a card made from the spaces alone.

Covered here: ``Box`` with at most 64 elements and ``Discrete``. Other spaces are refused with advice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.cards import EnvCard, Field
from rmgym.cards.schema import FREE_NUMBER
from rmgym.errors import CardError, TextError
from rmgym.text.numbers import LARGEST

MAX_ELEMENTS = 64
_COUNTING = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen",
    "zh": "零 一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九",
}
_WORDS = [dict(zip(_COUNTING, words, strict=True)) for words in zip(*map(str.split, _COUNTING.values()), strict=True)]


def paths(space: gym.Space[Any]) -> list[str]:
    """Paths of a space's elements in the order of :func:`columns`; ``""`` is a Discrete value itself.

    Raises:
        TextError: the space cannot be put into words.
    """
    if isinstance(space, gym.spaces.Discrete):
        return [""]
    if isinstance(space, gym.spaces.Box):
        size = math.prod(space.shape)
        if size <= MAX_ELEMENTS:
            return [str(i) for i in range(size)]
        raise TextError(
            f"a Box with more than {MAX_ELEMENTS} elements has no readable text",
            got=space,
            fix="wrap the environment so that it returns the few values that matter, and give it a card",
        )
    raise TextError("Box and Discrete spaces are put into words", got=space, fix="wrap the environment")


def signature(space: gym.Space[Any]) -> str:
    """What of a space shapes the text, such as ``Box(3,)``: bounds and dtype do not."""
    if isinstance(space, gym.spaces.Discrete):
        return f"Discrete({int(space.n)}, start={int(space.start)})"
    return f"{type(space).__name__}{space.shape}"


def columns(space: gym.Space[Any], values: npt.ArrayLike, what: str = "value") -> npt.NDArray[np.float64]:
    """Values of a batch as ``float64 [B, len(paths(space))]``.

    Args:
        space: a Box, or a Discrete.
        values: ``[B, *space.shape]``; ``[B, 1, *space.shape]`` is taken too (SB3 adds such an axis to actions).
        what: how an error calls them.

    Raises:
        TextError: the values do not have the space's shape, are not finite, or are not in a Discrete space.
    """
    array = np.asarray(values, np.float64)
    shape = space.shape or ()
    if array.shape[1:] != shape and array.shape[1:] != (1, *shape):
        raise TextError(f"{what} has the shape of its space", got=f"{array.shape[1:]} for {space}", fix="pass [B, ...]")
    table = array.reshape(len(array), math.prod(shape))
    check_finite(table, lambda column: f"element {column} of {what}" if shape else what)
    if isinstance(space, gym.spaces.Discrete):
        wrong = (table < space.start) | (table >= space.start + space.n) | (table % 1 != 0)
        if wrong.any():
            raise TextError(f"{what} is in its space", got=f"{table[wrong][0]} in {space}", fix="pass raw values")
    return table


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


def card_from_spaces(env_id: str, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> EnvCard:
    """A card for an environment that has none: generic names, four decimals, actions in words.

    Raises:
        TextError: a space cannot be put into words.
    """
    name = FREE_NUMBER.sub("", env_id)
    return EnvCard(
        id=env_id,
        task={"en": f"Act well in the environment {name}.", "zh": f"在环境 {name} 中表现良好。"},
        observation=_fields(observation_space, "obs", {"en": "value", "zh": "观测"}, words=False),
        action=_fields(action_space, "act", {"en": "choice", "zh": "选择"}, words=True),
    )


def _fields(space: gym.Space[Any], key: str, name: dict[str, str], *, words: bool) -> list[Field]:
    if isinstance(space, gym.spaces.Discrete):
        start, labels = int(space.start), dict[int, dict[str, str]]()
        if words and start >= 0 and start + space.n <= len(_WORDS):
            labels = {i: _WORDS[i] for i in range(start, start + int(space.n))}
        return [Field(key=key, name=name, decimals=0, labels=labels)]
    whole = np.issubdtype(space.dtype, np.integer) if space.dtype is not None else False
    return [
        Field(
            key=f"{key}{path}",
            path=path,
            name={language: f"{word} {key}{path}" for language, word in name.items()},
            decimals=0 if whole else 4,
        )
        for path in paths(space)
    ]


def check_fields(fields: list[Field], space: gym.Space[Any], card: EnvCard, what: str) -> None:
    """Refuse a card whose fields are not in the space.

    Raises:
        CardError: a field's path is not in the space, or a discrete value has no words.
    """
    valid = paths(space)
    for field in fields:
        if field.path not in valid:
            raise CardError(
                f"{card.file or card.id}: {what} field {field.key!r} is at a path that the space does not have",
                got=f"path {field.path!r} in {space}",
                fix=f"use one of {', '.join(map(repr, valid[:8]))}, or a card for this space",
            )
        if field.labels and isinstance(space, gym.spaces.Discrete):
            values = set(range(int(space.start), int(space.start + space.n)))
            if values != set(field.labels):
                raise CardError(
                    f"{card.file or card.id}: {what} field {field.key!r} labels other values than the space has",
                    got=sorted(field.labels),
                    fix=f"label exactly {sorted(values)}",
                )
