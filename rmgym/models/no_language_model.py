"""The control ``no-lm``: the binding head on words and numbers, without any language model.

Slots, texts and phrases are hashed words (:mod:`rmgym.models.readers.hashing`). What a model with a language model does
better than this one is what the language model has added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from rmgym.errors import ModelError
from rmgym.models.encoding import Encoded
from rmgym.models.heads.binding import BindingHeads
from rmgym.models.heads.written import WrittenHeads
from rmgym.models.language_options import check_frequencies
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.readers.late import LateReader
from rmgym.models.sizes import check_sizes
from rmgym.options import read_options
from rmgym.text.batch import TextBatch


@dataclass(frozen=True, kw_only=True)
class NoLanguageModelConfig:
    """Options of :class:`NoLanguageModel`.

    Attributes:
        heads: independent reward heads; their disagreement is the model's std.
        width: of a head's layers.
        roles: size of a number's role, see :mod:`rmgym.models.heads.binding`.
        frequencies: exponents k of the Fourier frequencies pi 2^k of numbers; by default none.

    Raises:
        ModelError: a size is impossible.
    """

    heads: int = 5
    width: int = 128
    roles: int = 128
    frequencies: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if min(self.heads, self.width, self.roles) < 1:
            raise ModelError("sizes are positive", got=self, fix="change them")
        check_frequencies(self.frequencies)


class NoLanguageModel(NeuralRewardModel):
    """Reward model on hashed words.

    Args:
        config: its options.
    """

    name: str = "no-lm"
    options_kind: ClassVar[type[NoLanguageModelConfig]] = NoLanguageModelConfig

    def __init__(self, config: NoLanguageModelConfig) -> None:
        super().__init__(config)
        self.reader, self.heads = _parts(config)
        self.learning_rate, self.most_drawn = self.heads.learning_rate, self.heads.most_drawn
        guess = partial(self.reader.guess, None, heads=config.heads)
        self._written = WrittenHeads(self.heads, partial(self.reader.read, None), guess)

    @classmethod
    def create(cls, *, seed: int = 0, **options: Any) -> Self:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; options are those of :class:`NoLanguageModelConfig`."""
        config = read_options(NoLanguageModelConfig, options, f"options of {cls.name!r}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config)

    @classmethod
    def check(cls, manifest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        config = read_options(NoLanguageModelConfig, manifest["config"], f"options of {cls.name!r}")
        check_sizes(lambda: nn.ModuleDict(dict(zip(("reader", "heads"), _parts(config), strict=True))), tensors)

    @classmethod
    def build(cls, manifest: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        model = cls.create(**manifest["config"])
        model.reader.restore(texts)
        return model

    def extra_texts(self) -> dict[str, str]:
        """What it knows of the texts it was fitted on."""
        return self.reader.facts()

    def prepare(self, texts: TextBatch) -> None:
        """Take statistics of the texts."""
        self.reader.prepare(None, texts)
        self._changed()

    def has_read(self, texts: TextBatch) -> bool:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        return self.reader.has_read(texts)

    def encode(self, texts: TextBatch) -> Encoded:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        return self.reader.encode(texts)

    def forward(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        rewards: Tensor = self.heads(*self.reader(None, inputs))
        return rewards

    def rewards(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        return self._written(self._state_version, inputs.to(self.device)).float().cpu()

    def disagreement(self, inputs: Encoded, rewards: Tensor) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`; heads guess what phrases never seen mean."""
        return self._written.disagreement(self._state_version, inputs, rewards, self.reader.are_new(inputs.phrases))


def _parts(config: NoLanguageModelConfig) -> tuple[LateReader, BindingHeads]:
    reader = LateReader(0)
    return reader, BindingHeads(reader.size, config.heads, config.width, config.roles, config.frequencies or ())
