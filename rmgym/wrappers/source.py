"""What every wrapper does with a batch of steps: put them into words, score them, compose the reward."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.cards import EnvCard
from rmgym.errors import CardError, HarnessError, ModelError
from rmgym.models.base import Prediction, RewardModel
from rmgym.models.registry import load_reward_model
from rmgym.scoring import Scorer
from rmgym.text.textualizer import textualizer
from rmgym.transitions import Transitions
from rmgym.trees import Tree
from rmgym.wrappers.composition import Composition

Model = str | os.PathLike[str] | RewardModel
Card = str | os.PathLike[str] | EnvCard | None
KEYS = ("learned_reward", "true_reward", "learned_return", "true_return")
"""The keys of ``info`` that belong to rmgym."""
_NORMALISERS = ("NormalizeObservation", "NormalizeReward", "VecNormalize")


@dataclass(frozen=True)
class Rewards:
    """Rewards of ``B`` steps, each ``float64 [B]``.

    Attributes:
        reward: what the agent receives.
        learned: what the model says (its mean), before any composition. For the control ``true``, the true reward.
    """

    reward: npt.NDArray[np.float64]
    learned: npt.NDArray[np.float64]


class RewardSource:
    """A reward model made ready for one environment.

    Args:
        env: the environment, of any kind that :func:`rmgym.textualizer` takes.
        model: a path, hub id, control's name, or a model.
        card: environment card or its path; by default the installed one that fits.
        language: language of the texts.
        composition: how the reward is put together; by default it is the learned one.

    Raises:
        ModelError: there is no such model, or it was fitted for another card.
        CardError: the card does not exist or does not fit.
        TextError: a space is not supported.
        HarnessError: the composition is impossible, or observations or rewards are normalised below.
    """

    def __init__(
        self,
        env: Any,
        model: Model,
        *,
        card: Card = None,
        language: str = "en",
        composition: Composition | Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(card, str | os.PathLike | EnvCard | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CardError("a card is a path or an EnvCard", got=card, fix="pass its path")
        _refuse_normalisers(env)
        self.composition = Composition.of(composition)
        self.textualizer = textualizer(env, card=card, language=language)
        self.exchange(model)

    def exchange(self, model: Model) -> None:
        """Score with another model from now on; where it does not fit, all stays as it was.

        Raises:
            ModelError: there is no such model, or it was fitted for another card.
        """
        loaded = load_reward_model(model)
        if not hasattr(loaded, "predict"):
            raise ModelError(
                "a reward model is a path, a hub id, a control's name or has 'predict'",
                got=loaded,
                fix="see rmgym.RewardModel",
            )
        # The control 'true' has nothing to say about text: the environment's reward is passed through.
        self._scorer = None if loaded.name == "true" else Scorer(loaded, self.textualizer)
        self.model = loaded

    def __call__(self, steps: Transitions, true_reward: npt.ArrayLike) -> Rewards:
        """Reward ``B`` steps with one call of the model.

        Args:
            steps: raw steps.
            true_reward: the environment's own rewards, ``[B]``, in its own precision.

        Raises:
            TextError: a step holds NaN.
            ModelError: the model does not give finite rewards.
        """
        true = np.array(true_reward, np.float64)
        if self._scorer is None:
            prediction, learned = Prediction(true.astype(np.float32), np.zeros(len(true), np.float32)), true
        else:
            prediction = self._scorer.score(steps)
            learned = prediction.mean.astype(np.float64)
        if self.composition.is_plain:
            return Rewards(learned.copy(), learned)
        return Rewards(self.composition.apply(prediction, true).astype(np.float64), learned)


class Episodes:
    """The running episodes of ``n`` environments.

    Args:
        n: how many.
        history: steps to remember (the ``history`` of the card).

    Attributes:
        learned: sum of the learned reward so far, ``float64 [n]``.
        true: sum of the true reward so far, ``float64 [n]``.
        steps: steps so far, ``int64 [n]``.
    """

    def __init__(self, n: int, history: int = 0) -> None:
        self.learned, self.true = np.zeros(n), np.zeros(n)
        self.steps = np.zeros(n, np.int64)
        self._history = history
        self._past: list[dict[str, Tree]] = []  # the latest first, as in Transitions.past

    def past(self, obs: Tree, action: Tree) -> Tree:
        """What came before the step that takes ``action`` at ``obs``, as :class:`Transitions` have it."""
        if not self._history:
            return ()
        nothing = {"there": np.zeros(len(self.steps), bool), "obs": obs, "action": action}
        return (*self._past, *[nothing] * (self._history - len(self._past)))

    def add(
        self,
        obs: Tree,
        action: Tree,
        learned: npt.NDArray[np.float64] | float,
        true: npt.NDArray[np.float64] | float,
        rows: npt.NDArray[np.bool_] | slice = slice(None),
    ) -> None:
        """Count one step of the environments ``rows`` (a mask; by default all).

        ``obs`` and ``action`` are of all, and stay as they are. ``learned`` is 0 where it is not known yet.
        """
        if isinstance(rows, slice):  # all: in place, which is quicker than by an index
            if not isinstance(learned, float) or learned:
                self.learned += learned
            self.true += true
            self.steps += 1
        else:
            self.learned[rows] += learned
            self.true[rows] += true
            self.steps[rows] += 1
        if self._history:
            there = np.zeros(len(self.steps), bool)
            there[rows] = True
            self._past = [{"there": there, "obs": obs, "action": action}, *self._past][: self._history]

    def clear(self, rows: npt.NDArray[np.bool_] | slice = slice(None)) -> None:
        """Begin new episodes in the environments ``rows``."""
        self.learned[rows] = self.true[rows] = 0
        self.steps[rows] = 0
        for i, lag in enumerate(self._past):
            there = lag["there"].copy()  # recorded steps hold the old one
            there[rows] = False
            self._past[i] = {**lag, "there": there}


def _refuse_normalisers(env: Any) -> None:
    """Refuse running normalisation below: the same state would get other words, and the true reward other values.

    Raises:
        HarnessError: a wrapper of Gymnasium or SB3 does that.
    """
    layer = env
    while layer is not None:
        for kind in type(layer).__mro__:
            if kind.__name__ in _NORMALISERS:
                raise HarnessError(
                    "text is made from raw observations, and the true reward is the raw one",
                    got=f"{kind.__name__} below the learned reward",
                    fix=f"wrap the other way round: {kind.__name__} around the environment with the learned reward",
                )
        for member in vars(layer).get("envs", ()):  # of a DummyVecEnv or SyncVectorEnv; workers cannot be looked into
            _refuse_normalisers(member)
        layer = vars(layer).get("env", vars(layer).get("venv"))


def refuse_foreign_rewards(info: Mapping[str, Any]) -> None:
    """Refuse an environment whose reward is already a learned one: ours would call it the true reward.

    Raises:
        HarnessError: there is another rmgym wrapper below.
    """
    if found := [key for key in KEYS if key in info]:
        raise HarnessError(
            "one environment has one learned reward, or the true one cannot be told",
            got=f"info of the wrapped environment already has {', '.join(found)}",
            fix="wrap once; give several models as one ensemble, and weights as composition=",
        )
