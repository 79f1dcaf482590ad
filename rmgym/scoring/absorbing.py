"""A model that is asked about the absorbing state of a fixed horizon, and was never shown it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from rmgym.errors import UnseenStepsWarning
from rmgym.models.base import RewardModel

_warned = set[str]()


def unseen_absorbing(model: RewardModel) -> str | None:
    """What is to be said of a model whose labels held no step of the absorbing state; None where that is not known."""
    facts = model.describe()
    facts = facts.get("served", facts)  # of a remote one, what the model itself says
    fitted_on = facts.get("fitted_on")
    if not isinstance(fitted_on, Mapping) or fitted_on.get("absorbing") is not False:
        return None
    return (
        f"the reward model {model.name!r} was fitted on no step of the absorbing state that a fixed horizon has: what "
        "it says of it is a guess, repeated until the horizon. Collect with fixed_horizon= (--fixed-horizon), label "
        "such steps too, and fit again"
    )


def warn_of_unseen(model: RewardModel) -> None:
    """Say so, once per process and model."""
    if model.digest not in _warned:
        _warned.add(model.digest)
        if warning := unseen_absorbing(model):
            warnings.warn(warning, UnseenStepsWarning, stacklevel=4)
