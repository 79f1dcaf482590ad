"""What one cell of a suite is: a reward model to make, or an agent to train on one. Both are JSON-able values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from rmgym.bench.suite import Reward, Target
from rmgym.specs import EnvSpec
from rmgym.specs.base import Json, Spec


@dataclass(frozen=True, kw_only=True)
class ModelCell(Spec):
    """A reward model: which steps are collected, labelled and fitted on.

    Attributes:
        env: where steps are collected.
        target: what the scripted teacher rates.
        reward: the reward of the suite, with everything decided that was left open.
        seed: of collecting, choosing and fitting.
    """

    env: EnvSpec
    target: Target
    reward: Reward
    seed: int

    @property
    def recipe(self) -> str:
        """Identity (hex) of all that decides the model but the seed."""
        return _hash({**self.to_json(), "seed": None})

    @property
    def unshuffled(self) -> str:
        """The same, whatever the reward is called and in whatever order its labels are: what a model and its
        ``shuffled`` control have in common.
        """
        values = self.to_json()
        reward: Json = {**values["reward"], "name": None}
        reward["fit"] = {key: value for key, value in reward["fit"].items() if key != "shuffle_labels"}
        return _hash({**values, "seed": None, "reward": reward})


def _hash(values: Json) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class TrainCell(Spec):
    """An agent and how it is trained.

    Attributes:
        env: where it trains.
        algo: its agent card.
        reward_name: what reports call its reward.
        model: its reward model: a name or folder, or, where the suite fits it, a folder relative to the suite's.
        is_fitted: whether the suite fits it.
        seed: of everything that is drawn.
        steps: environment steps.
        eval_every: steps between evaluations.
        episodes: held-out episodes of each.
        measure: name of the user's own measure of them; None without one.
    """

    env: EnvSpec
    algo: str
    reward_name: str
    model: str
    is_fitted: bool
    seed: int
    steps: int
    eval_every: int
    episodes: int
    measure: str | None = None

    def to_json(self) -> Json:
        """See :class:`Spec`; without a measure as cells were begun before there were some."""
        values = super().to_json()
        return values if self.measure is not None else {k: v for k, v in values.items() if k != "measure"}


Cell: TypeAlias = ModelCell | TrainCell
KINDS: dict[str, type[ModelCell] | type[TrainCell]] = {"model": ModelCell, "train": TrainCell}


def kind_of(cell: Cell) -> str:
    """``model`` or ``train``."""
    return next(name for name, cls in KINDS.items() if isinstance(cell, cls))
