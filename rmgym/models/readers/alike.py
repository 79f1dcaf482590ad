"""What is read where a slot or a phrase was never seen: those that were and mean most the same."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from rmgym.models.readers.hashing import Name

TEMPERATURE = 0.1
"""Of the softmax over the cosines of two phrases."""
SAME_PLACE = 0.5
"""What is added to the cosine of two slots' clauses where both were there equally often before."""


def cosines(new: Tensor, seen: Tensor) -> Tensor:
    """Cosines of vectors ``[N, size]`` and ``[K, size]``, ``[N, K]``."""
    return F.normalize(new, dim=1) @ F.normalize(seen, dim=1).T


def blended(alike: Tensor) -> Tensor:
    """Weights of phrases that were seen in one that was not, ``[N, K]``; each row adds up to 1.

    A softmax over cosines, as of keys and values: Vinyals et al. 2016, "Matching Networks for One Shot Learning"
    (https://arxiv.org/abs/1606.04080).
    """
    return (alike / TEMPERATURE).softmax(dim=1)


def drawn(alike: Tensor, heads: int) -> Tensor:
    """For which phrase that was seen each head takes one that was not, ``int64 [N, heads]``.

    These are quantiles of the weights of :func:`blended`, the most alike first: the less is alike, or the more are, the
    more the heads differ.
    """
    weights, order = blended(alike).sort(dim=1, descending=True)
    quantiles = torch.arange(heads).to(weights) / heads
    rank = (weights.cumsum(dim=1)[:, None] <= quantiles[:, None]).sum(dim=2)
    return order.gather(1, rank.clamp_max(alike.shape[1] - 1))


def matched(alike: Tensor, new: list[Name], seen: list[Name]) -> list[Name]:
    """The slots that were seen for which those of a text are taken, each for another one as far as there are enough.

    So "speed to the right" and "upward speed" are not both taken for one slot that is most like either. It is the
    assignment with the greatest sum (Kuhn 1955; `scipy.optimize.linear_sum_assignment`).

    Args:
        alike: cosines of their clauses, ``[N, K]``.
        new: the text's slots, ``N``.
        seen: the others, ``K``.
    """
    same_place = torch.tensor([[a.before == b.before for b in seen] for a in new]).to(alike)
    score = (alike + SAME_PLACE * same_place).cpu().double().numpy()
    choice = score.argmax(axis=1)
    rows, columns = linear_sum_assignment(-score)
    choice[rows] = columns
    return [seen[j] for j in np.asarray(choice).tolist()]
