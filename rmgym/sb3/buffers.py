"""SB3 buffers that score their steps in batches, after they were taken and before anything is learnt from them.

The environment (:class:`rmgym.sb3.vec_env.LearnedRewardVecEnv` with ``when="rollout"``) returns rewards that are yet to
come (:mod:`rmgym.sb3.unscored`) and carry their raw step, since a buffer holds normalised observations, unclipped
actions and no next state. The buffer keeps NaN in their place until it asks the model about all of them at once; what
SB3 has added to a reward (the value bootstrap ``gamma V`` of an episode that a time limit cut) is added to the answer.

The model is attached after construction and never pickled: SB3 writes ``*_buffer_kwargs`` into every agent's zip.

There is one idea for rollouts and one for replay; for SB3's other buffers the same is mixed in (those of sb3-contrib:
:mod:`rmgym.sb3.contrib_buffers`).
"""

from __future__ import annotations

from typing import Any, Self

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
from rmgym.sb3.unscored import RawStep, StepRecorder, UnscoredRewards
from rmgym.transitions import Transitions

CHUNK = 1024
"""Steps per environment after which a replay buffer scores what it has, sampled or not: they must not pile up."""
UNNORMALISED = "rewards that are scored after the rollout cannot be normalised during it"
_UNKNOWN = np.array(np.nan, np.float32)  # what a row has for a reward until it is scored
Floats = npt.NDArray[np.float32]


def _require(recorder: StepRecorder | None) -> StepRecorder:
    if recorder is None:
        raise PlaceholderRewardError(
            "a buffer with deferred scoring trains only with its reward model",
            got="a buffer without one (an agent's zip never holds the model)",
            fix="load with rmgym.sb3.load_agent(path), or attach one: rmgym.sb3.score_rollouts(agent, model)",
        )
    return recorder


class DeferredBuffer(BaseBuffer):
    """What deferred buffers of both kinds have.

    Attributes:
        learned_returns: what the model says, summed up over finished episodes, for logs.
        composed_returns: what the agent received, likewise; only where a composition is set.
    """

    learned_returns: LearnedReturns
    composed_returns: LearnedReturns
    _recorder: StepRecorder | None = None  # on the class: reset() runs before a subclass could set it
    _consumer = 0  # the recorder's number of this buffer

    @classmethod
    def take_over(cls, buffer: BaseBuffer) -> Self:
        """Make a deferred buffer of an agent's empty one; the arrays are the same."""
        taken = cls.__new__(cls)
        vars(taken).update(vars(buffer))
        taken._begin()
        return taken

    def attach(self, recorder: StepRecorder) -> None:
        """Say which environment takes the steps and scores them; whose steps it scored before has to let go."""
        self._recorder, self._consumer = recorder, recorder.hand_over()
        self._forget_returns()

    def current(self) -> StepRecorder:
        """The environment that scores the steps of this buffer.

        Raises:
            PlaceholderRewardError: there is none, or another agent was attached to it since.
        """
        recorder = _require(self._recorder)
        if recorder.consumer != self._consumer:
            raise PlaceholderRewardError(
                "an environment scores the steps of one agent",
                got="an environment to which another agent was attached since",
                fix="make an environment for each agent; or call rmgym.sb3.score_rollouts(agent, model) to go on here",
            )
        return recorder

    def _claim(self, reward: object) -> UnscoredRewards:
        """Rewards of this buffer's own environment, as they come."""
        recorder = self.current()
        if not isinstance(reward, UnscoredRewards) or reward.recorder is not recorder:
            raise PlaceholderRewardError(
                "a deferred buffer keeps steps of its own environment, with rewards that nobody has changed",
                got="a step of another environment"
                if isinstance(reward, UnscoredRewards)
                else f"{type(reward).__name__}: rewards of another environment, or that a wrapper has changed",
                fix="after set_env(), call rmgym.sb3.score_rollouts(agent, model); scale rewards with composition=",
            )
        return reward

    def _forget_returns(self) -> None:
        """A sum of two models' rewards is nobody's return."""
        self.learned_returns, self.composed_returns = LearnedReturns(self.n_envs), LearnedReturns(self.n_envs)

    def _score(self, recorder: StepRecorder, steps: Transitions) -> tuple[Floats, Floats]:
        """What the model says about a block of steps and what the agent receives, ``float32 [T, n_envs]`` each."""
        rewards = recorder.rewards(steps)
        learned, composed = (
            values.astype(np.float32).reshape(-1, self.n_envs) for values in (rewards.learned, rewards.reward)
        )
        self.learned_returns.add(steps, learned)
        if not recorder.composition.is_plain:
            self.composed_returns.add(steps, composed)
        return learned, composed

    def _begin(self) -> None:
        """Set up what SB3's buffer does not have."""

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the environment with the model."""
        return {name: value for name, value in vars(self).items() if name != "_recorder"}


class DeferredRolloutBuffer(DeferredBuffer, RolloutBuffer):
    """A rollout buffer (PPO, A2C, TRPO) that scores its rollout in one batch before the advantages are computed.

    With a deterministic model, training is the same as with a model call per step.

    Attributes:
        learned_rewards: what the model says about the last rollout, ``float32 [n_steps, n_envs]``.
    """

    learned_rewards: Floats
    _scored_by: str = ""  # on the class, as above: the rule of the last rollout

    def reset(self) -> None:
        """Begin a rollout; steps of one that a callback broke off are forgotten."""
        super().reset()
        self._begin()

    def _begin(self) -> None:
        self._taken: list[UnscoredRewards] = []
        self._is_scored = False

    def add(self, *args: Any, **kwargs: Any) -> None:
        """See :class:`RolloutBuffer`.

        Raises:
            PlaceholderRewardError: no reward model is attached, or the reward is not of its environment.
        """
        obs, action, reward, *others = args
        taken = self._claim(reward)
        super().add(obs, action, _UNKNOWN, *others, **kwargs)
        self._taken.append(taken)

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: npt.NDArray[np.bool_]) -> None:
        """Fill in the rewards, unless that was done, then see :class:`RolloutBuffer`.

        Raises:
            PlaceholderRewardError: no reward model is attached, or the rollout has no such number of steps.
        """
        if not self._is_scored:
            self._fill_in(self.current())
        super().compute_returns_and_advantage(last_values, dones)

    def _fill_in(self, recorder: StepRecorder) -> None:
        if len(self._taken) != self.buffer_size:
            raise PlaceholderRewardError(
                "advantages are those of a whole rollout",
                got=f"{len(self._taken)} of {self.buffer_size} steps",
                fix="compute them when the buffer is full",
            )
        if self._scored_by not in ("", recorder.rule):
            self._forget_returns()
        self._scored_by = recorder.rule
        self.learned_rewards, composed = self._score(recorder, recorder.join([taken.step for taken in self._taken]))
        self.rewards[:] = composed
        for row, taken in enumerate(self._taken):
            if taken.added is not None:
                self.rewards[row] += taken.added
        self._taken, self._is_scored = [], True


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
            PlaceholderRewardError: no reward model is attached, or the reward is not of its environment.
        """
        obs, next_obs, action, reward, *others = args
        taken = self._claim(reward)
        if taken.added is not None:
            raise PlaceholderRewardError(
                "a replay buffer's rewards are the learned ones, which are scored again when the model changes",
                got="rewards to which a wrapper has added something",
                fix="add to rewards with composition=",
            )
        self.true_rewards[self.pos] = taken.true
        super().add(obs, next_obs, action, _UNKNOWN, *others, **kwargs)
        self._pending.append(taken.step)
        if len(self._pending) >= min(CHUNK, self.buffer_size):
            self.score_pending()

    def reset(self) -> None:
        """Forget every row."""
        super().reset()
        self._begin()

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
        rows = (self.pos - len(self._pending) + np.arange(len(self._pending))) % self.buffer_size
        self.rewards[rows] = self._score(recorder, steps)[1]
        self._steps.put(self._places(rows), steps)
        self._pending.clear()

    def _relabel(self, recorder: StepRecorder) -> None:
        """Score every row but the pending ones again, the oldest first, and add up the returns of their episodes."""
        filled, first = (self.buffer_size, self.pos) if self.full else (self.pos, 0)
        rows = (first + np.arange(filled - len(self._pending))) % self.buffer_size
        self._forget_returns()
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            steps = self._steps.take(self._places(some))
            self.rewards[some] = self._score(recorder, steps)[1]

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
        if env is not None and env.norm_reward:
            raise RunError(UNNORMALISED, got="VecNormalize(norm_reward=True)", fix="set its norm_reward to False")
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
