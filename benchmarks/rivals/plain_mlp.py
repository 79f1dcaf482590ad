"""A plain multilayer perceptron on numbers and one-hot words, without a language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rivals.one_hot import OneHot
from rmgym.models.encoding import Encoded, encode
from rmgym.models.neural import NeuralRewardModel
from rmgym.options import read_options
from rmgym.text import TextBatch


@dataclass(frozen=True, kw_only=True)
class PlainMlpConfig:
    """Options of :class:`PlainMlp`.

    Attributes:
        width: of both hidden layers.
    """

    width: int = 128


class PlainMlp(NeuralRewardModel):
    """Standardised vectors (:class:`rivals.one_hot.OneHot`), two hidden layers with SiLU.

    It is fitted and asked in one process; it cannot be saved.
    """

    name = "plain-mlp"
    mean: Tensor
    spread: Tensor

    def __init__(self, config: PlainMlpConfig, seed: int) -> None:
        super().__init__(config)
        self._seed, self._one_hot = seed, OneHot(0, {})
        self._set_up(np.zeros((1, 1)))

    @classmethod
    def create(cls, *, seed: int = 0, **options: object) -> Self:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        return cls(read_options(PlainMlpConfig, options, "options of the plain MLP"), seed)

    def prepare(self, texts: TextBatch) -> None:
        """Learn which words there are, and how each number of the vectors is distributed."""
        self._one_hot = OneHot.of(texts)
        self._set_up(self._one_hot.vectors(texts))

    def encode(self, texts: TextBatch) -> Encoded:
        """Texts as vectors."""
        return encode(self._one_hot(texts))

    def forward(self, inputs: Encoded) -> Tensor:
        """See :class:`rmgym.models.neural.NeuralRewardModel`."""
        rewards: Tensor = self.layers((inputs.values - self.mean) / self.spread)
        return rewards

    def _set_up(self, vectors: npt.NDArray[np.float64]) -> None:
        """Fresh layers for such vectors ``[B, I]``; what never varies is left out."""
        spread, width = vectors.std(axis=0), self.config.width
        self.register_buffer("mean", torch.from_numpy(vectors.mean(axis=0).astype(np.float32)))
        self.register_buffer("spread", torch.from_numpy(np.where(spread > 1e-6, spread, np.inf).astype(np.float32)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self.layers = nn.Sequential(
                nn.Linear(vectors.shape[1], width),
                nn.SiLU(),
                nn.Linear(width, width),
                nn.SiLU(),
                nn.Linear(width, 1),
            )
