"""Trees of arrays as one Parquet file: a column per leaf, shapes and structure in the schema's metadata.

Values of ragged spaces are written as JSON. Nothing is pickled, so reading a file executes nothing. A file holds the
SHA-256 of all that it says, and a checksum of each page, so that no damage is read as other numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from rmgym.errors import RmgymError
from rmgym.storage.atomic import replacing
from rmgym.storage.foreign import parse_json, refuse_irregular
from rmgym.trees import Array, Tree, Value, leaves

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS = (b"rmgym", b"sha256")
"""Of the schema's metadata: JSON about shapes and structure, and the checksum of all that the file says."""


def write(path: str | os.PathLike[str], trees: Mapping[str, Tree], metadata: Mapping[str, object]) -> Path:
    """Write atomically, as :func:`rmgym.storage.atomic.replacing` does.

    Raises:
        RmgymError: a dtype cannot be saved.
        StorageError: the disk is full or not writable; what was at ``path`` is intact.
    """
    table = _table(trees, metadata)
    with replacing(path, what="a file of transitions") as file:
        write_table(table, file)
    return Path(path)


def write_table(table: pa.Table, file: IO[bytes]) -> None:
    """Write a table as Parquet, with a checksum of each page for whoever reads it."""
    import pyarrow.parquet as pq

    pq.write_table(table, file, write_page_checksum=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Tree], dict[str, Any]]:
    """Read what :func:`write` wrote: trees by name, and the metadata.

    Raises:
        RmgymError: the file is missing, damaged, or was not written by rmgym.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        refuse_irregular(Path(path))
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            # pq.read_table would take key=value folders of the path for columns.
            table = file.read()
        text, total = ((table.schema.metadata or {})[key] for key in _KEYS)
        if _sha256(text, table) != total:
            raise ValueError("its SHA-256 is not the one that it was written with")
        about = parse_json(text)
        shapes, forms, metadata = (_table_of(about, name) for name in ("shapes", "forms", "metadata"))
        return {name: _build(table, shapes, name, form) for name, form in forms.items()}, metadata
    except (OSError, KeyError, TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise foreign_file(path, str(error)) from error


def foreign_file(path: str | os.PathLike[str], why: str) -> RmgymError:
    """What is to be said of a file that holds something else."""
    return RmgymError(
        "transitions are read from a Parquet file written by rmgym",
        got=f"{path}: {why}",
        fix="write one with 'rmgym collect ENV --out FILE'",
    )


def _table(trees: Mapping[str, Tree], metadata: Mapping[str, object]) -> pa.Table:
    """A table with a column per leaf."""
    import pyarrow as pa

    arrays = {path: leaf for name, tree in trees.items() for path, leaf in leaves(tree, name).items()}
    forms = {name: _form(tree) for name, tree in trees.items()}
    shapes = {path: "json" if leaf.dtype == object else list(leaf.shape[1:]) for path, leaf in arrays.items()}
    about = json.dumps({"shapes": shapes, "forms": forms, "metadata": dict(metadata)})
    columns = {path: _column(path, leaf) for path, leaf in arrays.items()}
    table = pa.table(columns)
    return table.replace_schema_metadata({"rmgym": about, "sha256": _sha256(about.encode(), table)})


def _sha256(about: bytes, table: pa.Table) -> bytes:
    """SHA-256 (hex) of the names, types and values of columns, and of what is said about them.

    Raises:
        ValueError: a column holds neither strings nor numbers.
    """
    import pyarrow as pa

    total = hashlib.sha256(about)
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_string(column.type):
            total.update(json.dumps([name, column.to_pylist()]).encode())
            continue
        values = np.ascontiguousarray(_numbers(column, name, is_list=True).to_numpy(zero_copy_only=False))
        total.update(f"{name} {values.dtype} {len(values)}".encode())
        total.update(values.tobytes())
    return total.hexdigest().encode()


def _form(tree: Tree) -> object:
    """The structure of a tree: None for a leaf, a list or a dictionary of structures."""
    if isinstance(tree, dict):
        return {key: _form(part) for key, part in tree.items()}
    return [_form(part) for part in tree] if isinstance(tree, tuple) else None


def _column(path: str, leaf: Array) -> pa.Array:
    import pyarrow as pa

    if leaf.dtype == object:
        return pa.array([json.dumps(_plain(value)) for value in leaf], pa.string())
    if leaf.dtype.kind not in "biuf" or not leaf.dtype.isnative or 0 in leaf.shape[1:]:
        raise RmgymError(
            "saved transitions hold booleans, integers and floats in native byte order",
            got=f"{path}: {leaf.dtype} {list(leaf.shape)}",
            fix="wrap the environment so that it returns such arrays",
        )
    flat = pa.array(np.ascontiguousarray(leaf).reshape(-1))
    width = int(np.prod(leaf.shape[1:], dtype=int))
    return flat if leaf.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, width)


def _table_of(about: object, name: str) -> dict[str, Any]:
    """A JSON object in a JSON object.

    Raises:
        ValueError: there is none.
    """
    inner = about.get(name) if isinstance(about, dict) else None
    if not isinstance(inner, dict):
        raise ValueError(f"its metadata has no table {name!r}")
    return inner


def _build(table: pa.Table, shapes: Mapping[str, object], name: str, form: object) -> Tree:
    if isinstance(form, dict):
        return {key: _build(table, shapes, f"{name}.{key}", part) for key, part in form.items()}
    if isinstance(form, list):
        return tuple(_build(table, shapes, f"{name}.{i}", part) for i, part in enumerate(form))
    column, shape = table[name].combine_chunks(), shapes[name]
    if shape == "json":
        values = np.empty(len(table), object)
        for i, text in enumerate(column.to_pylist()):
            values[i] = _value(parse_json(text))
        return values
    if not isinstance(shape, list):
        raise ValueError(f"the shape of {name!r} is {shape!r:.40}")
    numbers = _numbers(column, name, is_list=bool(shape)).to_numpy(zero_copy_only=False, writable=True)
    array: Array = numbers.reshape(len(table), *shape)
    return array


def _numbers(column: pa.Array, name: str, *, is_list: bool) -> pa.Array:
    """The numbers of a column, or of the lists of one length in it.

    Raises:
        ValueError: something else is there.
    """
    from pyarrow import types

    values = column.flatten() if is_list and types.is_fixed_size_list(column.type) else column
    kind = values.type
    if not (types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)):
        raise ValueError(f"{name!r} holds {column.type!s:.40}, where numbers belong")
    if column.null_count or values.null_count:
        raise ValueError(f"{name!r} has empty places")
    return values


def _plain(value: Value) -> object:
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


def _value(plain: Any) -> Any:
    """Inverse of :func:`_plain`; a list comes back as a tuple.

    Raises:
        ValueError: it is nothing that :func:`_plain` gives.
    """
    if plain is None or isinstance(plain, str):
        return plain
    match plain:
        case ["graph", nodes, edges, links]:
            return gym.spaces.GraphInstance(_value(nodes), _value(edges), _value(links))
        case ["dict", dict(parts)]:
            return {key: _value(part) for key, part in parts.items()}
        case ["tuple", *parts]:
            return tuple(_value(part) for part in parts)
        case ["array", str(name), list(shape), list(flat)] if (dtype := np.dtype(name)).kind in "biuf":
            array = np.array(flat, dtype).reshape(shape)
            return array if shape else array[()]
        case _:
            raise ValueError(f"no value of a space is written as {str(plain)[:40]}")
