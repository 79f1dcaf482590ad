"""Weights in another format, converted once into the user's cache.

A GGUF file holds quantised weights. They are dequantised to float32 and written as safetensors, into a folder of their
own that appears whole or not at all: a killed process leaves a temporary folder, which the next conversion removes. A
SHA-256 of each file lies beside them and is checked at each load; a damaged folder is converted again. Of two
processes that need the same folder, one converts and the other waits.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rmgym.errors import ModelError

SUMS = "sha256.json"
"""File of a converted folder that holds the SHA-256 of the others."""


def cache_folder() -> Path:
    """The user's cache of rmgym: ``RMGYM_CACHE`` where it is set, else the place the operating system has for it."""
    if said := os.environ.get("RMGYM_CACHE"):
        return Path(said).expanduser()
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
        ModelError: the file is not there or is another one, ``gguf`` is not installed, or the cache cannot be written.
    """
    folder = cache_folder() / "backbones" / f"{name}-{sha256[:16]}"
    if is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if not is_whole(folder):  # else another process has converted it meanwhile
                _convert(name, sha256, find_source(), folder, fix)
    except OSError as error:
        raise ModelError(
            "converted weights are kept in a writable folder with enough space (about 540 MB)",
            got=f"{folder}: {error}",
            fix="free space, or set RMGYM_CACHE to another folder",
        ) from error
    return folder


def is_whole(folder: Path) -> bool:
    """Whether every file of a converted folder is there and is what was written."""
    try:
        said: Any = json.loads((folder / SUMS).read_text(encoding="utf-8"))
        return bool(said) and all(file_sha256(folder / file) == total for file, total in said.items())
    except (OSError, ValueError, AttributeError):
        return False


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Hold the lock of a folder; the operating system frees it when its holder dies."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"waiting for another process to convert {folder.name}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _convert(name: str, sha256: str, source: Path, folder: Path, fix: str) -> None:
    """Convert into a temporary folder and move it into place; the lock is held."""
    if find_spec("gguf") is None:
        raise ModelError(
            f"converting the weights of {name!r} needs the package gguf", got="it is not installed", fix=fix
        )
    if (found := file_sha256(source)) != sha256:
        raise ModelError(f"the weights of {name!r} are the published ones", got=f"{source}: SHA-256 {found}", fix=fix)
    for abandoned in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(abandoned, ignore_errors=True)
    if folder.exists():
        warnings.warn(f"the converted weights in {folder} are damaged and are converted again", stacklevel=2)
    _say(f"converting the weights of {name} once into {folder} (about half a minute)")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        dequantise(source, partial)
        sums = {file.name: file_sha256(file) for file in sorted(partial.iterdir())}
        (partial / SUMS).write_text(json.dumps(sums, indent=2), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def dequantise(source: Path, folder: Path) -> None:
    """Write the language model and the tokenizer of a GGUF file as float32 safetensors and JSON."""
    from safetensors.torch import save_file
    from transformers import AutoModel, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": source.name, "local_files_only": True}
    tower: Any = AutoModel.from_pretrained(source.parent, dtype="float32", **where)
    tokenizer: Any = AutoTokenizer.from_pretrained(source.parent, **where)
    folder.mkdir(parents=True)
    save_file(tower.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    # Nothing is quantised any more; save_pretrained would refuse to write such a model.
    del tower.config.quantization_config
    tower.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _say(message: str) -> None:
    print(f"rmgym: {message}", file=sys.stderr, flush=True)


def file_sha256(file: Path) -> str:
    """SHA-256 (hex) of a file of any size."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
