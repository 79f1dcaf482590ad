"""Reward models on disk: one JSON manifest, one safetensors file, never anything that could execute.

A folder holds ``reward_model.json``, which names its data files by content hash. New data files are written first; then
the manifest is replaced in one step, and what it no longer names is removed. Whatever happens in between, the folder
holds one whole model. One process at a time writes; readers take no lock, and look again where they were overtaken.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmgym.errors import ModelError, StorageError
from rmgym.storage.atomic import PARTIAL, write_bytes
from rmgym.storage.checksum import signed_json
from rmgym.storage.foreign import is_there, read_json, refuse_hollow
from rmgym.storage.foreign import read_bytes as read_foreign
from rmgym.storage.locks import held
from rmgym.storage.provenance import versions

if TYPE_CHECKING:
    import torch

MANIFEST = "reward_model.json"
FORMAT = 1
_KEYS: dict[str, Any] = {
    "model": str,
    "config": dict,
    "card_hash": str | None,
    "digest": str,
    "fitted_on": dict,
    "files": dict,
    "sha256": dict,
}
_FITTED_ON: dict[str, type] = {"source": dict, "options": dict, "potential": dict, "ratings": int, "preferences": int}
_OURS = re.compile(r"[a-z0-9_]+-[0-9a-f]{16}\.(safetensors|json)")
"""Names of data files. A manifest can name no other, so that none leads out of its folder."""
_WHAT = "a reward model"
_LOCK = f".{MANIFEST}.lock"
_LOOKS, _PAUSE = 10, 0.02  # how often a reader looks for a file that may have been replaced, and the seconds in between


def write_model(
    path: str | os.PathLike[str],
    manifest: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor] | None = None,
    texts: Mapping[str, str] | None = None,
) -> Path:
    """Write a model folder atomically; where another process is saving there, after it.

    Args:
        path: the folder, made if missing.
        manifest: JSON-able description; ``model`` (registered name), ``config``, ``card_hash`` and ``digest`` (from
            :func:`digest_of`) are required.
        tensors: weights.
        texts: further files by key, such as a tokenizer's JSON.

    Raises:
        StorageError: the disk is full or not writable; an older model at ``path`` is intact.
    """
    folder = Path(path)
    data: dict[str, bytes] = {}
    if tensors is not None:
        from safetensors.torch import save

        data["weights"] = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    data |= {key: text.encode() for key, text in (texts or {}).items()}
    sums = {key: hashlib.sha256(content).hexdigest() for key, content in data.items()}
    ending = {key: "safetensors" if key == "weights" else "json" for key in data}
    files = {key: f"{key}-{sums[key][:16]}.{ending[key]}" for key in data}
    content = {"format": FORMAT, "versions": versions(), **manifest, "files": files, "sha256": sums}
    with held(folder / _LOCK, what="a reward model's folder", wait=True, keep=False):
        _replace(folder, {files[key]: bits for key, bits in data.items()}, signed_json(content))
    return folder


def _replace(folder: Path, data: Mapping[str, bytes], manifest: bytes) -> None:
    """Write data files by name, then the manifest that names them, then remove others; the lock is held."""
    new = [folder / name for name in data if not (folder / name).exists()]
    try:
        for name, bits in data.items():
            write_bytes(folder / name, bits, what=_WHAT)
        write_bytes(folder / MANIFEST, manifest, what=_WHAT)
    except StorageError:
        for file in new:
            with suppress(OSError):
                file.unlink()
        raise
    for old in folder.iterdir():
        if old.name not in data and _is_left_over(old.name):
            with suppress(OSError):
                old.unlink()


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a model folder's manifest.

    Raises:
        ModelError: it is not a model folder, a pickle was offered, or another format version wrote it.
    """
    folder = _folder(path)
    if not is_there(folder / MANIFEST):
        pickled = folder.is_file() or any(folder.glob("*.bin")) or any(folder.glob("*.p[kt]*"))
        raise ModelError(
            f"a reward model is a folder with {MANIFEST} and safetensors; pickles are never opened"
            if pickled
            else f"a reward model is a folder with {MANIFEST}",
            got=str(path),
            fix="fit one with 'rmgym fit', or name a built-in model ('rmgym models')",
        )
    try:
        manifest = read_json(folder / MANIFEST)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{MANIFEST} is JSON, as it was saved", got=f"{folder}: {error!r}", fix="save the model again"
        ) from error
    if manifest.get("format") != FORMAT:
        raise ModelError(
            f"{MANIFEST} has format {FORMAT}", got=manifest.get("format"), fix="use the rmgym that wrote it"
        )
    manifest.setdefault("fitted_on", {})
    for key, kind in _KEYS.items():
        if not isinstance(value := manifest.get(key), kind):
            raise ModelError(f"{MANIFEST} says {key!r}", got=f"{folder}: {value!r}", fix="save the model again")
    for key, kind in _FITTED_ON.items():
        if not isinstance(value := manifest["fitted_on"].get(key, kind()), kind):
            rule = f"{MANIFEST} says what a model was fitted on"
            raise ModelError(rule, got=f"{folder}: {key} {value!r}", fix="save the model again")
    return manifest


def read_files(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, str]]:
    """Read a whole model folder: manifest, weights and further texts.

    Where another process saves into it meanwhile, the old model or the new one. Files may be links, out of the folder
    too: the hub's cache is made of them, and what is read is what was hashed.

    Raises:
        ModelError: a file is missing, truncated or altered.
    """
    folder = _folder(path)
    for look in range(_LOOKS):
        manifest = read_manifest(folder)
        try:
            return manifest, *_contents(folder, manifest)
        except ModelError as error:
            # Files are named by their content: one that was replaced since its manifest was read is gone, never other.
            if not isinstance(error.__cause__, FileNotFoundError) or look == _LOOKS - 1:
                raise
            time.sleep(_PAUSE)
    raise AssertionError("the last look returns or raises")


def _contents(folder: Path, manifest: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Weights and further texts that a manifest names.

    Raises:
        ModelError: a file is missing (its cause is a FileNotFoundError then), truncated or altered.
    """
    from safetensors import SafetensorError

    tensors: dict[str, torch.Tensor] = {}
    texts: dict[str, str] = {}
    for key, name in manifest["files"].items():
        try:
            if not isinstance(name, str) or not _OURS.fullmatch(name):
                raise ValueError("not the name of a model's file")
            refuse_hollow(folder / name)
            content = read_foreign(folder / name)
            if hashlib.sha256(content).hexdigest() != manifest["sha256"].get(key):
                raise ValueError("its SHA-256 is not the one in the manifest")
            if key == "weights":
                from safetensors.torch import load  # needs torch, which a model without weights does not

                tensors = load(content)
            else:
                texts[key] = content.decode()
        except (OSError, ValueError, MemoryError, SafetensorError) as error:
            raise ModelError(
                "a reward model's files are whole and unaltered",
                got=f"{folder / str(name)}: {error}",
                fix="copy the folder again, or fit the model again",
            ) from error
    digest = digest_of({"model": manifest["model"], **manifest["config"]}, tensors, texts)
    if digest != manifest["digest"]:
        raise ModelError(
            f"{MANIFEST} is as it was saved",
            got=f"digest {manifest['digest']}, but configuration and weights have {digest}",
            fix="copy the folder again; change options by fitting again, not by hand",
        )
    return tensors, texts


def digest_of(
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor] | None = None,
    texts: Mapping[str, str] | None = None,
) -> str:
    """SHA-256 (16 hex digits) over ``model`` and its configuration, weights of any dtype, and further texts."""
    total = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    if tensors:
        import torch

        for name, tensor in sorted(tensors.items()):
            # As bytes, because NumPy has no bfloat16; a scalar has no bytes to view, so it becomes a vector first.
            total.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for key, text in sorted((texts or {}).items()):
        total.update(f"{key} {len(text)} {text}".encode())
    return total.hexdigest()[:16]


def _folder(path: str | os.PathLike[str]) -> Path:
    """The folder of a model that was named by it or by its manifest."""
    folder = Path(path)
    return folder.parent if folder.name == MANIFEST and is_there(folder) and not folder.is_dir() else folder


def _is_left_over(name: str) -> bool:
    """Whether a file that the manifest does not name is an older model's, or what a killed process was writing."""
    partial = PARTIAL.fullmatch(name)
    written = partial["name"] if partial else name
    return bool(_OURS.fullmatch(written)) or (partial is not None and written == MANIFEST)
