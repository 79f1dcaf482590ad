"""Folders of the library `datasets <https://huggingface.co/docs/datasets>`_, as ``load_from_disk`` reads them."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from rmgym.errors import FeedbackError, StorageError
from rmgym.imports import needed
from rmgym.storage.atomic import replacing_folder

_EXTRA = "data"
_STATE, _SPLITS = "state.json", "dataset_dict.json"
"""Files that a folder of one table has, and one of several."""


def write_folder(path: str | os.PathLike[str], columns: Mapping[str, Sequence[object]]) -> Path:
    """Write a table as a folder, whole or not at all.

    Raises:
        FeedbackError: the library is not installed.
        StorageError: something else is there, or it cannot be written; what was there before is intact.
    """
    if Path(path).exists() and not (Path(path) / _STATE).is_file():
        rule, fix = "a folder of labels takes the place of another one alone", "name a new folder"
        raise StorageError(rule, got=f"{path}, which is something else", fix=fix)
    needed("datasets", _EXTRA, FeedbackError)
    from datasets import Dataset

    table = Dataset.from_dict(dict(columns))
    with replacing_folder(path, what="a folder of labels") as folder, _quietly():
        table.save_to_disk(folder)
    return Path(path)


def read_folder(path: Path) -> Mapping[str, Sequence[object]]:
    """Columns of such a folder.

    Raises:
        FeedbackError: it is none, holds several tables, or the library is not installed.
    """
    if (path / _SPLITS).is_file():
        names = sorted(part.parent.name for part in path.glob(f"*/{_STATE}"))
        fix = f"name one of them: {path / names[0]}" if names else "save it again"
        raise FeedbackError("labels are one table", got=f"{path}, which holds {', '.join(names)}", fix=fix)
    if not (path / _STATE).is_file():
        fix = "name a database, a table, or a folder that dataset.save_to_disk wrote"
        raise FeedbackError("a folder of labels is one of the library datasets", got=str(path), fix=fix)
    needed("datasets", _EXTRA, FeedbackError)
    from datasets import Dataset

    try:
        columns = Dataset.load_from_disk(str(path), keep_in_memory=True)[:]
    except Exception as error:  # whatever the library meets in a damaged folder
        got = f"{path}: {type(error).__name__}: {error}"
        raise FeedbackError("a folder of labels can be read", got=got, fix="save it again") from error
    return cast("Mapping[str, Sequence[object]]", columns)


@contextmanager
def _quietly() -> Generator[None]:
    """No progress bar for what takes no time."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
