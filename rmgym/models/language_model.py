"""A pretrained language model as a reward model, with three ways for numbers to enter.

``late``
    The LM reads each template once, whatever the numbers; a small Transformer over the slots does the rest per step
    (:mod:`rmgym.models.fusion`). Exact, and as fast as the small Transformer.
``early``
    Each step goes through the LM; a number is one token whose embedding is made of the number's value
    (:mod:`rmgym.models.early`).
``digits``
    Each step goes through the LM as plain text, numbers written as spaced digits with their sign
    (:mod:`rmgym.models.digits`).

The LM is ``frozen``, tuned with ``lora`` (:mod:`rmgym.models.lora`) or tuned ``whole``. What is frozen is not saved
again: it is named, and where it is not built in, a SHA-256 of it is saved and must be met again.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from rmgym.errors import ModelError
from rmgym.models.backbones import Backbone, load_backbone
from rmgym.models.digits import TextMemory, digit_texts, read_texts
from rmgym.models.digits import spaced_digits as spaced_digits
from rmgym.models.early import PrefixReader, read_early
from rmgym.models.fusion import FusionHead
from rmgym.models.language_options import LanguageModelConfig
from rmgym.models.lora import add_lora, keep_only_lora, merged
from rmgym.models.neural import Encoded, NeuralRewardModel, encode
from rmgym.models.number_features import NumberFeatures
from rmgym.models.options import make_options
from rmgym.models.pooling import PooledHead
from rmgym.text.batch import TextBatch

MAX_UNKNOWN = 0.1
"""Largest share of unknown tokens in a text that a model accepts."""
MOST_TEMPLATES = 8192
"""Templates whose states are kept, the latest (in words that change with every step, each text is a template)."""


class LanguageModelReward(NeuralRewardModel):
    """Reward model on a pretrained language model.

    Attributes:
        tower: the LM: shared with other models where it is frozen, this model's own where it is tuned.
    """

    name: ClassVar[str] = "language_model"
    defaults: ClassVar[Mapping[str, Any]] = {}
    tower: Any

    def __init__(self, config: LanguageModelConfig, card_hash: str | None = None) -> None:
        super().__init__(config.saved(), card_hash)
        self.options = config
        self._backbone: Backbone = load_backbone(config.backbone, config.dtype)
        self.tokenizer = self._backbone.tokenizer
        size = self._backbone.state_size
        if config.tune == "frozen":  # outside the module tree: neither trained nor saved
            self.__dict__["tower"] = self._backbone.tower
        else:
            self.tower = copy.deepcopy(self._backbone.tower).requires_grad_(config.tune == "whole")
        if config.tune == "lora":
            add_lora(self.tower, config.lora_rank, config.lora_alpha)
            keep_only_lora(self)
        self._states = dict[str, tuple[Tensor, Tensor]]()
        self._engines: tuple[str, list[Callable[..., Tensor]]] | None = None
        self._memory = TextMemory()
        self._prefixes = PrefixReader(self._backbone) if self._backbone.causal else None
        self._merged: Any = None
        self._read_with = 0
        if config.fusion == "late":
            self.heads = nn.ModuleList(
                FusionHead(size, config.width, config.layers, config.attention_heads, config.frequencies)
                for _ in range(config.heads)
            )
        else:
            self.heads = nn.ModuleList(PooledHead(size, config.width, config.pool) for _ in range(config.heads))
            self.micro_batch = 128
        if config.fusion == "early":
            self.numbers = NumberFeatures(size, config.frequencies)

    @classmethod
    def create(cls, *, seed: int = 0, **options: Any) -> Self:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; options are those of :class:`LanguageModelConfig`."""
        config = make_options(LanguageModelConfig, cls.name, {**cls.defaults, **options})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config)

    @classmethod
    def build(cls, config: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """An unfitted model with a saved configuration.

        Raises:
            ModelError: the backbone is another one than the model was saved with.
        """
        model = cls.create(**config)
        said = json.loads(texts["backbone"])["sha256"] if "backbone" in texts else None
        if said != model._backbone.sha256:
            raise ModelError(
                "a reward model is used with the language model that it was fitted on",
                got=f"{model._backbone.name} has SHA-256 {model._backbone.sha256}, the fitted one had {said}",
                fix="put the weights, configuration and tokenizer back that were there, or fit again",
            )
        return model

    def extra_texts(self) -> dict[str, str]:
        """Which weights a backbone that is not built in has; part of the digest."""
        sha256 = self._backbone.sha256
        return {} if sha256 is None else {"backbone": json.dumps({"sha256": sha256})}

    def prepare(self, texts: TextBatch) -> None:
        """Refuse texts that the LM's tokenizer cannot read.

        Raises:
            ModelError: more than a tenth of the tokens are unknown, or a text is too long.
        """
        for template in texts.templates:
            unknown = self._backbone.unknown_share(template)
            if unknown > MAX_UNKNOWN:
                raise ModelError(
                    f"at most {MAX_UNKNOWN:.0%} of a text's tokens are unknown to the model",
                    got=f"{unknown:.0%} unknown to {self._backbone.name} in {template[:60]!r}",
                    fix="use 'seq2seq', which trains a tokenizer on your texts, or a multilingual model",
                )

    def forward(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        self._forget_what_changed()
        if self.options.fusion == "late":
            slots, text = self._template_states(inputs.templates, inputs.values.shape[1])
            mask = None if bool(inputs.mask.all()) else inputs.mask
            arguments = (slots, text, inputs.template_index, inputs.values)
            if self._engines is not None and mask is None and not torch.is_grad_enabled():
                if self._engines[0] == self.digest:
                    return torch.stack([run(*arguments) for run in self._engines[1]], dim=1)
                self._engines = None  # they were built for other weights
            return torch.stack([head(*arguments, mask) for head in self.heads], dim=1)
        states, mask = self._early(inputs) if self.options.fusion == "early" else self._digits(inputs)
        states = self._backbone.scaled(states).to(self._dtype)
        return torch.stack([head(states, mask) for head in self.heads], dim=1)

    def use_engines(self, engines: Sequence[Callable[..., Tensor]] | None) -> None:
        """Let late-fusion heads be computed by something else (:mod:`rmgym.scoring.backends`), until a weight changes.

        Args:
            engines: one for each head, from ``(slots, text, template_index, values)`` to rewards; None for the heads.
        """
        self._engines = None if engines is None else (self.digest, list(engines))

    @torch.no_grad()
    def head_inputs(self, texts: TextBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What late-fusion heads get for texts of one template: ``(slots, text, template_index, values)``."""
        inputs = encode(texts).to(self.device)
        slots, text = self._template_states(inputs.templates, inputs.values.shape[1])
        return slots, text, inputs.template_index, inputs.values

    def train(self, mode: bool = True) -> Self:
        """Switch mode; what a tuned LM made of texts is forgotten, and its dropout stays off.

        Texts remembered for a fit of a frozen LM are forgotten after it. That a fit has changed a tuned LM shows in no
        count of writes, since torch's fused optimisers count none; so leaving or entering training counts as a change.
        """
        changed = self.training or mode or self.options.tune == "whole"
        super().train(mode)
        if self.options.tune != "frozen":
            if changed:
                self._forget()
            self.tower.eval()  # dropout shifts the scale of a regression's output
        elif not mode:
            self._memory.clear()
        return self

    def _template_states(self, templates: Sequence[str], width: int) -> tuple[Tensor, Tensor]:
        """States at the slots, padded to ``[T, width, size]``, and states of the whole texts ``[T, size]``."""
        read = [self._read(t) if self._learning else self._read_once(t) for t in templates]
        slots = [nn.functional.pad(s, (0, 0, 0, width - len(s))) for s, _ in read]
        return torch.stack(slots).to(self._dtype), torch.stack([t for _, t in read]).to(self._dtype)

    def _read_once(self, template: str) -> tuple[Tensor, Tensor]:
        if template not in self._states:
            while len(self._states) >= MOST_TEMPLATES:
                del self._states[next(iter(self._states))]
            # Kept tensors must not be inference tensors: a later fit differentiates through what uses them.
            with torch.inference_mode(False), torch.no_grad():
                self._states[template] = self._read(template)
        return self._states[template]

    def _read(self, template: str) -> tuple[Tensor, Tensor]:
        """Run the LM over one template; alone, so that no other text or padding touches it.

        The state of the whole text is the mean over an encoder's tokens, or a causal LM's last one.
        """
        ids, slots = self._backbone.tokens(template)
        tokens = torch.tensor([ids], device=self.device)
        states = self._reader(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state[0]
        states = self._backbone.scaled(states)
        return states[list(slots)], states[-1] if self._backbone.causal else states.mean(dim=0)

    def _early(self, inputs: Encoded) -> tuple[Tensor, Tensor]:
        """States of every token with the numbers inside, ``[B, L, size]``, and the mask of real tokens."""
        numbers = self.numbers(inputs.values)
        if self._prefixes is not None and not torch.is_grad_enabled():
            return self._prefixes(self._reader, inputs, numbers)
        return read_early(self._reader, self._backbone, inputs, numbers)

    def _digits(self, inputs: Encoded) -> tuple[Tensor, Tensor]:
        """States of every token of the plain text, ``[B, L, size]``, and the mask of real tokens."""
        texts, tune = digit_texts(inputs), self.options.tune
        with torch.set_grad_enabled(torch.is_grad_enabled() and tune != "frozen"):
            if self.training and tune == "frozen":
                return self._memory.read(self._reader, self._backbone, texts, self.device)
            return read_texts(self._reader, self._backbone, texts, self.device)

    @property
    def _dtype(self) -> torch.dtype:
        """Of the heads."""
        return next(self.heads.parameters()).dtype

    @property
    def _learning(self) -> bool:
        """Whether gradients have to reach the LM."""
        return self.options.tune != "frozen" and torch.is_grad_enabled() and self.training

    @property
    def _reader(self) -> Any:
        """The LM to run: with LoRA merged, unless LoRA is being trained."""
        if self.options.tune != "lora" or (torch.is_grad_enabled() and self.training):
            return self.tower
        if self._merged is None:
            self.__dict__["_merged"] = merged(self.tower)
        return self._merged

    def _forget_what_changed(self) -> None:
        """Drop what a tuned LM made of templates before its weights were written to, where torch counts that."""
        if self.options.tune != "frozen":
            writes = sum(p._version for p in self.tower.parameters())
            if writes != self._read_with:
                self._read_with = writes
                self._forget()

    def _forget(self) -> None:
        self._states.clear()
        self._memory.clear()
        self.__dict__["_merged"] = None  # past nn.Module: a copy is no part of the model
        if self._prefixes is not None:
            self._prefixes.clear()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast the model. The LM follows to the device; other models on it stay as they are.

        The LM has the dtype of the heads where that is not float32, else the one of its options.
        """
        super()._apply(fn, recurse)
        self._forget()
        dtype = getattr(torch, self.options.dtype) if self._dtype == torch.float32 else self._dtype
        if self.options.tune == "frozen":
            self.__dict__["tower"] = self._backbone.on(self.device, dtype)
        elif self.options.tune == "lora":
            for name, parameter in self.tower.named_parameters():
                if ".lora_" not in name:
                    parameter.data = parameter.data.to(dtype)
        return self
