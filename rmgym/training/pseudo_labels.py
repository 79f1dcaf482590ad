"""Labels that the model itself gives to comparisons that nobody answered, where it is sure of the answer.

As in SURF (Park et al. 2022, "SURF: Semi-supervised Reward Learning with Data Augmentation for Feedback-efficient
Preference-based Reinforcement Learning", https://arxiv.org/abs/2203.10050): at each step further pairs of segments are
drawn from unlabelled steps, the model as it is by then says of whole segments which one is better, and where the chance
of it is above a confidence, it is fitted on that answer for the cropped segments (:attr:`rmgym.FitOptions.crop`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rmgym.errors import FitError
from rmgym.feedback.labels import Labels
from rmgym.training.fit_options import FitOptions

Rows = npt.NDArray[np.int64]


def check_pseudo(labels: Labels, options: FitOptions) -> None:
    """Refuse answers to what nobody was asked.

    Raises:
        FitError: nobody compared anything.
    """
    if options.pseudo_labels is not None and labels.preferences is None:
        fix = "leave pseudo_labels out, or compare segments too"
        raise FitError("pseudo-labels are answers to comparisons", got="ratings alone", fix=fix)


def draw_pairs(like: Rows, first: int, count: int, rng: np.random.Generator) -> Rows:
    """As many pairs of segments of unlabelled steps as there are others, each as long as its shorter side.

    A segment is so many steps one after the other, whatever the episode: the sum of their rewards is what is compared.

    Args:
        like: segments ``int64 [N, 2, 2]``, each from a first row to one past the last.
        first: row of the first unlabelled step.
        count: how many there are.
        rng: draws.
    """
    length = np.minimum((like[..., 1] - like[..., 0]).min(axis=1), count)
    start = first + rng.integers(0, count - length[:, None] + 1, size=(len(like), 2))
    return np.stack([start, start + length[:, None]], axis=2)


def answer(sums: Tensor, choice: Tensor, votes: Tensor, confidence: float, weight: float) -> tuple[Tensor, Tensor]:
    """Choices and votes of all pairs: of those that nobody answered as the model has it, of the others as they are.

    Args:
        sums: worth of the whole segments in log odds, left ones first, ``[2 N, heads]``. The chance that the left one
            is better is the mean of what the heads say.
        choice: ``[N]``, not a number where nobody answered.
        votes: ``[N, heads]``.
        confidence: chance of an answer above which it counts.
        weight: how often it counts then.
    """
    left, right = sums.detach().chunk(2)
    chance, unanswered = torch.sigmoid(left - right).mean(dim=1), choice.isnan()
    sure = torch.maximum(chance, 1 - chance) > confidence
    choice = torch.where(unanswered, (chance > 0.5).to(choice.dtype), choice)
    return choice, torch.where(unanswered[:, None], (sure * weight)[:, None].to(votes.dtype), votes)
