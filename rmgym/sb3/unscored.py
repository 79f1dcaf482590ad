"""Rewards that stand for steps which no model has seen yet."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from rmgym.composition import Composition
from rmgym.errors import PlaceholderRewardError, TrueRewardWarning
from rmgym.transitions import Transitions
from rmgym.wrappers.source import Rewards

RawStep = dict[str, Any]
"""One vector step: the arrays of :class:`Transitions` by name, a row for each environment."""


class StepRecorder(Protocol):
    """The environment that took the steps, and scores them."""

    @property
    def rule(self) -> str:
        """What steps of one return have in common: the exact model's digest, and the composition."""
        ...

    @property
    def version(self) -> str:
        """Identity of the reward as it is now: steps scored under another version have other rewards."""
        ...

    @property
    def composition(self) -> Composition:
        """How the reward is put together."""
        ...

    @property
    def consumer(self) -> int:
        """Number of the agent whose steps are scored: the one that was attached last."""
        ...

    def hand_over(self) -> int:
        """Score the steps of another agent from now on; returns its number."""
        ...

    def join(self, taken: Sequence[RawStep]) -> Transitions:
        """Transitions of ``T`` vector steps, in step-major order: row ``t * n_envs + e``."""
        ...

    def rewards(self, transitions: Transitions) -> Rewards:
        """Rewards of ``B`` steps."""
        ...

    told_of_true_returns: bool
    """Whether somebody who summed up true rewards was told so."""


class _NoArray(NDArrayOperatorsMixin):
    """What NumPy can sum up and do nothing else with."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: object, out: tuple[object, ...] = (), **kwargs: object
    ) -> object:
        return _summed(ufunc, method, inputs, out, kwargs)

    def __bool__(self) -> NoReturn:
        _refuse("taken as true or false")

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> NoReturn:
        _refuse("copied into an array")


class UnscoredRewards(_NoArray):
    """The rewards of one vector step under deferred scoring, before they are scored.

    SB3 hands this on in place of an array ``[n]``. It carries its step from the environment to the buffer that scores
    it: a buffer's row has the reward of its own step, whoever else has stepped the environment meanwhile. What else can
    be done with it:

    * Single items can be added to. SB3 does so with the value of the state where a time limit cut an episode.
    * It can be summed up in place, as ``VecMonitor`` and ``evaluate_policy`` do, or item by item. They get the true
      reward, and a warning once.
    * Added to an array it makes a new one of NaN, as ``VecNormalize`` does for statistics that it has no use for.

    All the rest, copying it into another buffer or scaling it, raises an error: it would be done to no reward at all.
    (An array container of NEP 13, https://numpy.org/neps/nep-0013-ufunc-overrides.html.)

    Args:
        step: the raw step.
        recorder: where it was taken.

    Attributes:
        added: what was added to the rewards to come, ``float32 [n]``; None if nothing was.
    """

    def __init__(self, step: RawStep, recorder: StepRecorder) -> None:
        self.step, self.recorder = step, recorder
        self.added: npt.NDArray[np.float32] | None = None

    @property
    def true(self) -> npt.NDArray[np.float32]:
        """The environment's own rewards of this step, ``float32 [n]``."""
        true: npt.NDArray[np.float32] = self.step["true_reward"]
        return true

    def copy(self) -> UnscoredRewards:
        """The same step, to which other values may be added."""
        other = UnscoredRewards(self.step, self.recorder)
        other.added = None if self.added is None else self.added.copy()
        return other

    def astype(self, dtype: npt.DTypeLike) -> UnscoredRewards:
        """A copy; ``VecNormalize`` asks for one in single precision."""
        if np.dtype(dtype).kind != "f":
            _refuse(f"astype({dtype})")
        return self.copy()

    def add_to(self, row: int, value: float) -> None:
        """Add to the reward to come of one environment."""
        if self.added is None:
            self.added = np.zeros_like(self.true)
        self.added[row] += value

    def __getitem__(self, row: int) -> UnscoredReward:
        return UnscoredReward(self, row, float(self.true[row]))  # an IndexError ends a loop over it

    def __setitem__(self, row: int, value: object) -> None:
        if not isinstance(value, UnscoredReward) or value.rewards is not self:
            _refuse("assigned to")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        _refuse(name)

    def __reduce__(self) -> tuple[object, ...]:
        """Saved (as ``VecNormalize`` saves the last it saw), it is what it is: unknown."""
        return np.full, (self.true.shape, np.nan, np.float32)

    def __deepcopy__(self, memo: dict[int, object]) -> UnscoredRewards:
        return self.copy()

    def __repr__(self) -> str:
        return f"UnscoredRewards(true={self.true})"


class UnscoredReward(_NoArray):
    """One item of :class:`UnscoredRewards`: summed up it is the true reward, ``+=`` adds to the reward to come."""

    def __init__(self, rewards: UnscoredRewards, row: int, true: float) -> None:
        self.rewards, self.row, self.true = rewards, row, true

    def __iadd__(self, value: Any) -> UnscoredReward:
        self.rewards.add_to(self.row, float(value))
        return self

    def __float__(self) -> NoReturn:
        _refuse("taken as a number")  # NumPy asks for one, to put it into an array

    def __repr__(self) -> str:
        return f"UnscoredReward(true={self.true})"


def _summed(
    ufunc: np.ufunc,
    method: str,
    inputs: tuple[object, ...],
    out: tuple[object, ...],
    kwargs: dict[str, object],
) -> object:
    """What NumPy computes with unscored rewards: their sum with something else, of the true ones."""
    unscored = [value for value in (*inputs, *out) if isinstance(value, UnscoredRewards | UnscoredReward)]
    if ufunc is not np.add or method != "__call__" or len(unscored) != 1:
        _refuse(ufunc.__name__)
    summand = unscored[0]
    true: npt.NDArray[np.float32] | float = summand.true
    if isinstance(summand, UnscoredReward):
        _tell_of_true_returns(summand.rewards.recorder)
    elif out:
        _tell_of_true_returns(summand.recorder)
    elif all(value is summand or isinstance(value, np.ndarray) for value in inputs):
        true = np.full_like(true, np.nan)
    else:
        _refuse("added to a number")
    values = [true if value is summand else value for value in inputs]
    compute: Callable[..., object] = ufunc
    return compute(*values, out=out or None, **kwargs)


def _tell_of_true_returns(recorder: StepRecorder) -> None:
    if not recorder.told_of_true_returns:
        recorder.told_of_true_returns = True
        warnings.warn(
            "the returns that VecMonitor or evaluate_policy sum up above deferred scoring are the true ones; "
            "rmgym.sb3.evaluate and RewardComparisonCallback tell both. An evaluation in the agent's own environment "
            "also moves it under the agent: give it one of its own.",
            TrueRewardWarning,
            stacklevel=6,
        )


def _refuse(what: str) -> NoReturn:
    raise PlaceholderRewardError(
        "rewards of deferred scoring are not there before the agent's own buffer has scored them",
        got=what,
        fix="to learn, call rmgym.sb3.score_rollouts(agent, model), also after exchanging a buffer or environment; "
        "scale rewards with composition=; to report, read info['true_reward'] or call rmgym.sb3.evaluate; "
        "to see a reward at every step, make LearnedRewardVecEnv(venv, model, when='step')",
    )
