"""A pretrained language model as a reward model: a tower, a reader and heads.

The *tower* (:mod:`rmgym.models.backbones.tower`) is the LM: ``frozen``, tuned with ``lora``
(:mod:`rmgym.models.backbones.lora`) or tuned ``whole``. The *reader* (:mod:`rmgym.models.readers`) says how a step is
read with it, and so how numbers enter:

``late``
    The LM reads each template once, whatever the numbers; a small Transformer over the slots does the rest per step
    (:mod:`rmgym.models.heads.fusion`). Exact, and as fast as the small Transformer.
``early``
    Each step goes through the LM; a number is one token whose embedding is made of the number's value.
``digits``
    Each step goes through the LM as plain text, numbers written as spaced digits with their sign.

The *heads* (:mod:`rmgym.models.heads`) make rewards of that. What is frozen is not saved again: it is named, and where
it is not built in, a SHA-256 of it is saved and must be met again.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from rmgym.errors import ModelError
from rmgym.models.backbones.backbone import load_backbone
from rmgym.models.backbones.tower import Tower
from rmgym.models.encoding import Encoded, encode
from rmgym.models.files import digest_of
from rmgym.models.heads import Engine, make_heads
from rmgym.models.language_options import LanguageModelConfig
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.precision import own_precision
from rmgym.models.readers import HeadInputs, Reader, make_reader
from rmgym.options import read_options
from rmgym.text.batch import TextBatch

MAX_UNKNOWN = 0.1
"""Largest share of unknown tokens in a text that a model accepts."""


@dataclass(frozen=True, eq=False)
class _Attached:
    """An engine, the model whose weights it was built for, and that model's digest then."""

    engine: Engine
    source: LanguageModelReward
    digest: str

    @property
    def fresh(self) -> bool:
        """Whether the weights are still those that the engine was built for."""
        return self.source.digest == self.digest


class LanguageModelReward(NeuralRewardModel):
    """Reward model on a pretrained language model.

    Args:
        config: its options.
        name: the registered name that it goes by, see :mod:`rmgym.models.registry`.

    Attributes:
        tower: the LM.
        reader: how a step is read with it.
        heads: what makes rewards of that.
    """

    name: str = "language_model"
    options_kind = LanguageModelConfig
    tower: Tower
    reader: Reader

    def __init__(self, config: LanguageModelConfig, *, name: str) -> None:
        super().__init__(config)
        self.name, self.options = name, config
        backbone, dtype = load_backbone(config.backbone, config.dtype), getattr(torch, config.dtype)
        self.tower = Tower(backbone, config.tune, dtype=dtype, rank=config.lora_rank, alpha=config.lora_alpha)
        self.heads = make_heads(config, backbone.state_size)
        self.reader = make_reader(config, backbone)
        self.micro_batch = self.reader.micro_batch
        self._attached: _Attached | None = None

    @classmethod
    def create(cls, *, seed: int = 0, name: str = name, **options: Any) -> Self:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; options are those of :class:`LanguageModelConfig`."""
        config = read_options(LanguageModelConfig, options, f"options of {name!r}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config, name=name)

    @classmethod
    def build(cls, manifest: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """An unfitted model as a manifest describes it.

        Raises:
            ModelError: the backbone is another one than the model was saved with.
        """
        model = cls.create(name=manifest["model"], **manifest["config"])
        saved = json.loads(texts["backbone"])["sha256"] if "backbone" in texts else None
        backbone = model.tower.backbone
        if saved != backbone.sha256:
            raise ModelError(
                "a reward model is used with the language model that it was fitted on",
                got=f"{backbone.name} has SHA-256 {backbone.sha256}, the fitted one had {saved}",
                fix="put the weights, configuration and tokenizer back that were there, or fit again",
            )
        return model

    def extra_texts(self) -> dict[str, str]:
        """Which weights a backbone that is not built in has; part of the digest."""
        sha256 = self.tower.backbone.sha256
        return {} if sha256 is None else {"backbone": json.dumps({"sha256": sha256})}

    def prepare(self, texts: TextBatch) -> None:
        """Refuse texts that the LM's tokenizer cannot read.

        Raises:
            ModelError: more than a tenth of the tokens are unknown, or a text is too long.
        """
        backbone = self.tower.backbone
        for template in texts.templates:
            unknown = backbone.unknown_share(template)
            if unknown > MAX_UNKNOWN:
                raise ModelError(
                    f"at most {MAX_UNKNOWN:.0%} of a text's tokens are unknown to the model",
                    got=f"{unknown:.0%} unknown to {backbone.name} in {template[:60]!r}",
                    fix="use 'seq2seq', which trains a tokenizer on your texts, or a multilingual model",
                )

    def forward(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        states = self.reader(self.tower, inputs)
        if self._attached is not None and self._attached.fresh and not torch.is_grad_enabled():
            return self._attached.engine(self.heads, states)
        rewards: Tensor = self.heads(*states)
        return rewards

    @torch.no_grad()
    def head_inputs(self, texts: TextBatch) -> HeadInputs:
        """What the heads get for some texts."""
        with own_precision(self.device):
            return self.reader(self.tower, encode(texts).to(self.device))

    def on_engine(self, engine: Engine) -> LanguageModelReward:
        """This model with its heads computed by an engine: another model, with another digest, on the same weights.

        This one stays as it is (and is switched to evaluation, as an engine computes finished heads). When a weight has
        changed since, the other one computes its heads with torch again, and its digest says so. It only scores: it is
        saved without the engine, and neither trained nor moved.
        """
        source = self.exact
        source.eval()
        fast = copy.copy(source)
        fast._attached = _Attached(engine, source, source.digest)
        return fast

    @property
    def exact(self) -> LanguageModelReward:
        """The model that an engine was built for, or this one where there is none."""
        return self if self._attached is None else self._attached.source

    @property
    def engine(self) -> str:
        """What computes the heads now: ``eager`` is torch, as it is."""
        return self._attached.engine.name if self._attached is not None and self._attached.fresh else "eager"

    @property
    def digest(self) -> str:
        """See :class:`rmgym.models.base.RewardModel`; the engine counts, also where it errs by little."""
        if self._attached is None:
            return super().digest
        exact = self.exact.digest
        return exact if self.engine == "eager" else digest_of({"exact": exact, "engine": self.engine})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """See :class:`rmgym.models.base.RewardModel`."""
        return super().save(path) if self._attached is None else self.exact.save(path)

    def describe(self) -> dict[str, Any]:
        """See :class:`rmgym.models.base.RewardModel`."""
        return {**super().describe(), "engine": self.engine}

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation.

        Raises:
            ModelError: a model on an engine would be trained.
        """
        if mode:
            self._only_scores("trained")
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._only_scores("moved or cast")
        return super()._apply(fn, recurse)

    def _only_scores(self, attempt: str) -> None:
        if self._attached is not None:
            raise ModelError(
                "a model on an engine only scores",
                got=f"a model on {self._attached.engine.name!r} to be {attempt}",
                fix="do that with the model that the engine was built for, then build the engine again",
            )
