"""A pretrained language model as a reward model: a tower, a reader and heads.

The *tower* (:mod:`rmgym.models.backbones.tower`) is the LM: ``frozen``, tuned with ``lora``
(:mod:`rmgym.models.backbones.lora`) or tuned ``whole``. The *reader* (:mod:`rmgym.models.readers`) says how a step is
read with it, and so how numbers enter:

``late``
    The LM reads each template and each phrase once, whatever the numbers and combinations; what it says of them are
    the first weights of a small MLP, which does the rest per step (:mod:`rmgym.models.heads.binding`).
``early``
    Each step goes through the LM; a number is one token whose embedding is made of the number's value.
``digits``
    Each step goes through the LM as plain text, numbers written as spaced digits with their sign.

The *heads* (:mod:`rmgym.models.heads`) make rewards of that. What is frozen is not saved again: it is named, and where
it is not built in, a SHA-256 of it is saved and must be met again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from rmgym.errors import ModelError
from rmgym.models.backbones.backbone import load_backbone
from rmgym.models.backbones.tower import Tower
from rmgym.models.encoding import Encoded
from rmgym.models.heads import BindingHeads, Heads, make_heads
from rmgym.models.heads.written import WrittenHeads
from rmgym.models.language_options import LanguageModelConfig
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.readers import LateReader, Reader, make_reader
from rmgym.models.sizes import check_count, check_sizes, misfit
from rmgym.options import read_options
from rmgym.storage.foreign import parse_json
from rmgym.text.batch import TextBatch

MAX_UNKNOWN = 0.1
"""Largest share of unknown tokens in a text that a model accepts."""


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
    heads: Heads | BindingHeads

    def __init__(self, config: LanguageModelConfig, *, name: str) -> None:
        super().__init__(config)
        self.name, self.options = name, config
        backbone, dtype = load_backbone(config.backbone, config.dtype), getattr(torch, config.dtype)
        self.tower = Tower(backbone, config.tune, dtype=dtype, rank=config.lora_rank, alpha=config.lora_alpha)
        self.reader = make_reader(config, backbone)
        self.heads = make_heads(config, self.reader.size)
        self.micro_batch = self.reader.micro_batch
        if isinstance(self.reader, LateReader) and isinstance(self.heads, BindingHeads):
            self.learning_rate, self.most_drawn = self.heads.learning_rate, self.heads.most_drawn
            guess = partial(self.reader.guess, self.tower, heads=config.heads)
            self._written = WrittenHeads(self.heads, partial(self.reader.read, self.tower), guess)

    @classmethod
    def create(cls, *, seed: int = 0, name: str = name, **options: Any) -> Self:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; options are those of :class:`LanguageModelConfig`."""
        config = read_options(LanguageModelConfig, options, f"options of {name!r}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config, name=name)

    @classmethod
    def check(cls, manifest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; the language model is as large as it is."""
        config = read_options(LanguageModelConfig, manifest["config"], f"options of {manifest['model']!r}")
        if config.fusion != "late":
            check_count("heads", config.heads, tensors)  # each is a module; those of late fusion are one
        ranks = {len(tensor) for name, tensor in tensors.items() if ".lora_A." in name and tensor.ndim}
        if config.tune == "lora" and ranks != {config.lora_rank}:
            raise misfit(f"lora_rank={config.lora_rank} beside matrices of rank {sorted(ranks)}")
        backbone = load_backbone(config.backbone, config.dtype)

        def parts() -> nn.Module:
            reader: Any = make_reader(config, backbone)
            return nn.ModuleDict({"reader": reader, "heads": make_heads(config, reader.size)})

        check_sizes(parts, tensors)

    @classmethod
    def build(cls, manifest: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """An unfitted model as a manifest describes it.

        Raises:
            ModelError: the backbone is another one than the model was saved with.
        """
        model = cls.create(name=manifest["model"], **manifest["config"])
        saved = _saved_sha256(texts["backbone"]) if "backbone" in texts else None
        backbone = model.tower.backbone
        if saved != backbone.sha256:
            raise ModelError(
                "a reward model is used with the language model that it was fitted on",
                got=f"{backbone.name} has SHA-256 {backbone.sha256}, the fitted one had {saved}",
                fix="put the weights, configuration and tokenizer back that were there, or fit again",
            )
        model.reader.restore(texts)
        return model

    def extra_texts(self) -> dict[str, str]:
        """What the reader knows of the texts it was fitted on, and which weights a backbone of the user's has."""
        sha256 = self.tower.backbone.sha256
        backbone = {} if sha256 is None else {"backbone": json.dumps({"sha256": sha256})}
        return {**self.reader.facts(), **backbone}

    def prepare(self, texts: TextBatch) -> None:
        """Take statistics of the texts, and refuse those that the LM's tokenizer cannot read.

        Raises:
            ModelError: more than a tenth of the tokens are unknown.
        """
        backbone = self.tower.backbone
        used = texts.used()
        for text in (*used.templates, *used.phrases):
            unknown = backbone.unknown_share(text)
            if unknown > MAX_UNKNOWN:
                raise ModelError(
                    f"at most {MAX_UNKNOWN:.0%} of a text's tokens are unknown to the model",
                    got=f"{unknown:.0%} unknown to {backbone.name} in {text[:60]!r}",
                    fix="use 'seq2seq', which trains a tokenizer on your texts, or a multilingual model",
                )
        self.reader.prepare(self.tower, texts)
        self._changed()

    def has_read(self, texts: TextBatch) -> bool:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        return self.reader.has_read(texts)

    def encode(self, texts: TextBatch) -> Encoded:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        return self.reader.encode(texts)

    def forward(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        rewards: Tensor = self.heads(*self.reader(self.tower, inputs))
        return rewards

    def rewards(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; late fusion's first layer is written once."""
        if not isinstance(self.reader, LateReader):
            return super().rewards(inputs)
        return self._written(self._state_version, inputs.to(self.device)).float().cpu()

    def disagreement(self, inputs: Encoded, rewards: Tensor) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; heads guess what phrases never seen mean."""
        if not isinstance(self.reader, LateReader):
            return super().disagreement(inputs, rewards)
        return self._written.disagreement(self._state_version, inputs, rewards, self.reader.are_new(inputs.phrases))


def _saved_sha256(text: str) -> str:
    """Of the language model that a model was saved with.

    Raises:
        ModelError: it does not say.
    """
    try:
        return str(parse_json(text)["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        rule = "a model on a language model of the user's is saved with the SHA-256 of that"
        raise ModelError(rule, got=repr(error), fix="fit it again") from error
