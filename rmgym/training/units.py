"""Units of rewards that labels do not fix."""

from __future__ import annotations

from rmgym.models.base import RewardModel
from rmgym.models.neural import NeuralRewardModel
from rmgym.text.batch import TextBatch


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
