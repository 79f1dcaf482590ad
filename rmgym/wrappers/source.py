"""What every wrapper does with a batch of steps: put them into words, score them, compose the reward."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rmgym.cards import EnvCard
from rmgym.composition import Composition, PenaltyWatch
from rmgym.distillation.student import Student
from rmgym.distillation.student_options import StudentOptions
from rmgym.environments.introspect import refuse_other_facts
from rmgym.environments.kinds import Info
from rmgym.environments.wrapper_chain import Normalises, RewardsAlready, first_of
from rmgym.errors import CardError, ModelError, RunError
from rmgym.models.base import Prediction, RewardModel, check_fitted
from rmgym.models.registry import TRUE, load_reward_model
from rmgym.scoring import Scorer
from rmgym.scoring.potential import Potential
from rmgym.text.textualizer import textualizer
from rmgym.transitions import Transitions

Model = str | os.PathLike[str] | RewardModel
Loaded = RewardModel | Literal["true"]
"""A model in memory, or the control ``true``, which is none."""
StudentLike = Student | StudentOptions | Mapping[str, object] | None
Card = str | os.PathLike[str] | EnvCard | None
KEYS = frozenset({"learned_reward", "true_reward", "learned_return", "true_return", "composed_return"})
"""The keys of ``info`` that belong to rmgym."""
_FREED = {f"{mask}{key}": f"{mask}rmgym.env.{key}" for key in KEYS for mask in ("", "_")}
"""What an environment's own values of these keys, and masks of them in a vector, are called."""


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


def load(model: Model, *, seed: int | None = None) -> Loaded:
    """The model behind a path, hub id or name, loaded once; wherever a model goes, what is returned goes too.

    Args:
        model: as named or given.
        seed: of the control ``random`` where it is named, so that each training seed has another one; None for 0.

    Raises:
        ModelError: there is no such model, or it was not fitted.
    """
    if is_true(model):
        return TRUE
    loaded = load_reward_model(model, seed=seed or 0)
    if not hasattr(loaded, "predict"):
        raise ModelError(
            "a reward model is a path, a hub id, a control's name or has 'predict'",
            got=loaded,
            fix="see rmgym.RewardModel",
        )
    check_fitted(loaded)
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
        RunError: the composition is impossible, or a wrapper below makes the text or the true reward untrue.
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
        _refuse_untrue(env)
        self.composition = Composition.of(composition)
        self.textualizer = textualizer(env, card=card, language=language)
        self.student = Student.of(student)
        self.exchange(model)

    def exchange(self, model: Model, composition: Composition | None = None) -> None:
        """Score with another model from now on; where it does not fit, all stays as it was.

        Args:
            model: a path, hub id, control's name, or a model.
            composition: how the reward is put together from now on; by default as it was.

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
        self.composition = composition or self.composition
        self._watch = PenaltyWatch(self.composition)

    @property
    def model(self) -> RewardModel | None:
        """The reward model, always the exact one; None for the control ``true``."""
        return None if isinstance(self.loaded, str) else self.loaded

    @property
    def version(self) -> str:
        """Identity of the reward as it is now: another one, other rewards for the same steps."""
        return TRUE if self._scorer is None else self._scorer.version

    @property
    def potential(self) -> Potential | None:
        """How rewards follow from what the model says of states; None where it says what steps are worth."""
        return None if self._scorer is None else self._scorer.potential

    def success(self, steps: Transitions) -> npt.NDArray[np.float64] | None:
        """See :meth:`rmgym.scoring.Scorer.success`."""
        return None if self._scorer is None else self._scorer.success(steps)

    def check(self, env: Any, members: Sequence[int] | None = None) -> None:
        """Refuse an environment, after a reset, whose texts would speak of another map.

        Args:
            env: the environment.
            members: those of an SB3 ``VecEnv`` that were reset; None for all, as it is for any other.

        Raises:
            RunError: a fact of the card is not what it was.
        """
        refuse_other_facts(env, self.textualizer.card.facts, self.textualizer.facts, members)

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
        self._watch.see(prediction)
        if self.composition.is_plain:
            return Rewards(learned.copy(), learned)
        return Rewards(self.composition.apply(prediction, true).astype(np.float64), learned)


def _refuse_untrue(env: Any) -> None:
    """Refuse what makes text or true reward untrue below, with a card or without.

    Raises:
        RunError: a wrapper normalises by running statistics, or is a learned reward itself.
    """
    if name := first_of(env, Normalises):
        raise RunError(
            "text is made from raw observations, and the true reward is the raw one",
            got=f"{name} below the learned reward",
            fix="wrap the other way round: normalise around the environment with the learned reward",
        )
    if name := first_of(env, RewardsAlready):
        raise _two_rewards(f"{name} below the learned reward")


def theirs(info: Mapping[str, Any]) -> Info:
    """What an environment says, in a dictionary of our own where our keys are free.

    Its own ``true_reward`` is ``rmgym.env.true_reward`` there, and so is the mask ``_true_reward`` of a vector
    environment.

    Raises:
        RunError: it speaks of a learned reward, or is no dictionary.
    """
    if not isinstance(info, (dict, Mapping)):  # pyright: ignore[reportUnnecessaryIsInstance]  # a dict is told quickly
        raise RunError("an environment's info is a dictionary", got=info, fix="return {} where there is nothing to say")
    if KEYS.isdisjoint(info):
        return dict(info)
    if learned := [key for key in info if key in KEYS and key.startswith("learned")]:
        raise _two_rewards(f"info of the wrapped environment already has {', '.join(learned)}")
    return {_FREED.get(key, key): value for key, value in info.items()}


def _two_rewards(got: str) -> RunError:
    return RunError(
        "one environment has one learned reward, or the true one cannot be told",
        got=got,
        fix="wrap once; give several models as one ensemble, and weights as composition=",
    )
