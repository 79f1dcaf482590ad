"""SB3 buffers that score their steps in batches, after they were taken and before anything is learnt from them.

The environment (:class:`rmgym.sb3.vec_env.LearnedRewardVecEnv` with ``when="rollout"``) returns 0 and records
raw steps, since a buffer holds normalised observations, unclipped actions and no next state. The buffer fetches them,
asks the model once, and **adds** the rewards: what SB3 had put in the reward before (the value bootstrap ``gamma V`` of
an episode that a time limit cut) stays.

The model is attached after construction and never pickled: SB3 writes ``*_buffer_kwargs`` into every agent's zip.

There is one idea for rollouts and one for replay; for SB3's other buffers the same is mixed in (those of sb3-contrib:
:mod:`rmgym.sb3.contrib_buffers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.buffers import (
    BaseBuffer,
    DictReplayBuffer,
    DictRolloutBuffer,
    NStepReplayBuffer,
    ReplayBuffer,
    RolloutBuffer,
)
from stable_baselines3.common.vec_env import VecNormalize

from rmgym.errors import PlaceholderRewardError, RunError
from rmgym.sb3.learned_returns import LearnedReturns
from rmgym.sb3.recorded_steps import RecordedSteps
from rmgym.sb3.vec_env import RawStep
from rmgym.transitions import Transitions

CHUNK = 1024
"""Steps per environment after which a replay buffer scores what it has, sampled or not: they must not pile up."""


class StepRecorder(Protocol):
    """What a deferred buffer needs of its environment."""

    @property
    def digest(self) -> str:
        """Whose reward it is: the model's digest."""
        ...

    @property
    def version(self) -> str:
        """Identity of the reward, a student's included: steps scored under another version have other rewards."""
        ...

    def drain(self) -> Transitions:
        """Take the recorded steps, in step-major order: row ``t * n_envs + e``."""
        ...

    def take(self) -> list[RawStep]:
        """Take them as they are, one by one."""
        ...

    def join(self, taken: Sequence[RawStep]) -> Transitions:
        """Put together what :meth:`take` gave."""
        ...

    def score(self, transitions: Transitions) -> npt.NDArray[np.float32]:
        """Rewards of ``B`` steps, ``float32 [B]``."""
        ...


def _require(recorder: StepRecorder | None) -> StepRecorder:
    if recorder is None:
        raise PlaceholderRewardError(
            "a buffer with deferred scoring trains only with its reward model",
            got="a buffer without one (an agent's zip never holds the model)",
            fix="load with rmgym.sb3.load_agent(path), or attach one: rmgym.sb3.score_rollouts(agent, model)",
        )
    return recorder


def _miscounted(got: int, expected: int) -> RunError:
    return RunError(
        "every step of a deferred buffer was recorded by its environment, once",
        got=f"{got} recorded steps for {expected} in the buffer",
        fix="after set_env(), call rmgym.sb3.score_rollouts(agent, model); let nothing else step the environment",
    )


class DeferredBuffer(BaseBuffer):
    """What deferred buffers of both kinds have.

    Attributes:
        learned_returns: of finished episodes, for logs.
    """

    learned_returns: LearnedReturns
    _recorder: StepRecorder | None = None  # on the class: reset() runs before a subclass could set it

    @classmethod
    def take_over(cls, buffer: BaseBuffer) -> Self:
        """Make a deferred buffer of an agent's empty one; the arrays are the same."""
        taken = cls.__new__(cls)
        vars(taken).update(vars(buffer))
        taken._begin()
        return taken

    def attach(self, recorder: StepRecorder) -> None:
        """Say which environment recorded the steps and scores them."""
        self._recorder = recorder
        self.learned_returns = LearnedReturns(self.n_envs)

    def _begin(self) -> None:
        """Set up what SB3's buffer does not have."""

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the environment with the model."""
        return {name: value for name, value in vars(self).items() if name != "_recorder"}


class DeferredRolloutBuffer(DeferredBuffer, RolloutBuffer):
    """A rollout buffer (PPO, A2C, TRPO) that scores its rollout in one batch before the advantages are computed.

    With a deterministic model, training is the same as with a model call per step.

    Attributes:
        learned_rewards: the learned (composed) rewards of the last rollout, ``float32 [n_steps, n_envs]``.
    """

    learned_rewards: npt.NDArray[np.float32]
    _scored_by: str = ""  # on the class, as above: the model of the last rollout

    def reset(self) -> None:
        """Begin a rollout; steps of one that a callback broke off are forgotten."""
        super().reset()
        if self._recorder is not None:
            self._recorder.drain()

    def add(self, *args: Any, **kwargs: Any) -> None:
        """See :class:`RolloutBuffer`.

        Raises:
            PlaceholderRewardError: no reward model is attached.
        """
        _require(self._recorder)
        super().add(*args, **kwargs)

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: npt.NDArray[np.bool_]) -> None:
        """Add the learned rewards, then see :class:`RolloutBuffer`.

        Raises:
            PlaceholderRewardError: no reward model is attached.
            RunError: the environment recorded more or fewer steps than the buffer holds.
        """
        recorder = _require(self._recorder)
        steps = recorder.drain()
        if len(steps) != self.buffer_size * self.n_envs:
            raise _miscounted(len(steps), self.buffer_size * self.n_envs)
        self.learned_rewards = recorder.score(steps).reshape(self.buffer_size, self.n_envs)
        self.rewards += self.learned_rewards
        if self._scored_by not in ("", recorder.digest):
            self.learned_returns = LearnedReturns(self.n_envs)  # a sum of two models' rewards is nobody's return
        self._scored_by = recorder.digest
        self.learned_returns.add(steps, self.learned_rewards)
        super().compute_returns_and_advantage(last_values, dones)


class DeferredReplayBuffer(DeferredBuffer, ReplayBuffer):
    """A replay buffer (DQN, QRDQN, SAC, TD3, TQC) that scores new steps in one batch when one of them is sampled.

    Which rows are sampled is drawn as ever; where rows without a reward are among them, all of those are scored first.
    In a large buffer new rows are seldom drawn, so that batches are large even where every step is followed by an
    update (SAC). No reward that an agent learns from is different for it.

    Raw steps are kept beside SB3's arrays. When the reward has changed (its model or student was fitted further, or
    exchanged by :func:`rmgym.sb3.exchange_reward_model`), all rows are scored again before any is sampled or saved:
    relabelling in place, as Lee et al. 2021 do (PEBBLE, https://arxiv.org/abs/2106.05091, section 4.2).

    Attributes:
        true_rewards: the environment's own rewards beside the learned ones, ``float32 [rows, n_envs]``, for reports;
            never sampled.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begin()

    def _begin(self) -> None:
        self.true_rewards = np.full_like(self.rewards, np.nan)
        self._steps = RecordedSteps(self.buffer_size * self.n_envs)
        self._scored_by = ""
        self._pending: list[RawStep] = []  # the newest rows, which have no learned reward yet

    def add(self, *args: Any, **kwargs: Any) -> None:
        """See :class:`ReplayBuffer`.

        Raises:
            PlaceholderRewardError: no reward model is attached.
            RunError: the environment did not record this step.
        """
        taken = _require(self._recorder).take()
        if not taken:
            raise _miscounted(0, self.n_envs)
        # Usually one; a step that a callback broke off (it returned False) was recorded and never added.
        self.true_rewards[self.pos] = taken[-1]["true_reward"]
        super().add(*args, **kwargs)
        self._pending.append(taken[-1])
        if len(self._pending) >= min(CHUNK, self.buffer_size):
            self.score_pending()

    def score_pending(self) -> None:
        """Score the steps that have no learned reward yet, in one batch, and all others if the reward has changed.

        Raises:
            PlaceholderRewardError: there are some, and no reward model is attached.
        """
        if self._recorder is None and not self._pending:
            return  # a copy without its model is as good as when it was saved
        recorder = _require(self._recorder)
        # A student that is fitted again meanwhile leaves rows of two fits, so they are scored once more. What a second
        # fit in a row would change is within the student's tolerance, and not worth going on until none comes.
        for _ in range(2):
            version = recorder.version
            if self._scored_by not in ("", version):
                self._relabel(recorder)
            if self._pending:
                self._score_new(recorder)
            self._scored_by = version
            if recorder.version == version:
                return
        self._scored_by = recorder.version

    def _score_new(self, recorder: StepRecorder) -> None:
        """Score the pending rows."""
        steps = recorder.join(self._pending)
        learned = recorder.score(steps).reshape(-1, self.n_envs)
        rows = (self.pos - len(learned) + np.arange(len(learned))) % self.buffer_size
        self.rewards[rows] += learned
        self._steps.put(self._places(rows), steps)
        self.learned_returns.add(steps, learned)
        self._pending.clear()

    def _relabel(self, recorder: StepRecorder) -> None:
        """Score every row but the pending ones again, the oldest first, and add up the returns of their episodes."""
        filled, first = (self.buffer_size, self.pos) if self.full else (self.pos, 0)
        rows = (first + np.arange(filled - len(self._pending))) % self.buffer_size
        self.learned_returns = LearnedReturns(self.n_envs)
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            steps = self._steps.take(self._places(some))
            learned = recorder.score(steps).reshape(-1, self.n_envs)
            self.rewards[some] = learned
            self.learned_returns.add(steps, learned)

    def _places(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where the steps of some rows are among the recorded ones, row after row."""
        return (rows[:, None] * self.n_envs + np.arange(self.n_envs)).reshape(-1)

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> Any:
        """See :class:`ReplayBuffer`; every sampled reward has been scored.

        Raises:
            PlaceholderRewardError: no reward model is attached.
        """
        _require(self._recorder)
        return super().sample(batch_size, env)

    def _get_samples(self, batch_inds: npt.NDArray[np.int64], env: VecNormalize | None = None) -> Any:
        """What SB3 calls with the rows it has drawn."""
        if self._scored_by not in ("", _require(self._recorder).version):
            self.score_pending()
        age = (self.pos - 1 - batch_inds) % self.buffer_size  # 0 for the newest row
        if self._pending and int(age.min()) - self._ahead < len(self._pending):
            self.score_pending()
        return super()._get_samples(batch_inds, env)

    @property
    def _ahead(self) -> int:
        """Rows after a drawn one whose rewards count too."""
        return int(getattr(self, "n_steps", 1)) - 1

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the environment with the model, after scoring what is pending or has another reward now."""
        self.score_pending()
        return super().__getstate__()


class DeferredDictRolloutBuffer(DeferredRolloutBuffer, DictRolloutBuffer):
    """A deferred rollout buffer for Dict observations."""


class DeferredDictReplayBuffer(DeferredReplayBuffer, DictReplayBuffer):
    """A deferred replay buffer for Dict observations."""


class DeferredNStepReplayBuffer(DeferredReplayBuffer, NStepReplayBuffer):
    """A deferred replay buffer for ``n_steps > 1``."""


DEFERRED: dict[type[BaseBuffer], type[DeferredBuffer]] = {
    RolloutBuffer: DeferredRolloutBuffer,
    DictRolloutBuffer: DeferredDictRolloutBuffer,
    ReplayBuffer: DeferredReplayBuffer,
    DictReplayBuffer: DeferredDictReplayBuffer,
    NStepReplayBuffer: DeferredNStepReplayBuffer,
}
"""What takes the place of SB3's own buffers."""
