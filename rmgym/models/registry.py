"""Names of reward models, and the way from a name, path or hub id to a model."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from rmgym.errors import ModelError, nearest
from rmgym.models.base import RewardModel
from rmgym.models.files import MANIFEST, read_files, read_manifest

_BUILT_IN: dict[str, tuple[str, str, str]] = {
    "seq2seq": ("seq2seq", "Seq2SeqRewardModel", "encoder-decoder Transformer trained from scratch, any language"),
    "minilm": ("minilm", "MiniLMRewardModel", "pretrained MiniLM (22M) with late number fusion"),
    "smollm2": ("smollm2", "SmolLM2RewardModel", "pretrained causal SmolLM2 (135M) with late number fusion"),
    "hf": ("huggingface", "HuggingFaceRewardModel", "hf:<folder or hub id>, any encoder or causal language model"),
    "ensemble": ("ensemble", "EnsembleRewardModel", "several fusion heads on one MiniLM; std is their disagreement"),
    "remote": ("remote", "RemoteRewardModel", "scores from a server ('rmgym serve'), shared by many workers"),
    "true": ("controls", "TrueReward", "control: the environment's own reward, passed through"),
    "constant": ("controls", "ConstantReward", "control: the same reward for every step"),
    "random": ("controls", "RandomReward", "control: a seeded hash of the text"),
}

DTYPES = ("float32", "bfloat16", "float16")
CONTROLS = ("true", "constant", "random")
"""Names of models that need no fitting and no folder."""


def available_models() -> dict[str, str]:
    """Built-in names with one line about each."""
    return {name: about for name, (_, _, about) in _BUILT_IN.items()}


def model_class(name: str) -> Callable[..., Any]:
    """Class of a built-in model, or of one that an installed package offers as entry point ``rmgym.models``.

    Raises:
        ModelError: there is no such model.
    """
    if name not in _BUILT_IN:
        for offered in entry_points(group="rmgym.models", name=name):
            return offered.load()  # type: ignore[no-any-return]
        raise ModelError("a reward model is built in, a folder or a hub id", got=name, fix=nearest(name, _BUILT_IN))
    module, attribute, _ = _BUILT_IN[name]
    return getattr(import_module(f"rmgym.models.{module}"), attribute)  # type: ignore[no-any-return]


def create_reward_model(name: str, *, seed: int = 0, **options: Any) -> RewardModel:
    """Make an unfitted model by name.

    Args:
        name: one of :func:`available_models`, or ``hf:`` and a local folder or hub id of an encoder or causal LM.
        seed: seed of its random weights.
        options: the model's own options; unknown ones are refused.

    Raises:
        ModelError: the name or an option is unknown.
    """
    if name.startswith("hf:"):
        from rmgym.models.huggingface import backbone_option

        name, options = "hf", {"backbone": backbone_option(name.removeprefix("hf:")), **options}
    return model_class(name).create(seed=seed, **options)  # type: ignore[attr-defined, no-any-return]


def load_reward_model(
    path_or_id: str | os.PathLike[str] | RewardModel, *, device: str = "cpu", dtype: str = "float32"
) -> RewardModel:
    """Load a fitted model, or a control by its name.

    Args:
        path_or_id: a folder written by ``save``, a control's name (``constant``, ``random``, ``true``), the id of a
            Hugging Face hub repository, the URL of a server (``http://127.0.0.1:8765``), or a model, which is returned
            as it is.
        device: ``cpu``, ``cuda``, ``mps``, or any torch device; of a server's model, the server decides.
        dtype: ``float32``, ``bfloat16`` or ``float16``; of the heads and of the language model below them; likewise.

    Raises:
        ModelError: there is no such model, or its files are damaged or of a kind that could execute.
    """
    if not isinstance(path_or_id, str | os.PathLike):
        return path_or_id
    name = os.fspath(path_or_id)
    if name in CONTROLS:
        return create_reward_model(name)
    if name.startswith(("http://", "https://")):
        return _remote(name)
    if dtype not in DTYPES:
        raise ModelError("a model is loaded in a known dtype", got=dtype, fix=nearest(dtype, DTYPES))
    path = Path(name).expanduser()
    if not path.exists():
        if name == "remote":
            raise ModelError("a served model is loaded by its URL", got=name, fix="give http://127.0.0.1:8765")
        if name in _BUILT_IN or name.startswith("hf:"):
            raise ModelError(
                f"{name!r} has to be fitted before it scores anything",
                got=f"a name, but no folder {name!r}",
                fix="fit it with 'rmgym fit' and give the folder, or make it with create_reward_model",
            )
        path = _from_hub(name)
    path = path.resolve()
    manifest = path / MANIFEST if path.is_dir() else path
    key = (str(path), manifest.stat().st_mtime_ns if manifest.exists() else 0, device, dtype)
    model, digest = _load(*key)
    if model.digest != digest:  # somebody went on fitting the shared model
        _load.cache_clear()
        model, _ = _load(*key)
    return model


@lru_cache(maxsize=16)
def _load(path: str, stamp: int, device: str, dtype: str) -> tuple[RewardModel, str]:
    """Load once per file version: ``gym.make(wrapped.spec)`` and many environments share the model."""
    del stamp
    said = read_manifest(path)
    loader = model_class(said["model"])
    model = loader.restore(*read_files(path))  # type: ignore[attr-defined]
    if hasattr(model, "to"):
        import torch

        try:
            model = model.to(device=device, dtype=getattr(torch, dtype))
        except (RuntimeError, AssertionError) as error:
            raise ModelError("a device is there", got=f"{device}: {error}", fix="take device='cpu'") from error
    return model, model.digest


@lru_cache(maxsize=16)
def _remote(url: str) -> RewardModel:
    """One model for each URL, so that a process goes on with the model that it found there first."""
    return create_reward_model("remote", url=url)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            "a reward model is a folder, a control's name or a hub id",
            got=f"{name}: {str(error).splitlines()[0]}",
            fix=f"{nearest(name, _BUILT_IN)}; or fit one with 'rmgym fit' and give its folder",
        ) from error
