"""What is read where a slot or a phrase was never seen: those that were and mean most the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from rmgym.models.readers.hashing import Name

TEMPERATURE = 0.1
"""Of the softmax over the cosines of two phrases."""
SAME_PLACE, SAME_WORDS = 0.5, 0.01
"""What is added to the cosine of two slots' clauses where both were there equally often before, and where all words
before them are the same."""


def cosines(new: Tensor, seen: Tensor) -> Tensor:
    """Cosines of vectors ``[N, size]`` and ``[K, size]``, ``float64 [N, K]`` on the CPU.

    In single precision they would differ by who else is asked, and choices between near ones with them.
    """
    new, seen = (F.normalize(vectors.cpu().double(), dim=1) for vectors in (new, seen))
    return new @ seen.T


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
    weights, order = blended(alike).sort(dim=1, descending=True, stable=True)
    quantiles = torch.arange(heads).to(weights) / heads
    rank = (weights.cumsum(dim=1)[:, None] <= quantiles[:, None]).sum(dim=2)
    return order.gather(1, rank.clamp_max(alike.shape[1] - 1))


def matched(alike: Tensor, new: Sequence[Name], seen: Sequence[Name]) -> list[Name]:
    """The slots that were seen for which those of a text are taken, each for another one as far as there are enough.

    So "speed to the right" and "upward speed" are not both taken for one slot that is most like either. It is the
    assignment with the greatest sum (Kuhn 1955; `scipy.optimize.linear_sum_assignment`). A slot that was seen as it is
    is taken for itself. Where clauses are equally like, the words before them tell.

    Args:
        alike: cosines of their clauses, ``[N, K]``.
        new: the text's slots, ``N``.
        seen: the others, ``K``.
    """
    places = {name: j for j, name in enumerate(seen)}
    taken = [places.get(name, -1) for name in new]
    rows = [i for i, place in enumerate(taken) if place < 0]
    left = sorted(set(range(len(seen))) - set(taken)) or list(range(len(seen)))
    score = alike[rows][:, left].numpy().copy()
    for i, row in enumerate(rows):
        for j, column in enumerate(left):
            score[i, j] += SAME_PLACE * (new[row].before == seen[column].before)
            score[i, j] += SAME_WORDS * _shared(new[row].words, seen[column].words)
    choice = score.argmax(axis=1)
    some, columns = linear_sum_assignment(-score)
    choice[some] = columns
    for row, j in zip(rows, choice.tolist(), strict=True):
        taken[row] = left[j]
    return [seen[j] for j in taken]


def _shared(one: str, other: str) -> float:
    """The share of words that two texts have in common."""
    ours, theirs = set(one.split()), set(other.split())
    return len(ours & theirs) / max(len(ours | theirs), 1)
