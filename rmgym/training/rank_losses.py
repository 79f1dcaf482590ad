"""Losses of ratings that read their order alone: an annotator's levels need not be evenly spaced.

The ratings of a batch are one list, for each head those that it is given. An order tells nothing of units: a model is
put into those of the ratings afterwards (:func:`rmgym.training.units.match_ratings`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from rmgym.errors import FitError, nearest

LONGEST = 256
"""Ratings in a list at most: the work grows with its square. More are lists of their own."""


def rank_loss(predicted: Tensor, target: Tensor, kind: str, votes: Tensor | float = 1.0) -> Tensor:
    """How far the order of predictions is from that of the ratings.

    Args:
        predicted: rewards, ``[B, heads]``.
        target: ratings, ``[B]``, in any units.
        kind: of :data:`RANK_LOSSES`.
        votes: how often each rating counts for each head, ``[B, heads]``.

    Returns:
        A scalar: mean over lists of up to :data:`LONGEST` ratings, each by its length, sum over heads.

    Raises:
        FitError: the kind is unknown.
    """
    if kind not in RANK_LOSSES:
        raise FitError("the loss of an order is known", got=kind, fix=nearest(kind, RANK_LOSSES))
    counts = torch.as_tensor(votes, dtype=predicted.dtype, device=predicted.device).expand_as(predicted)
    lists = (torch.split(part, LONGEST) for part in (predicted, target, counts))
    losses = [len(part) * RANK_LOSSES[kind](part, *rest) for part, *rest in zip(*lists, strict=True)]
    return torch.stack(losses).sum() / len(target)


def ranknet(predicted: Tensor, target: Tensor, votes: Tensor) -> Tensor:
    """Mean surprise at which of two is rated higher, over all pairs that are rated differently.

    ``log(1 + exp(-(r_i - r_j)))`` where ``i`` is (Burges et al. 2005, "Learning to Rank using Gradient Descent",
    https://doi.org/10.1145/1102351.1102363).
    """
    pairs = (target[:, None] > target)[..., None] * votes[:, None] * votes
    surprise = pairs * F.softplus(predicted - predicted[:, None])
    return (surprise.sum((0, 1)) / _counted(pairs.sum((0, 1)))).sum()


def rank_mse(predicted: Tensor, target: Tensor, votes: Tensor) -> Tensor:
    """Mean squared difference of soft ranks and ranks, in units of the variance of evenly spread ranks.

    The loss of R4 (Kharyal et al. 2026, "Reward Learning through Ranking Mean Squared Error",
    https://arxiv.org/abs/2601.09236). Its soft ranks are those of Qin et al. 2010 ("A general approximation framework
    for direct optimization of information retrieval measures", https://doi.org/10.1007/s10791-009-9124-x): the rank of
    ``i`` is the share of ``sigmoid(r_i - r_j)`` over all ``j``. Equal ratings have their mean rank.
    """
    apart = predicted[:, None] - predicted
    higher = (torch.sign(target[:, None] - target) / 2 + 0.5)[..., None]
    count = _counted(votes.sum(0))
    missed = (votes * (torch.sigmoid(apart) - higher)).sum(1) / count
    return 12 * ((votes * missed.square()).sum(0) / count).sum()


def listmle(predicted: Tensor, target: Tensor, votes: Tensor) -> Tensor:
    """Surprise at the whole order, per rating: each is drawn first among those that are not rated higher.

    The likelihood of Plackett and Luce (Xia et al. 2008, "Listwise Approach to Learning to Rank",
    https://doi.org/10.1145/1390156.1390306), with that of Breslow (1974) for equal ratings.
    """
    itself = torch.eye(len(target), dtype=torch.bool, device=target.device)[..., None]
    others = itself | ((target[:, None] >= target)[..., None] & (votes > 0))
    among = predicted.expand(len(target), *predicted.shape).masked_fill(~others, -torch.inf).logsumexp(1)
    return ((votes * (among - predicted)).sum(0) / _counted(votes.sum(0))).sum()


def _counted(number: Tensor) -> Tensor:
    """What a sum is divided by: where there is nothing, it is 0."""
    return number.clamp_min(1)


RANK_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "ranknet": ranknet,
    "rank-mse": rank_mse,
    "listmle": listmle,
}
