"""Trees of arrays as one Parquet file: a column per leaf, shapes and structure in the schema's metadata.

Values of ragged spaces are written as JSON. Nothing is pickled, so reading a file executes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rmgym.errors import RmgymError
from rmgym.trees import Array, Tree


def write(path: str | os.PathLike[str], trees: Mapping[str, Tree], metadata: Mapping[str, Any]) -> Path:
    """Write atomically: a temporary file, then a rename.

    Raises:
        RmgymError: the disk is full or not writable, or a dtype cannot be saved; what was at ``path`` is intact.
    """
    import pyarrow.parquet as pq

    table, target = _table(trees, metadata), Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise RmgymError(
            "transitions are saved to a writable folder with enough space",
            got=f"{target}: {error}",
            fix="free space or save elsewhere; what was there before is intact",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return target


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Tree], dict[str, Any]]:
    """Read what :func:`write` wrote: trees by name, and the metadata.

    Raises:
        RmgymError: the file is missing, damaged, or was not written by rmgym.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # read_table would take key=value folders of the path for columns
            table = file.read()
        about = json.loads((table.schema.metadata or {})[b"rmgym"])
        trees = {name: _build(table, about["shapes"], name, form) for name, form in about["forms"].items()}
        return trees, about["metadata"]
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise RmgymError(
            "transitions are read from a Parquet file written by rmgym",
            got=f"{path}: {error}",
            fix="write one with 'rmgym collect ENV --out FILE'",
        ) from error


def _table(trees: Mapping[str, Tree], metadata: Mapping[str, Any]) -> Any:
    """A ``pyarrow.Table``."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    shapes: dict[str, list[int] | str] = {}
    forms = {name: _add(columns, shapes, name, tree) for name, tree in trees.items()}
    about = json.dumps({"shapes": shapes, "forms": forms, "metadata": dict(metadata)})
    return pa.table(columns).replace_schema_metadata({"rmgym": about})


def _add(columns: dict[str, Any], shapes: dict[str, list[int] | str], name: str, tree: Tree) -> Any:
    """Add the columns of a tree; return its structure: None for a leaf, a list or a dictionary of structures."""
    import pyarrow as pa

    if isinstance(tree, dict):
        return {key: _add(columns, shapes, f"{name}.{key}", part) for key, part in tree.items()}
    if isinstance(tree, tuple):
        return [_add(columns, shapes, f"{name}.{i}", part) for i, part in enumerate(tree)]
    if tree.dtype == object:
        shapes[name] = "json"
        columns[name] = pa.array([json.dumps(_plain(value)) for value in tree], pa.string())
        return None
    if tree.dtype.kind not in "biuf" or not tree.dtype.isnative or 0 in tree.shape[1:]:
        raise RmgymError(
            "saved transitions hold booleans, integers and floats in native byte order",
            got=f"{name}: {tree.dtype} {list(tree.shape)}",
            fix="wrap the environment so that it returns such arrays",
        )
    shapes[name] = list(tree.shape[1:])
    flat = pa.array(np.ascontiguousarray(tree).reshape(-1))
    width = int(np.prod(tree.shape[1:], dtype=int))
    columns[name] = flat if tree.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    return None


def _build(table: Any, shapes: Mapping[str, Any], name: str, form: Any) -> Tree:
    if isinstance(form, dict):
        return {key: _build(table, shapes, f"{name}.{key}", part) for key, part in form.items()}
    if isinstance(form, list):
        return tuple(_build(table, shapes, f"{name}.{i}", part) for i, part in enumerate(form))
    column, shape = table[name].combine_chunks(), shapes[name]
    if shape == "json":
        values = np.empty(len(table), object)
        for i, said in enumerate(column.to_pylist()):
            values[i] = _value(json.loads(said))
        return values
    values = column.flatten() if shape else column
    array: Array = values.to_numpy(zero_copy_only=False, writable=True).reshape(len(table), *shape)
    return array


def _plain(value: Any) -> Any:
    """A value of a ragged space as JSON: a list that says what it is, and of what."""
    if isinstance(value, str):
        return value
    if isinstance(value, gym.spaces.GraphInstance):
        return ["graph", *(None if part is None else _plain(part) for part in value)]
    if isinstance(value, dict):
        return ["dict", {key: _plain(part) for key, part in value.items()}]
    if isinstance(value, tuple | list):
        return ["tuple", *(_plain(part) for part in value)]
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise RmgymError(
            "saved transitions hold numbers, strings and containers of them",
            got=f"{type(value).__name__} of dtype {array.dtype}",
            fix="wrap the environment so that it returns such values",
        )
    return ["array", array.dtype.str, list(array.shape), array.reshape(-1).tolist()]


def _value(said: Any) -> Any:
    """Inverse of :func:`_plain`; a list comes back as a tuple."""
    if said is None or isinstance(said, str):
        return said
    kind, *parts = said
    if kind == "graph":
        return gym.spaces.GraphInstance(*(_value(part) for part in parts))
    if kind == "dict":
        return {key: _value(part) for key, part in parts[0].items()}
    if kind == "tuple":
        return tuple(_value(part) for part in parts)
    dtype, shape, flat = parts
    array = np.array(flat, np.dtype(dtype)).reshape(shape)
    return array if shape else array[()]
