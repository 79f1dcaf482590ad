"""Folders of language models that somebody else wrote: looked at before ``transformers`` builds anything of them."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch

from rmgym.errors import ModelError
from rmgym.models.backbones.weights import WANTED
from rmgym.storage.foreign import refuse_hollow

LanguageModel = Any
"""Of ``transformers``, whose classes share no base that says how they are called."""
_COUNTED = ("layer", "expert", "block")
"""What is in the names of options that say how many modules of a kind there are."""
_SPARE = 2**20
"""Numbers that a model may have beside twice those in its files: a pooler without weights, in small models."""
_BUFFERS = 2**28


def check_folder(folder: Path, name: str) -> None:
    """Refuse a folder with pipes, devices or hollow files, or whose weights are not those of its configuration.

    Args:
        folder: of ``config.json`` and safetensors.
        name: of the language model, for the error.

    Raises:
        ModelError: it is such a folder.
    """
    try:
        for file in sorted(folder.iterdir()):
            if any(fnmatchcase(file.name, pattern) for pattern in WANTED):
                refuse_hollow(file)
        if any(folder.glob("*.safetensors")):
            _check_sizes(folder)
    except Exception as error:  # transformers' configurations raise whatever comes of an impossible value
        raise ModelError(
            "a backbone is an encoder or causal language model that transformers knows, in plain files that fit",
            got=f"{name}: {type(error).__name__}: {str(error).strip()[:200]}",
            fix="save model and tokenizer to one folder with save_pretrained",
        ) from error


def _check_sizes(folder: Path) -> None:
    """Compare what a configuration asks for with the headers of the weights.

    Raises:
        ValueError: it asks for more.
    """
    from transformers import AutoConfig, AutoModel

    sizes = _sizes(folder)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    for key, value in config.to_dict().items():
        if isinstance(value, int) and value > len(sizes) and any(part in key for part in _COUNTED):
            raise ValueError(f"{key}={value} beside {len(sizes)} tensors")
    with torch.device("meta"):  # takes no memory
        model: LanguageModel = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    wanted, there = sum(weight.numel() for weight in model.parameters()), sum(sizes)
    if wanted > 2 * there + _SPARE:
        raise ValueError(f"it asks for {wanted:,} weights, where there are {there:,}")
    if (kept := sum(buffer.numel() for buffer in model.buffers())) > _BUFFERS:
        raise ValueError(f"it asks for {kept:,} numbers beside its weights")


def _sizes(folder: Path) -> list[int]:
    """How many numbers each tensor in a folder has, from the headers alone."""
    from safetensors import safe_open

    sizes = list[int]()
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            sizes += [math.prod(tensors.get_slice(key).get_shape()) for key in tensors.keys()]  # noqa: SIM118
    return sizes
