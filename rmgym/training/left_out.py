"""Labels that each head goes without, and what they say of the heads' disagreement.

Where there are several heads, each is fitted without a share of the labels, drawn for it alone: so heads differ where
labels are few, and the labels that they were not given tell how far off they are (Breiman 1996, "Out-of-bag
estimation", https://www.stat.berkeley.edu/~breiman/OOBestimation.pdf; heads on one body: Osband et al. 2016, "Deep
Exploration via Bootstrapped DQN", https://arxiv.org/abs/1602.04621). A bootstrap leaves out more than every third one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rmgym.training.dataset import Rows

FEWEST = 8
"""Labels that two heads were not given, fewer than which say nothing."""


def draw_votes(train: Rows, labels: int, heads: int, share: float, seed: int) -> Tensor:
    """Which labels count for which head, 0 or 1, ``float32 [labels, heads]``; those that are held out, for none.

    Args:
        train: the labels that are not held out.
        labels: how many there are in all.
        heads: number of heads; a single one is given all.
        share: of them that a head goes without.
        seed: of the draws.
    """
    votes = np.zeros((labels, heads), np.float32)
    counts = np.random.default_rng([seed, heads]).random((len(train), heads)) >= (share if heads > 1 else 0)
    counts[:, ~counts.any(axis=0)] = True
    votes[train] = counts
    return torch.from_numpy(votes)


def calibration(predicted: Tensor, target: Tensor, votes: Tensor) -> float:
    """By what the heads' standard deviation is to be multiplied to be the error of their mean.

    Both are taken over the heads that a label was not given to, where there are two of them at least.

    Args:
        predicted: standardised rewards of labelled steps, ``[R, heads]``.
        target: their standardised ratings, ``[R]``.
        votes: see :func:`draw_votes`, ``[R, heads]``.

    Returns:
        Root mean square error ÷ root mean square disagreement; 1 where there are too few such labels.
    """
    out = votes == 0
    rows = out.sum(dim=1) >= 2
    if int(rows.sum()) < FEWEST:
        return 1.0
    out, predicted, target = out[rows].double(), predicted[rows].double(), target[rows].double()
    count = out.sum(dim=1)
    mean = (predicted * out).sum(dim=1) / count
    variance = ((predicted - mean[:, None]).square() * out).sum(dim=1) / (count - 1)
    error = (mean - target).square()
    return float((error.mean() / variance.mean()).sqrt()) if variance.mean() > 0 else 1.0
