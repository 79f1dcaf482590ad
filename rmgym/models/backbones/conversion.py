"""Weights in another format, converted once into the user's cache.

A GGUF file holds quantised weights. They are dequantised to float32 and written as safetensors, into a folder of their
own that appears whole or not at all: a killed process leaves a temporary folder, which the next conversion removes. A
SHA-256 of each file lies beside them and is checked at each load; a damaged folder is converted again. Of two
processes that need the same folder, one converts and the other waits.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rmgym.errors import ModelError, StorageError
from rmgym.progress import visible
from rmgym.storage.atomic import remove_partials, replacing_folder
from rmgym.storage.locks import held
from rmgym.storage.sums import file_sha256, is_whole, write_sums

_WHAT = "converted weights"


def cache_folder() -> Path:
    """The user's cache of rmgym: ``RMGYM_CACHE`` where it is set, else the place the operating system has for it."""
    if place := os.environ.get("RMGYM_CACHE"):
        return Path(place).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("rmgym", appauthor=False)


def converted_folder(name: str, sha256: str, find_source: Callable[[], Path], *, fix: str) -> Path:
    """Folder with the converted weights of a GGUF file; converted now if it is not there yet or damaged.

    Args:
        name: of the weights, for the folder and for messages.
        sha256: of the GGUF file (hex).
        find_source: gives the GGUF file; called only where it has to be read.
        fix: how to get the file and the package ``gguf``, for errors.

    Raises:
        ModelError: the file is not there or is another one, or ``gguf`` is not installed.
        StorageError: the cache cannot be written.
    """
    folder = cache_folder() / "backbones" / f"{name}-{sha256[:16]}"
    if is_whole(folder):
        return folder
    try:
        lock = folder.with_name(f".{folder.name}.lock")
        with held(lock, what=_WHAT, wait=True, on_wait=partial(_say, f"waiting for another process to convert {name}")):
            if not is_whole(folder):  # else another process has converted it meanwhile
                _convert(name, sha256, find_source(), folder, fix)
    except OSError as error:
        raise StorageError(
            "converted weights are kept in a writable folder with enough space (about 540 MB)",
            got=error.got if isinstance(error, StorageError) else f"{folder}: {error}",
            fix="free space, or set RMGYM_CACHE to another folder",
        ) from error
    return folder


def _convert(name: str, sha256: str, source: Path, folder: Path, fix: str) -> None:
    """Convert, all or nothing; the lock is held."""
    if find_spec("gguf") is None:
        raise ModelError(
            f"converting the weights of {name!r} needs the package gguf", got="it is not installed", fix=fix
        )
    if (total := file_sha256(source)) != sha256:
        raise ModelError(f"the weights of {name!r} are the published ones", got=f"{source}: SHA-256 {total}", fix=fix)
    remove_partials(folder)
    if folder.exists():
        warnings.warn(f"the converted weights in {folder} are damaged and are converted again", stacklevel=2)
    _say(f"converting the weights of {name} once into {folder} (about half a minute)")
    with replacing_folder(folder, what=_WHAT) as new:
        dequantise(source, new)
        write_sums(new)


def dequantise(source: Path, folder: Path) -> None:
    """Write the language model and the tokenizer of a GGUF file, as float32 safetensors and JSON, into a folder."""
    from safetensors.torch import save_file
    from transformers import AutoModel, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": source.name, "local_files_only": True}
    tower: Any = AutoModel.from_pretrained(source.parent, dtype="float32", **where)
    tokenizer: Any = AutoTokenizer.from_pretrained(source.parent, **where)
    save_file(tower.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    # Nothing is quantised any more; save_pretrained would refuse to write such a model.
    del tower.config.quantization_config
    tower.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _say(message: str) -> None:
    print(f"rmgym: {visible(message)}", file=sys.stderr, flush=True)
