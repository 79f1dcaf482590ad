"""How the reward an agent receives is put together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.errors import ConstantUncertaintyWarning, RunError
from rmgym.options import refuse_unknown
from rmgym.prediction import Prediction


@dataclass(frozen=True, kw_only=True)
class Composition:
    """``reward = true_weight * true + learned_weight * clip(mean - uncertainty_penalty * std)``.

    The default is the learned reward alone: the true reward reaches an agent only where ``true_weight`` says so.

    Attributes:
        true_weight: weight of the environment's own reward.
        learned_weight: weight of the learned part.
        clip: lowest and highest value of the learned part before it is weighted, in the units of the model; None for
            no clipping, an infinite bound for one side only.
        uncertainty_penalty: how many standard deviations are taken off the mean; a negative number adds them, so that
            an agent is drawn to what the model is unsure of. For a model whose ``std`` differs between steps (one of
            several heads), else :class:`PenaltyWatch` warns. Of that ``std`` a part is the same for every step, the
            noise of the labels: where episodes end early, it counts for or against going on.

    Raises:
        RunError: a number is not finite, the bounds are not in order, or nothing is left.

    Example:
        >>> cautious = Composition(clip=(-10.0, 0.0), uncertainty_penalty=0.5)
        >>> cautious.apply(Prediction(np.float32([-1, 3]), np.float32([2, 2])), np.float32([0, 0])).tolist()
        [-2.0, 0.0]
    """

    true_weight: float = 0.0
    learned_weight: float = 1.0
    clip: tuple[float, float] | None = None
    uncertainty_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name in ("true_weight", "learned_weight", "uncertainty_penalty"):
            if not _is_number(value := getattr(self, name)) or not math.isfinite(value):
                raise RunError(f"{name!r} of a composition is a finite number", got=value, fix="pass a float")
        if self.true_weight == 0 and self.learned_weight == 0:
            raise RunError("a composed reward has a part", got="both weights 0", fix="give one of them a weight")
        if self.clip is not None:
            bounds: Any = self.clip
            pair = isinstance(bounds, list | tuple) and len(bounds) == 2 and all(map(_is_number, bounds))
            if not pair or not bounds[0] < bounds[1]:
                raise RunError("'clip' is (low, high) with low < high", got=bounds, fix="pass two numbers")
            object.__setattr__(self, "clip", (float(bounds[0]), float(bounds[1])))  # JSON gives a list

    @classmethod
    def of(cls, value: Composition | Mapping[str, object] | None) -> Composition:
        """The composition itself, one from a mapping of its options (as a spec or a suite holds it), or the default.

        Raises:
            RunError: an option is unknown, or as the class says.
        """
        if value is None or isinstance(value, Composition):
            return value or cls()
        refuse_unknown(cls, value, "options of a composition", RunError)
        return cls(**value)  # type: ignore[arg-type]  # checked there

    @property
    def is_plain(self) -> bool:
        """Whether the reward is the learned one, unchanged."""
        return self == _PLAIN

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON-able values; :meth:`of` takes them back."""
        return asdict(self)

    def apply(self, prediction: Prediction, true_reward: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Compose the rewards of ``B`` steps.

        Args:
            prediction: what the model says about them.
            true_reward: the environment's own reward, ``[B]``; not read where ``true_weight`` is 0, so it may be NaN.

        Returns:
            The reward for the agent, ``float32 [B]``, a new array.

        Raises:
            RunError: a true reward is needed and is not valid.
        """
        reward = np.zeros(len(prediction), np.float64)
        # A part that does not count is not computed: 0 times NaN would be NaN.
        if self.learned_weight != 0:
            learned = np.asarray(prediction.mean, np.float64)
            if self.uncertainty_penalty != 0:
                learned = learned - self.uncertainty_penalty * np.asarray(prediction.std, np.float64)
            reward += self.learned_weight * (learned if self.clip is None else np.clip(learned, *self.clip))
        if self.true_weight != 0:
            true = np.asarray(true_reward, np.float64)
            if np.isnan(true).any():
                raise RunError(
                    "a reward composed with the true reward needs it at every step",
                    got=f"{int(np.isnan(true).sum())} of {len(true)} true rewards are unknown",
                    fix="set true_weight=0",
                )
            reward += self.true_weight * true
        return reward.astype(np.float32)


class PenaltyWatch:
    """Warns, once, where an uncertainty penalty shifts all rewards alike instead of choosing among them.

    A model with one head has one ``std``: its error on held-out labels, or zero.

    Args:
        composition: whose penalty.
    """

    ENOUGH = 64
    """Steps after which one ``std`` is no accident, provided that their rewards differ."""

    def __init__(self, composition: Composition) -> None:
        self._penalty = composition.uncertainty_penalty
        self._watching = self._penalty != 0 and composition.learned_weight != 0
        self._first: tuple[float, float] | None = None
        self._seen, self._rewards_differ = 0, False

    def see(self, prediction: Prediction) -> None:
        """Look at what a model says about further steps.

        Warns:
            ConstantUncertaintyWarning: it has said the same ``std`` of all so far.
        """
        if not self._watching or not len(prediction):
            return
        self._first = mean, std = self._first or (float(prediction.mean[0]), float(prediction.std[0]))
        self._seen += len(prediction)
        self._rewards_differ |= bool((prediction.mean != mean).any())
        if (prediction.std != std).any():
            self._watching = False
        elif self._seen >= self.ENOUGH and self._rewards_differ:
            self._watching = False
            warnings.warn(
                f"uncertainty_penalty={self._penalty:g} takes the same, {self._penalty * std:.3g}, from every reward: "
                f"the model gave one std for all of {self._seen} steps. Fit an ensemble (model 'ensemble', or heads=5),"
                " whose heads disagree where it is unsure, or leave the penalty (kappa) out",
                ConstantUncertaintyWarning,
                stacklevel=2,
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


_PLAIN = Composition()
