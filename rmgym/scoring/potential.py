"""A model of what a state is worth, read as a potential: the reward of a step is what it gained.

Labels by outcome say what follows from a state. A reward of that kind pays an agent for staying near success for ever;
what a step gained of it does not (Ng, Harada & Russell 1999, "Policy invariance under reward transformations").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rmgym.errors import ModelError
from rmgym.models.base import RewardModel
from rmgym.text.batch import TextBatch
from rmgym.text.language import phrases
from rmgym.transitions import Transitions
from rmgym.trees import Space, stack

_KEY = "potential"
"""Where it stands in what a model says of the labels that it was fitted on."""


def states_hash(card_hash: str) -> str:
    """The identity of texts of states, 16 hex digits, by that of texts of steps: models of one read not the other."""
    return sha256(f"states of {card_hash}".encode()).hexdigest()[:16]


def as_states(texts: TextBatch) -> TextBatch:
    """Texts of :func:`arrivals` as what they are, texts of states: their ``card_hash`` tells."""
    return texts if texts.card_hash is None else replace(texts, card_hash=states_hash(texts.card_hash))


def arrivals(steps: Transitions, actions: Space) -> Transitions:
    """Steps of which nothing is left but where they lead, and whether that ends the task: the states to be rated.

    Each stays where it arrives, by an action that is always the same.

    Args:
        steps: the steps.
        actions: space of actions.
    """
    actions = deepcopy(actions)  # seeding it would disturb whoever draws from it
    actions.seed(0)
    action = stack(actions, [actions.sample()] * len(steps))
    never = np.zeros(len(steps), np.bool_)
    return replace(steps, obs=steps.next_obs, action=action, truncated=never)


@dataclass(frozen=True, kw_only=True)
class Potential:
    """How rewards follow from what states are worth.

    The reward of a step is ``(discount * phi(s') - phi(s)) / unit``, and ``(head(s') - phi(s)) / unit`` where it ended
    the task: both are what the model says of the arrival, within the ratings, less ``zero``. Over an episode they add
    up, discounted, to what its end is worth, whatever ``phi`` is.

    Where there is something to be reached (a goal), what goes on is worth as little as the worst that was rated
    (``zero``); where an end is to be kept off (a pole that is to stay up), as much as the best.

    Attributes:
        discount: the agent's; with its own, and no other, ``phi`` leaves the best policy what it is.
        least: the worst rating.
        most: the best one.
        reaches: whether an end was rated better than most of what goes on, or none was rated: what is to be kept off is
            met soon.
    """

    discount: float
    least: float
    most: float
    reaches: bool

    @classmethod
    def between(cls, texts: TextBatch, values: npt.NDArray[np.floating], discount: float) -> Self:
        """The one of some labels.

        Args:
            texts: of arrivals, ``B``.
            values: their ratings, ``[B]``.
            discount: the agent's.
        """
        language = phrases(texts.language)
        endings = [i for i, phrase in enumerate(texts.phrases) if phrase in (language.terminated, language.both)]
        row = np.repeat(np.arange(len(texts)), texts.word_counts)
        ends = np.bincount(row, np.isin(texts.words, endings), len(texts)) > 0
        others = np.median(values[~ends]) if not ends.all() else -np.inf
        reaches = bool(not ends.any() or values[ends].max() > others)
        return cls(discount=discount, least=float(values.min()), most=float(values.max()), reaches=reaches)

    @classmethod
    def of(cls, model: RewardModel) -> Self | None:
        """The one that a model is read as; None for a model of rewards.

        Raises:
            ModelError: what it says is no potential.
        """
        facts: Mapping[str, Any] = model.describe()
        facts = facts.get("served", facts)  # of a remote one, what the model itself says
        values = (facts.get("fitted_on") or {}).get(_KEY)
        if values is None:
            return None
        names, numbers = {f.name for f in fields(cls)}, [v for k, v in values.items() if k != "reaches"]
        if set(values) != names or not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
            raise ModelError("a model says how it is read as a potential", got=values, fix="fit it again")
        return cls(**values)

    @property
    def facts(self) -> dict[str, Any]:
        """What a model says of it among what it was fitted on."""
        return {_KEY: asdict(self)}

    def states(self, steps: Transitions, actions: Space) -> Transitions:
        """What the model is asked about ``B`` steps: ``2 B`` states, those where they lead and those where they begin.

        Raises:
            ModelError: a step is in the absorbing state of a fixed horizon, where no task ends.
        """
        if steps.absorbing.any():
            raise ModelError(
                "a potential is about states of a task that ends",
                got="steps in the absorbing state of a fixed horizon",
                fix="leave the horizon as it is, or fit a model of rewards",
            )
        never = np.zeros(len(steps), np.bool_)
        before = replace(steps, next_obs=steps.obs, terminated=never)
        return arrivals(Transitions.concatenate([steps, before]), actions)

    @property
    def zero(self) -> float:
        """What it is worth that an episode goes on: each step has ``1 - discount`` of it."""
        return self.least if self.reaches else self.most

    @property
    def unit(self) -> float:
        """What lies between the worst and the best."""
        return (self.most - self.least) or 1.0

    def rewards(self, worth: npt.NDArray[np.floating], steps: Transitions) -> npt.NDArray[np.float64]:
        """Rewards of ``B`` steps, ``float64 [B, ...]``, from what their ``2 B`` states are worth, ``[2 B, ...]``."""
        after, before = np.split(self._within(worth) - self.zero, 2)
        kept = np.where(steps.terminated, 1.0, self.discount).reshape(-1, *[1] * (worth.ndim - 1))
        return (kept * after - before) / self.unit

    def discounts(self, steps: Transitions) -> npt.NDArray[np.float64]:
        """By which the rewards of ``B`` steps add up to what episodes are worth, ``float64 [B]``."""
        return self.discount ** steps.step.astype(np.float64)

    def success(self, worth: npt.NDArray[np.floating], steps: Transitions) -> npt.NDArray[np.float64]:
        """The part of the rewards that is no shaping, ``float64 [B]``: what ends are worth, and that it goes on.

        What is left is ``(discount * phi(s') - phi(s)) / unit``, with ``phi`` 0 in the worst state and after an end.
        """
        ends = (self._within(worth[: len(steps)]) - self.least) / self.unit
        return np.where(steps.terminated, ends, (1 - self.discount) * (self.zero - self.least) / self.unit)

    def _within(self, worth: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """What states are worth, none of them more than the best rating or less than the worst."""
        return np.clip(worth.astype(np.float64), self.least, self.most)
