"""The units in which a model learns, and those of rewards that labels do not fix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rmgym.models.base import RewardModel
from rmgym.models.neural import NeuralRewardModel
from rmgym.text.batch import TextBatch
from rmgym.training.dataset import LabelData, Rows
from rmgym.training.objective import rewards_of

NORMAL_RANGE = 1.349
"""Range of the middle half of a normal distribution, in standard deviations."""
MOST_OUTLYING = 16.0
"""Times by which a standard deviation may be larger than the scale."""
_NO_SLOPE = 1e-6  # of a model whose rewards tell nothing of the ratings


def robust_units(ratings: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Median and scale of ratings, which are not all equal, so that few large ones do not hide what the others tell.

    Where a crash costs 100 and most steps are worth less than 1, a standard deviation of 30 makes all of those alike,
    and errors of 0.5 a step add up to a return that an agent goes for. The scale is that of the middle half, as far as
    it is narrower than a normal distribution's of the same standard deviation; Huber's threshold is in units of it
    (Huber 1964, https://doi.org/10.1214/aoms/1177703732).
    """
    low, middle, high = np.percentile(ratings, [25, 50, 75])
    spread = float(ratings.std())
    half = float(high - low) / NORMAL_RANGE
    return float(middle), min(max(half, spread / MOST_OUTLYING), spread) if half > 0 else spread


def set_units(model: NeuralRewardModel, data: LabelData, items: Rows) -> None:
    """Give a model that was fitted on comparisons alone units of its own: its rewards have mean 0 and variance 1.

    Args:
        model: changed in place.
        data: the labels.
        items: those whose steps these are rewards of.
    """
    rewards = _combined(model, data, data.rows(items))
    scale = float(rewards.std(correction=0))
    model.scale.fill_(1 / scale if scale > 0 else 1.0)
    model.offset.fill_(-float(rewards.mean()) * float(model.scale))


def match_ratings(model: NeuralRewardModel, data: LabelData, items: Rows) -> LabelData:
    """Put a model that was fitted on the order of ratings into their units, by least squares, with no slope below 0.

    Args:
        model: with the units of the ratings; changed in place.
        data: the labels, whose targets are standardised in these units.
        items: the ratings that the model was fitted on.

    Returns:
        The labels with targets that are standardised in the model's new units.
    """
    rewards, target = _combined(model, data, items).double(), data.target[torch.from_numpy(items)].double()
    apart = rewards - rewards.mean()
    slope = max(float((apart * target).mean() / apart.square().mean().clamp_min(_NO_SLOPE)), _NO_SLOPE)
    intercept = float(target.mean() - slope * rewards.mean())
    model.offset.add_(intercept * model.scale)
    model.scale.mul_(slope)
    return replace(data, target=((data.target.double() - intercept) / slope).float())


def _combined(model: NeuralRewardModel, data: LabelData, rows: Rows) -> Tensor:
    """Standardised rewards of some rows, ``[len(rows)]``; sets what the model takes them to differ by."""
    rewards = rewards_of(model, data, rows)
    spread = float(rewards.mean(dim=1).std(correction=0))
    model.spread.fill_(spread if spread > 0 else 1.0)
    return model.combined(rewards, model.disagreement(data.encoded.take(torch.from_numpy(rows)), rewards))


def match_units(model: NeuralRewardModel, earlier: RewardModel, texts: TextBatch) -> None:
    """Give a model that was fitted on comparisons alone the units of an earlier one: it is known up to an affine map.

    Its mean and standard deviation over some texts become the earlier one's, so that an agent's reward does not jump
    from one fit to the next.

    Args:
        model: changed in place.
        earlier: whose units they are.
        texts: at least two, on which both can be believed: such as both were fitted on.
    """
    now, before = model.predict(texts).mean.astype(float), earlier.predict(texts).mean.astype(float)
    factor = float(before.std() / now.std()) if min(now.std(), before.std()) > 0 else 1.0
    model.offset.copy_((model.offset - float(now.mean())) * factor + float(before.mean()))
    model.scale.mul_(factor)
    model.noise.mul_(factor)
