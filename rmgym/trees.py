"""Batches of observations and actions of any space, as trees of arrays.

A batch of a ``Dict`` space is a dictionary of batches, one of a ``Tuple`` space a tuple of them. The leaves are arrays
``[B, ...]`` where every value has the same shape (``Box``, ``Discrete``, ``MultiDiscrete``, ``MultiBinary``), and
object arrays ``[B]`` that hold the values themselves where it has not (``Text``, ``Sequence``, ``Graph``, ``OneOf``).
It is what SB3 and Gymnasium's vector environments return, but for the object arrays.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.errors import TextError

Array: TypeAlias = npt.NDArray[Any]
"""Of any dtype."""
Space: TypeAlias = gym.Space[Any]
"""Of any values."""
Value: TypeAlias = Any
"""One value of a space: a number, an array, a string, a dictionary or tuple of values, and so on."""
Tree: TypeAlias = Any
"""``Array | dict[str, Tree] | tuple[Tree, ...]``; spelt out, every use of a plain array would be a case distinction."""
Selection: TypeAlias = slice | Sequence[int] | Array
"""A choice of rows: by slice, indices or boolean mask."""


def is_ragged(space: Space) -> bool:
    """Whether a space's values have no common shape; a space of someone's own may be one of strings (MiniGrid's is)."""
    kinds = (gym.spaces.Text, gym.spaces.Sequence, gym.spaces.Graph, gym.spaces.OneOf)
    return isinstance(space, kinds) or is_text(space)


def is_text(space: Space) -> bool:
    """Whether a space's values are strings."""
    return isinstance(space, gym.spaces.Text) or (space.dtype is not None and np.dtype(space.dtype).kind == "U")


def stack(space: Space, values: Sequence[Value]) -> Tree:
    """Batch single values of a space; nothing in the batch is shared with them.

    Raises:
        TextError: a value lacks a part of the space.
    """
    if isinstance(space, gym.spaces.Dict):
        return {key: stack(part, [_part(value, key, space) for value in values]) for key, part in space.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(stack(part, [_part(value, i, space) for value in values]) for i, part in enumerate(space))
    if is_ragged(space):
        return _objects(values)
    return np.array(values) if len(values) else np.zeros((0, *(space.shape or ())), space.dtype)


def of_batch(space: Space, batched: Tree) -> Tree:
    """Copy the batch that a vector environment returns for ``space``, the space of a single value."""
    if isinstance(space, gym.spaces.Dict):
        return {key: of_batch(part, batched[key]) for key, part in space.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(of_batch(part, batched[i]) for i, part in enumerate(space))
    return _objects(batched) if is_ragged(space) else np.array(batched)


def copier(space: Space) -> Callable[[Tree], Tree]:
    """:func:`of_batch` for one space, without looking at the space again at every batch."""
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple) or is_ragged(space):
        return partial(of_batch, space)
    return np.array


def put(tree: Tree, row: int, value: Value) -> None:
    """Write a single value over row ``row``."""
    if isinstance(tree, dict):
        for key, part in tree.items():
            put(part, row, value[key])
    elif isinstance(tree, tuple):
        for part, inner in zip(tree, value, strict=True):
            put(part, row, inner)
    else:
        tree[row] = copy.deepcopy(value) if tree.dtype == object else value


def take(tree: Tree, rows: Selection) -> Tree:
    """Select rows by slice, indices or boolean mask."""
    return mapped(lambda leaf: leaf[rows], tree)


def concatenate(trees: Sequence[Tree]) -> Tree:
    """Join batches of one space."""
    return mapped(lambda *leaves: np.concatenate(leaves), *trees)


def mapped(work: Callable[..., Array], first: Tree, *others: Tree) -> Tree:
    """Apply ``work`` to the leaves of trees of one structure."""
    if isinstance(first, dict):
        return {key: mapped(work, part, *(other[key] for other in others)) for key, part in first.items()}
    if isinstance(first, tuple):
        return tuple(mapped(work, part, *(other[i] for other in others)) for i, part in enumerate(first))
    return work(first, *others)


def leaves(tree: Tree, path: str = "") -> dict[str, Array]:
    """The leaves by dotted path, such as ``goal.0``; a tree that is one array has the path ``""``."""
    if isinstance(tree, np.ndarray):
        return {path: tree}
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree)
    arrays = dict[str, Array]()
    for key, part in parts:
        arrays |= leaves(part, f"{path}.{key}" if path else str(key))
    return arrays


def batch_size(tree: Tree) -> int:
    """Length ``B`` of a batch, -1 where its leaves differ in length or there is none."""
    lengths = {len(leaf) for leaf in leaves(tree).values()}
    return lengths.pop() if len(lengths) == 1 else -1


def as_tree(given: Tree) -> Tree:
    """Arrays from array-likes; a dictionary, or a tuple of batches, is a tree already."""
    if isinstance(given, dict):
        return {key: as_tree(part) for key, part in given.items()}
    if isinstance(given, tuple) and all(isinstance(part, dict | tuple | np.ndarray) for part in given):
        return tuple(as_tree(part) for part in given)
    return np.asarray(given)


def _part(value: Value, key: object, space: Space) -> Value:
    try:
        return value[key]
    except (KeyError, IndexError, TypeError) as error:
        raise TextError(
            "a value has every part of its space",
            got=f"{value!r}, without {key!r} of {space}",
            fix="correct what the environment returns, or its space",
        ) from error


def _objects(values: Sequence[Value]) -> Array:
    column = np.empty(len(values), object)
    for i, value in enumerate(values):  # assigning them at once would make arrays of equal sequences
        column[i] = copy.deepcopy(value)
    return column
