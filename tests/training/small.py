"""A real, small reward model and labels with a known reward, for tests of fitting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rmgym.errors import ModelError
from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.models.neural import Encoded, NeuralRewardModel
from rmgym.text.batch import TextBatch

TEMPLATES = ("Position {:.2f}, speed {:.2f}. Push left.", "Position {:.2f}, speed {:.2f}. Push right.")


@dataclass(frozen=True, kw_only=True)
class SmallConfig:
    numbers: int = 2
    width: int = 32
    heads: int = 1
    dropout: float = 0.1


class SmallReward(NeuralRewardModel):
    """An MLP over the numbers, their mask and an embedding of the template; with dropout, so that fitting draws."""

    name: ClassVar[str] = "small"

    def __init__(self, config: SmallConfig, seed: int) -> None:
        super().__init__(config)
        self.words = nn.Embedding(64, 8)
        self.first = nn.Linear(2 * config.numbers + 8, config.width)
        self.last = nn.Linear(config.width, config.heads)
        self.dropout = nn.Dropout(config.dropout)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3, generator=generator)

    @classmethod
    def create(cls, *, seed: int = 0, **options: Any) -> Self:
        try:
            with torch.random.fork_rng(devices=[]):
                return cls(SmallConfig(**options), seed)
        except TypeError as error:
            raise ModelError("options are known", got=str(error), fix="remove it") from error

    def forward(self, inputs: Encoded) -> Tensor:
        pad = self.config.numbers - inputs.values.shape[1]
        values, mask = (nn.functional.pad(t.float(), (0, pad)) for t in (inputs.values, inputs.mask))
        codes = [blake2b(t.encode(), digest_size=1).digest()[0] % 64 for t in inputs.templates]
        words = self.words(torch.tensor(codes, device=self.device))[inputs.template_index]
        hidden = torch.tanh(self.first(torch.cat([values, mask, words], dim=1)))
        return self.last(self.dropout(hidden))


def make_texts(size: int, seed: int = 0) -> TextBatch:
    """Random steps: two numbers each, one of two templates."""
    rng = np.random.default_rng(seed)
    return TextBatch(
        templates=TEMPLATES,
        template_index=rng.integers(2, size=size).astype(np.int32),
        numbers=rng.normal(size=2 * size).round(2),
        offsets=np.arange(size + 1, dtype=np.int64) * 2,
        card_hash="cafe",
    )


def true_reward(texts: TextBatch) -> npt.NDArray[np.float32]:
    """``10 - 3 position^2 + 2 speed`` on the right, 5 less on the left."""
    position, speed = texts.numbers.reshape(-1, 2).T
    return (10 - 3 * position**2 + 2 * speed - 5 * (texts.template_index == 0)).astype(np.float32)


def make_ratings(size: int = 100, *, seed: int = 0, episode: int = 2) -> Labels:
    """``size`` ratings by the true reward, ``episode`` steps an episode."""
    texts = make_texts(size, seed)
    return Labels(ratings=Ratings(texts=texts, values=true_reward(texts), groups=np.arange(size) // episode))


def make_preferences(pairs: int = 100, *, lengths: Sequence[int] = (1, 2, 3), seed: int = 1) -> Labels:
    """``pairs`` exact comparisons of segments with the lengths given in turn, equal within a pair."""
    counts = np.repeat(np.resize(np.asarray(lengths), pairs), 2)
    ends = np.cumsum(counts)
    spans = np.stack([ends - counts, ends], axis=1).reshape(pairs, 2, 2)
    steps = make_texts(int(ends[-1]), seed)
    total = np.concatenate([[0], np.cumsum(true_reward(steps), dtype=np.float64)])
    sums = total[spans[:, :, 1]] - total[spans[:, :, 0]]
    return Labels(
        preferences=Preferences(
            steps=steps,
            left=spans[:, 0],
            right=spans[:, 1],
            choice=(np.sign(sums[:, 0] - sums[:, 1]) / 2 + 0.5).astype(np.float32),
            margin=np.zeros(pairs, np.float32),
            groups=np.arange(pairs) // 2,
        )
    )


def both(ratings: Labels, preferences: Labels) -> Labels:
    """Labels of both kinds."""
    return Labels(ratings=ratings.ratings, preferences=preferences.preferences)
