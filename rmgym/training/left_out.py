"""Labels that heads go without, and what they say of the heads' disagreement.

Where there are several heads, some labels are kept from two of them: so heads differ where labels are few, and these
labels tell how far off heads are that were not given them (Breiman 1996, "Out-of-bag estimation",
https://www.stat.berkeley.edu/~breiman/OOBestimation.pdf; heads on one body: Osband et al. 2016, "Deep Exploration via
Bootstrapped DQN", https://arxiv.org/abs/1602.04621). A bootstrap leaves out more than every third label of each head.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from rmgym.training.dataset import Rows

FEWEST = 8
"""Labels that two heads were not given, fewer than which say nothing."""
COVERED = 0.95
"""Share of them that is to lie within two standard deviations."""


def draw_votes(train: Rows, alike: Rows, heads: int, share: float, seed: int) -> Tensor:
    """Which labels count for which head, 0 or 1, ``float32 [labels, heads]``; those that are held out, for none.

    Labels are kept from two heads each, which are each pair in turn, at places drawn evenly in the order in which they
    come: further labels at the end change nothing for those before, so that heads that learn on go without the same.

    Args:
        train: the labels that are not held out.
        alike: for each label the number of those that tell what it tells, see
            :func:`rmgym.training.groups.alike_of`; they are kept from the same heads.
        heads: number of heads; one or two are given all.
        share: of them that a head goes without, on average, at most ``2 / heads``.
        seed: of the draws.
    """
    votes = np.zeros((len(alike), heads), np.float32)
    votes[train] = 1
    rate = min(1.0, share * heads / 2)
    if heads > 2:
        rng, pairs = np.random.default_rng([seed, heads]), np.array(list(combinations(range(heads), 2)))
        pairs = rng.permutation(pairs)
        most = round(len(train) * rate) + 1
        places = np.arange(most) + rng.random(most)  # in units of 1 / rate labels
        passed, kept, groups = 0, 0, 0
        for name in dict.fromkeys(alike[train].tolist()):
            labels = train[alike[train] == name]
            passed += len(labels)
            if kept + len(labels) <= np.searchsorted(places, passed * rate):
                votes[np.ix_(labels, pairs[groups % len(pairs)])] = 0
                kept, groups = kept + len(labels), groups + 1
    return torch.from_numpy(votes)


def calibration(predicted: Tensor, target: Tensor, votes: Tensor) -> tuple[float, float] | None:
    """How the standard deviation of a prediction follows from the heads' disagreement ``s``.

    It is ``sqrt((factor * s)**2 + floor**2)``: errors that heads share do not show in their disagreement. Errors and
    disagreement are taken over the heads that a label was not given to, where there are two of them at least. The
    factor makes both equal on average; the floor is the least with which so many labels lie within two standard
    deviations as are expected (the quantile of split conformal prediction, Lei et al. 2018,
    https://arxiv.org/abs/1604.04173).

    Args:
        predicted: standardised rewards of labelled steps, ``[R, heads]``.
        target: their standardised ratings, ``[R]``.
        votes: see :func:`draw_votes`, ``[R, heads]``.

    Returns:
        Factor, and floor in standardised units; None where there are too few such labels.
    """
    out = votes == 0
    rows = out.sum(dim=1) >= 2
    if int(rows.sum()) < FEWEST:
        return None
    out, predicted, target = out[rows].double(), predicted[rows].double(), target[rows].double()
    count = out.sum(dim=1)
    mean = (predicted * out).sum(dim=1) / count
    variance = ((predicted - mean[:, None]).square() * out).sum(dim=1) / (count - 1)
    error = (mean - target).square()
    factor = float((error.mean() / variance.mean()).sqrt()) if variance.mean() > 0 else 1.0
    missing = (error / 4 - factor**2 * variance).clamp_min(0).sort().values
    quantile = min(math.ceil((len(missing) + 1) * COVERED), len(missing))
    return factor, math.sqrt(float(missing[quantile - 1]))
