"""Another reward model in the middle of training: when, and what it is made of is said by whoever trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

from rmgym.composition import Composition
from rmgym.errors import RunError
from rmgym.sb3.agents import exchange_reward_model
from rmgym.sb3.callbacks import RewardComparisonCallback
from rmgym.sb3.checkpoints import Checkpoints
from rmgym.sb3.deferred import current
from rmgym.sb3.vec_env import LearnedRewardVecEnv
from rmgym.transitions import Transitions
from rmgym.wrappers.source import Model


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """Rounds of feedback inside one training.

    All happen inside one ``learn()``: Stable-Baselines3's schedules (learning rate, exploration) run over each call.

    Attributes:
        at: training steps at which the rounds are due, ascending; each happens where a rollout starts.
        model_after: the model that an agent trains on after so many rounds.
        made_in: the round that made the model after so many rounds; one in which nothing was learned makes none.
        next_model: makes the model of round 1, 2, ... of the training steps so far, and of those that the agent took
            since the last round.
        composition_after: how the reward is put together after so many rounds; None for as it was.
    """

    at: tuple[int, ...]
    model_after: Callable[[int], Model]
    made_in: Callable[[int], int]
    next_model: Callable[[int, int, Transitions], Model]
    composition_after: Callable[[int], Composition | None] = lambda done: None

    def done_by(self, steps: int) -> int:
        """How many rounds were due by then."""
        return sum(due <= steps for due in self.at)


def rollout_steps(agent: BaseAlgorithm) -> int:
    """Steps from one rollout of an agent to the next, over all environments."""
    if isinstance(agent, OnPolicyAlgorithm):
        return agent.n_steps * agent.n_envs
    if isinstance(agent, OffPolicyAlgorithm) and isinstance(agent.train_freq, TrainFreq):
        return agent.train_freq.frequency * agent.n_envs if agent.train_freq.unit is TrainFrequencyUnit.STEP else 1
    return agent.n_envs


class RoundsCallback(BaseCallback):
    """Hands over an agent's steps, gives it the next reward model, and saves it there.

    Rounds that fall into one rollout are one. A checkpoint is taken at each and at no other time before the last one,
    so that what an agent has done since the last round need not be saved.
    """

    def __init__(self, rounds: Rounds, comparison: RewardComparisonCallback, checkpoints: Checkpoints) -> None:
        super().__init__()
        self.rounds, self.comparison, self.checkpoints = rounds, comparison, checkpoints
        self._done = 0

    def _on_training_start(self) -> None:
        self._done = self.rounds.done_by(self.model.num_timesteps)
        self._env().drain(go_on=self._done < len(self.rounds.at))

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        due = self.rounds.done_by(self.model.num_timesteps)
        if due == self._done:
            return
        self._done = due
        steps = self._env().drain(go_on=due < len(self.rounds.at))
        order = np.lexsort((steps.step, steps.episode))
        model = self.rounds.next_model(due, self.model.num_timesteps, steps[order])
        has_learned, composition = self.rounds.made_in(due) == due, self.rounds.composition_after(due)
        if has_learned or composition not in (None, self._env().composition):
            exchange_reward_model(self.model, model, composition=composition)
        if has_learned:
            self.comparison.exchange(self._env().loaded, due)
        self.checkpoints.save()

    def _env(self) -> LearnedRewardVecEnv:
        env = current(self.model)
        if env is None:
            raise RunError(
                "rounds of feedback exchange the reward of an agent that scores its steps in batches",
                got=f"{type(self.model).__name__} without deferred scoring",
                fix="leave when='rollout'",
            )
        return env
