"""What an agent is rewarded by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from rmgym.composition import Composition
from rmgym.specs.base import Spec

Kind: TypeAlias = Literal["true", "learned", "shuffled", "control"]
"""What a reward knows: the true reward itself; what it was fitted on (``learned``; ``shuffled`` on permuted labels); or
nothing."""


@dataclass(frozen=True, kw_only=True)
class RewardSpec(Spec):
    """A reward model and how its answers become a reward.

    Attributes:
        name: the model's registered name, such as ``minilm``; ``true`` for the environment's own reward.
        digest: identity of all that changes a score: weights, options and precision.
        kind: what it knows of the task.
        labels: how many labels it was fitted on, 0 for what is not fitted, None where it is not known.
        model: where it is: a folder (absolute), hub id, URL, or a control's name; None where it was given as an object,
            which has to be given again.
        composition: how the reward is put together.
        student: options of a fast model that stands in for a slow one (:class:`rmgym.StudentOptions`), None without.
    """

    name: str
    digest: str
    kind: Kind = "learned"
    labels: int | None = None
    model: str | None = None
    composition: Composition = field(default_factory=Composition)
    student: Mapping[str, Any] | None = None
