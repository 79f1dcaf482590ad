"""The units in which a model learns, and those of rewards that labels do not fix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rmgym.models.base import RewardModel
from rmgym.models.neural import NeuralRewardModel
from rmgym.text.batch import TextBatch

NORMAL_RANGE = 1.349
"""Range of the middle half of a normal distribution, in standard deviations."""
MOST_OUTLYING = 16.0
"""Times by which a standard deviation may be larger than the scale."""


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
