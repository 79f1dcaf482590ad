"""What a model is fitted to minimise: the error on ratings, the surprise at preferences.

Predictions have one column per head. Each head has a loss of its own, as if it were fitted alone, and the losses of all
heads are added; the mean is over labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rmgym.errors import FitError, nearest
from rmgym.training.rank_losses import RANK_LOSSES, rank_loss


def rating_loss(predicted: Tensor, target: Tensor, kind: str = "huber", votes: Tensor | float = 1.0) -> Tensor:
    """Loss on standardised ratings: of regression, or of their order.

    Args:
        predicted: standardised rewards, ``[B, heads]``.
        target: standardised ratings, ``[B]``.
        kind: ``huber`` (threshold 1, so that one label in error does not dominate; Huber 1964), ``mse``, or one of
            :data:`rmgym.training.rank_losses.RANK_LOSSES`.
        votes: how often each label counts for each head, ``[B, heads]``.

    Returns:
        A scalar: mean over labels, sum over heads.

    Raises:
        FitError: the kind is unknown.
    """
    if kind in RANK_LOSSES:
        return rank_loss(predicted, target, kind, votes)
    target = target[:, None].expand_as(predicted)
    if kind == "huber":
        return (votes * F.huber_loss(predicted, target, reduction="none")).mean(0).sum()
    if kind == "mse":
        return (votes * F.mse_loss(predicted, target, reduction="none")).mean(0).sum()
    raise FitError("the loss of ratings is known", got=kind, fix=nearest(kind, ["huber", "mse", *RANK_LOSSES]))


def bradley_terry_loss(
    left_sum: Tensor, right_sum: Tensor, choice: Tensor, margin: Tensor, votes: Tensor | float = 1.0
) -> Tensor:
    """Negative log-likelihood of preferences between two segments.

    ``P(left better) = sigmoid(sum of left rewards - sum of right rewards)`` (Bradley & Terry 1952; for segments of
    trajectories Christiano et al. 2017, eq. 1). A margin asks the better side to win by that much (Llama 2, eq. 2):
    ``-c log sigmoid(d - m) - (1 - c) log sigmoid(-d - m)``.

    Args:
        left_sum: summed standardised rewards of the left segments, ``[N, heads]``.
        right_sum: the same of the right ones.
        choice: probability that left is better, ``[N]``; 0.5 is a tie, other values are soft labels.
        margin: in units of summed standardised reward, ``[N]``.
        votes: how often each pair counts for each head, ``[N, heads]``.

    Returns:
        A scalar: mean over pairs, sum over heads.
    """
    difference, choice, margin = left_sum - right_sum, choice[:, None], margin[:, None]
    left_better, right_better = F.logsigmoid(difference - margin), F.logsigmoid(-difference - margin)
    return -(votes * (choice * left_better + (1 - choice) * right_better)).mean(0).sum()


def segment_sums(rewards: Tensor, segment: Tensor, weight: Tensor, segments: int) -> Tensor:
    """Sum the rewards of each segment's steps.

    Args:
        rewards: ``[K, heads]``.
        segment: which segment a step belongs to, ``int64 [K]``.
        weight: how many steps this one stands for, ``[K]``: 1, or length / sampled where a random part is scored.
        segments: how many there are.

    Returns:
        ``[segments, heads]``.
    """
    sums = torch.zeros(segments, rewards.shape[1], dtype=rewards.dtype, device=rewards.device)
    return sums.index_add(0, segment, rewards * weight[:, None])
