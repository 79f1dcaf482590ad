"""The policies that a loop has seen, and whether its labels settle their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rmgym.feedback.teachers.values import in_ended_episode
from rmgym.models.neural import NeuralRewardModel
from rmgym.storage.atomic import make_folder
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import Transitions

_KEPT = 1000
"""Steps of each policy."""


def keep_policy(folder: Path, name: str, steps: Transitions) -> None:
    """Keep the latest whole episodes of what a policy did.

    Args:
        folder: of the policies of a round.
        name: of the policy.
        steps: what it did, each episode in order.
    """
    if (ended := in_ended_episode(steps)).any():
        steps = steps[ended]
    latest = steps[steps.episode > steps.episode[-min(_KEPT, len(steps))]]
    kept = latest if len(latest) else steps[steps.episode == steps.episode[-1]]
    kept.save(make_folder(folder, what="a loop's policies") / f"{name}.parquet", overwrite=True)


def values_of(model: NeuralRewardModel, files: list[Path], words: Textualizer) -> npt.NDArray[np.float64]:
    """What each head takes each policy for: its return per episode, ``float64 [policies, heads]``."""
    values = []
    for file in files:
        steps = Transitions.load(file)
        values.append(model.by_head(words.batch(steps)).sum(axis=0) / len(np.unique(steps.episode)))
    return np.array(values)
