"""What every wrapper does with a batch of steps: put them into words, score them, compose the reward."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rmgym.cards import EnvCard
from rmgym.composition import Composition
from rmgym.distillation.student import Student
from rmgym.distillation.student_options import StudentOptions
from rmgym.errors import CardError, ModelError, RunError
from rmgym.models.base import Prediction, RewardModel
from rmgym.models.registry import TRUE, load_reward_model
from rmgym.scoring import Scorer
from rmgym.text.textualizer import textualizer
from rmgym.transitions import Transitions

Model = str | os.PathLike[str] | RewardModel
Loaded = RewardModel | Literal["true"]
"""A model in memory, or the control ``true``, which is none."""
StudentLike = Student | StudentOptions | Mapping[str, object] | None
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


def is_true(model: Model) -> bool:
    """Whether this is the control ``true``: the environment's own reward, passed through; no model reads its text."""
    return isinstance(model, str) and model == TRUE


def load(model: Model) -> Loaded:
    """The model behind a path, hub id or name, loaded once; wherever a model goes, what is returned goes too.

    Raises:
        ModelError: there is no such model.
    """
    if is_true(model):
        return TRUE
    loaded = load_reward_model(model)
    if not hasattr(loaded, "predict"):
        raise ModelError(
            "a reward model is a path, a hub id, a control's name or has 'predict'",
            got=loaded,
            fix="see rmgym.RewardModel",
        )
    return loaded


def name_of(loaded: Loaded) -> str:
    """What records and reports call a reward."""
    return loaded if isinstance(loaded, str) else loaded.name


def digest_of(loaded: Loaded) -> str:
    """The model's digest, by which a record knows it again; of the control ``true`` its name."""
    return loaded if isinstance(loaded, str) else loaded.digest


class RewardSource:
    """A reward made ready for one environment: a model's, or for the control ``true`` the environment's own.

    With ``true`` there is no model. The learned reward *is* the true one there, and a composition weighs it as it would
    a model's.

    Args:
        env: the environment, of any kind that :func:`rmgym.textualizer` takes.
        model: a path, hub id, control's name, or a model.
        card: environment card or its path; by default the installed one that fits.
        language: language of the texts.
        composition: how the reward is put together; by default it is the learned one.
        student: stands in for a slow model (:class:`rmgym.Student`), or options of one.

    Attributes:
        student: what stands in for the model, if anything does.

    Raises:
        ModelError: there is no such model, it was fitted for another card, or there is none for a student to imitate.
        CardError: the card does not exist or does not fit.
        TextError: a space is not supported.
        RunError: the composition is impossible, or observations or rewards are normalised below.
    """

    def __init__(
        self,
        env: Any,
        model: Model,
        *,
        card: Card = None,
        language: str = "en",
        composition: Composition | Mapping[str, object] | None = None,
        student: StudentLike = None,
    ) -> None:
        if not isinstance(card, str | os.PathLike | EnvCard | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CardError("a card is a path or an EnvCard", got=card, fix="pass its path")
        _refuse_normalisers(env)
        self.composition = Composition.of(composition)
        self.textualizer = textualizer(env, card=card, language=language)
        self.student = Student.of(student)
        self.exchange(model)

    def exchange(self, model: Model) -> None:
        """Score with another model from now on; where it does not fit, all stays as it was.

        Raises:
            ModelError: there is no such model, it was fitted for another card, or there is none to imitate.
        """
        loaded = load(model)
        if isinstance(loaded, str):
            if self.student is not None:
                raise ModelError(
                    "a student imitates a model of text",
                    got=f"the control {loaded!r}, which has none",
                    fix="leave student= out",
                )
            self._scorer = None
        else:
            self._scorer = Scorer(loaded, self.textualizer, student=self.student)
        self.loaded: Loaded = loaded

    @property
    def model(self) -> RewardModel | None:
        """The reward model, always the exact one; None for the control ``true``."""
        return None if isinstance(self.loaded, str) else self.loaded

    @property
    def version(self) -> str:
        """Identity of the reward as it is now: another one, other rewards for the same steps."""
        return TRUE if self._scorer is None else self._scorer.version

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


def _refuse_normalisers(env: Any) -> None:
    """Refuse running normalisation below: the same state would get other words, and the true reward other values.

    Raises:
        RunError: a wrapper of Gymnasium or SB3 does that.
    """
    layer = env
    while layer is not None:
        for kind in type(layer).__mro__:
            if kind.__name__ in _NORMALISERS:
                raise RunError(
                    "text is made from raw observations, and the true reward is the raw one",
                    got=f"{kind.__name__} below the learned reward",
                    fix=f"wrap the other way round: {kind.__name__} around the environment with the learned reward",
                )
        for member in vars(layer).get("envs", ()):  # of a DummyVecEnv or SyncVectorEnv; workers cannot be looked into
            _refuse_normalisers(member)
        layer = vars(layer).get("env", vars(layer).get("venv"))


def refuse_foreign_rewards(info: Mapping[str, object]) -> None:
    """Refuse an environment whose reward is already a learned one: ours would call it the true reward.

    Raises:
        RunError: there is another rmgym wrapper below.
    """
    if foreign := [key for key in KEYS if key in info]:
        raise RunError(
            "one environment has one learned reward, or the true one cannot be told",
            got=f"info of the wrapped environment already has {', '.join(foreign)}",
            fix="wrap once; give several models as one ensemble, and weights as composition=",
        )
