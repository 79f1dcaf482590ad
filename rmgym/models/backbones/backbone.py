"""Pretrained language models: loaded once per process, shared by every reward model that leaves them as they are.

Two kinds are told apart. An *encoder* reads a text in both directions; a number's slot is its mask token. A *causal*
language model reads from left to right:

* It has no mask token. A slot is its token of the digit 0, because a number is what it expects there: with SmolLM2 and
  60 ratings of Pendulum, R2 is 0.98 with it and 0.73 with ``<|endoftext|>``, after which a new text begins.
* What a number means stands before it in the text ("pole angle in rad: "), so a slot's state has read it.
* Only its last state has read the whole text; the mean over states is mostly about beginnings.
* Its states, which differ in scale from model to model, are brought to unit mean square each. (With SmolLM2 and 60
  ratings of Acrobot, the median R2 of three seeds went up from 0.75 to 0.88.)
* It gets no closing token, and an opening one only where its tokenizer has one.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from rmgym.errors import ModelError
from rmgym.models.backbones.fitting_weights import check_folder
from rmgym.models.backbones.weights import PACKAGED, weights_folder, weights_sha256
from rmgym.models.tokenizer import panics_as_errors
from rmgym.storage.sums import file_sha256
from rmgym.text.numbers import split_template

LanguageModel = Any
"""A Hugging Face encoder or causal language model: its classes share no base that says how they are called."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """A frozen pretrained language model with what is needed to build its inputs.

    Attributes:
        name: as given.
        lm: the Hugging Face model on the CPU, in evaluation mode, without gradients.
        tokenizer: its tokenizer.
        prefix: ids before every text.
        suffix: ids after every text.
        slot_token: id of the token that stands for a number.
        state_size: width of its hidden states.
        max_tokens: longest text.
        causal: whether it reads from left to right.
        sha256: of weights, configuration and tokenizer; None for built-in weights, whose digest the code holds.
    """

    name: str
    lm: LanguageModel
    tokenizer: Any
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    slot_token: int
    state_size: int
    max_tokens: int
    causal: bool = False
    sha256: str | None = None
    _pieces: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    _elsewhere: WeakValueDictionary[tuple[str, torch.dtype], LanguageModel] = field(
        default_factory=WeakValueDictionary[tuple[str, torch.dtype], LanguageModel]
    )

    @property
    def identity(self) -> str:
        """What decides what it makes of a text: SHA-256 (hex) of its weights."""
        return self.sha256 or PACKAGED[self.name].sha256

    def on(self, device: torch.device, dtype: torch.dtype) -> LanguageModel:
        """The LM on a device, in a dtype; shared by all who ask for the same, and never moved under anybody."""
        if device.type == "cpu" and dtype == self.lm.dtype:
            return self.lm
        where = (str(device), dtype)
        lm = self._elsewhere.get(where)
        if lm is None:
            lm = self._elsewhere[where] = copy.deepcopy(self.lm).to(device=device, dtype=dtype)
        return lm

    def scaled(self, states: Tensor) -> Tensor:
        """States ``[..., size]`` as heads read them: an encoder's as they are, a causal LM's with unit mean square."""
        return nn.functional.rms_norm(states.float(), states.shape[-1:]) if self.causal else states

    def encode_piece(self, piece: str) -> list[int]:
        """Token ids of a piece of text without special tokens."""
        if piece not in self._pieces:
            with panics_as_errors():
                self._pieces[piece] = self.tokenizer.encode(piece, add_special_tokens=False, verbose=False)
        return self._pieces[piece]

    def tokens(self, template: str) -> tuple[list[int], tuple[int, ...]]:
        """Token ids of a template and the positions of its slots.

        Raises:
            ModelError: the text is too long.
        """
        plain, positions = self.plain_tokens(template)
        ids = [*self.prefix, *plain, *self.suffix]
        self.check_length(len(ids), template)
        return ids, tuple(len(self.prefix) + position for position in positions)

    def plain_tokens(self, template: str) -> tuple[list[int], list[int]]:
        """Token ids of a template of any length, without those around every text, and the positions of its slots."""
        ids, positions = list[int](), list[int]()
        for i, piece in enumerate(split_template(template)[0]):
            if i:
                positions.append(len(ids))
                ids.append(self.slot_token)
            ids += self.encode_piece(piece)
        return ids, positions

    def check_length(self, length: int, text: str) -> None:
        """Refuse a text of so many tokens if it is too long.

        Raises:
            ModelError: it is.
        """
        if length > self.max_tokens:
            raise ModelError(
                f"a text has at most {self.max_tokens} tokens for {self.name}",
                got=f"{length} tokens: {text[:80]!r}...",
                fix="shorten the task or hide fields in the card; fusion='late' has one token per number",
            )

    def unknown_share(self, template: str) -> float:
        """Share of a template's tokens that the tokenizer does not know."""
        if self.tokenizer.unk_token is None:
            return 0.0
        ids, _ = self.plain_tokens(template)
        if not ids:
            return 0.0
        unknown = ids.count(self.tokenizer.unk_token_id)
        return unknown / len(ids)


def load_backbone(name: str, dtype: str = "float32") -> Backbone:
    """Load a backbone once per process, and check the digest of built-in weights.

    Args:
        name: see :func:`rmgym.models.backbones.weights.weights_folder`.
        dtype: of its weights in memory.

    Raises:
        ModelError: the weights are missing, are not the published ones, or are not those of an encoder or causal LM.
    """
    return _load(name, dtype)


@lru_cache(maxsize=4)
def _load(name: str, dtype: str) -> Backbone:
    from transformers import AutoModel, AutoTokenizer

    folder = weights_folder(name)
    if name in PACKAGED:
        sha256, packaged = None, PACKAGED[name]
        # Converted weights were checked against what the conversion wrote.
        if not packaged.inside.endswith(".gguf"):
            total = file_sha256(folder / "model.safetensors")
            if total != packaged.sha256:
                fix = f"reinstall {packaged.package}"
                raise ModelError("packaged weights are the published ones", got=total, fix=fix)
    else:
        check_folder(folder, name)
        sha256 = weights_sha256(folder)
    safely: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quietly(), panics_as_errors():
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, **safely)
            lm: LanguageModel
            lm, loading = AutoModel.from_pretrained(
                folder, use_safetensors=True, dtype=dtype, output_loading_info=True, **safely
            )
    except Exception as error:  # of weights, configuration and tokenizer, each of which raises its own
        raise ModelError(
            "a backbone is an encoder or causal language model that transformers knows, with its tokenizer",
            got=f"{name}: {(str(error).strip() or type(error).__name__).splitlines()[0]}",
            fix="save model and tokenizer to one folder with save_pretrained",
        ) from error
    lm.eval().requires_grad_(False)
    # A pooler is not used, and some models come without one; anything else that is missing would be random.
    if missing := sorted(name for name in loading["missing_keys"] if "pooler" not in name):
        raise ModelError(
            "the weights of a backbone are complete", got=f"{name}: without {missing}", fix="save the whole model again"
        )
    if getattr(lm.config, "is_encoder_decoder", False):
        raise ModelError("a backbone is an encoder or a causal language model", got=f"{name}: both", fix="use 'minilm'")
    causal = reads_left_to_right(lm)
    first = tokenizer.bos_token_id if causal or tokenizer.cls_token_id is None else tokenizer.cls_token_id
    last = None if causal else tokenizer.sep_token_id
    slot = _slot_token(tokenizer, causal=causal)
    if slot is None:
        raise ModelError("a tokenizer has a mask token or the digit 0", got=name, fix="use another backbone")
    return Backbone(
        name=name,
        lm=lm,
        tokenizer=tokenizer,
        prefix=() if first is None else (first,),
        suffix=() if last is None else (last,),
        slot_token=slot,
        state_size=lm.config.hidden_size,
        max_tokens=min(getattr(lm.config, "max_position_embeddings", 2**30), tokenizer.model_max_length),
        causal=causal,
        sha256=sha256,
    )


@torch.no_grad()
def reads_left_to_right(lm: LanguageModel) -> bool:
    """Whether later tokens leave the states of earlier ones alone; found out by trying, since no name says it."""
    one, other = (lm(input_ids=torch.tensor([[3, 4, last]])).last_hidden_state[0, 0] for last in (5, 6))
    return bool(torch.equal(one, other))


def _slot_token(tokenizer: Any, *, causal: bool) -> int | None:
    """The token that stands for a number: mask token, or the digit 0; see the module's text."""
    if not causal and tokenizer.mask_token_id is not None:
        return int(tokenizer.mask_token_id)
    zero: list[int] = tokenizer.encode("0", add_special_tokens=False)
    return zero[-1] if zero else None  # a tokenizer may put the beginning of a word before it


@contextmanager
def quietly() -> Generator[None]:
    """Load without a progress bar and without a report on unused weights, such as the head that predicts words."""
    from transformers import utils

    logging: Any = utils.logging
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
