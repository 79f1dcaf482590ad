"""The learned reward in a Stable-Baselines3 vector environment, at once or for a whole rollout afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from rmgym.composition import Composition
from rmgym.distillation.student import Student
from rmgym.environments.fixed_horizon import ABSORBING
from rmgym.environments.kinds import all_rewards
from rmgym.environments.raw_observation import Raw, without_raw
from rmgym.errors import PlaceholderRewardError, RunError
from rmgym.models.base import RewardModel
from rmgym.sb3.unscored import RawStep, UnscoredRewards
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import ARRAY_FIELDS, NOT_ABSORBING, Transitions
from rmgym.trees import Array, Tree, Value, concatenate, copier, put, stack
from rmgym.wrappers.episodes import Episodes, final
from rmgym.wrappers.pace import Pace
from rmgym.wrappers.source import Card, Loaded, Model, Rewards, RewardSource, StudentLike, digest_of, theirs


class LearnedRewardVecEnv(VecEnvWrapper):
    """Replace the rewards of an SB3 ``VecEnv`` by a reward model's, and keep the true ones in the infos.

    Immediate (``when="step"``): one call of the model per vector step. Each info has ``learned_reward`` and
    ``true_reward``, and at an episode's end ``learned_return`` and ``true_return`` (sums, not discounted); where a
    composition is set, the sum of what the agent received is ``composed_return``.

    Deferred (``when="rollout"``): a step returns :class:`rmgym.sb3.unscored.UnscoredRewards`, which the buffer of an
    agent made by ``rmgym.sb3.make_agent`` or ``score_rollouts`` scores in one batch with the others. Nothing else can
    learn from them; ``VecMonitor`` and ``evaluate_policy``, which sum them up, get the true return. Or take the steps
    by hand with :meth:`drain` and reward them with :meth:`score`. Infos have ``true_reward`` and ``true_return`` and
    nothing learned.

    The model stays in this process; workers of a ``SubprocVecEnv`` never get it. Observations must be raw here: put
    ``VecNormalize`` (with ``norm_reward=False`` if deferred) and frame stacking above. SB3 reports a step that both
    terminated and hit the time limit as terminated only.

    Args:
        venv: the vector environment; Monitor may be inside (``ep_rew_mean`` is then the true return) or above.
        model: as in :class:`LearnedRewardWrapper`.
        reward: ``"learned"``, or ``"true"`` for evaluation in the same chain of wrappers: the true reward is
            returned, never a placeholder, and the learned one is in the infos or can be drained as above.
        when: ``"step"`` or ``"rollout"``.
        card: environment card or its path; by default the installed one that fits.
        language: language of the texts.
        composition: a :class:`Composition` or its options as a mapping.
        student: stands in for a slow model (:class:`rmgym.Student`), or options of one.

    Raises:
        ModelError: there is no such model, or it was fitted for another card.
        CardError: the card does not exist or does not fit.
        TextError: a space is not supported.
        RunError: ``venv`` is no VecEnv or holds a ``VecNormalize``; an option is unknown.
    """

    def __init__(
        self,
        venv: VecEnv,
        model: Model,
        *,
        reward: Literal["learned", "true"] = "learned",
        when: Literal["step", "rollout"] = "step",
        card: Card = None,
        language: str = "en",
        composition: Composition | Mapping[str, object] | None = None,
        student: StudentLike = None,
    ) -> None:
        if not isinstance(venv, VecEnv):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RunError(
                "LearnedRewardVecEnv wraps a Stable-Baselines3 VecEnv",
                got=type(venv).__name__,
                fix="pass make_vec_env(ID, n_envs=N), or use LearnedRewardWrapper for a Gymnasium environment",
            )
        if reward not in ("learned", "true"):
            raise RunError("'reward' is 'learned' or 'true'", got=reward, fix="choose one")
        if when not in ("step", "rollout"):
            raise RunError("'when' is 'step' or 'rollout'", got=when, fix="choose one")
        super().__init__(venv)
        self.reward: Literal["learned", "true"] = reward
        self.when: Literal["step", "rollout"] = when
        self._source = RewardSource(venv, model, card=card, language=language, composition=composition, student=student)
        self._pace = Pace(self._source.model, "rmgym.sb3.score_rollouts(agent, model), without this wrapper,")
        self._reads = Raw(venv)
        self._raw_space = self._source.textualizer.observation_space
        self._copy_obs, self._copy_action = copier(self._raw_space), copier(self.action_space)
        # Shared by all steps without an end or an absorbing state, and never written to.
        self._never, self._not_absorbing = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, np.int8)
        self._running = Episodes(self.num_envs, self.textualizer.card.history)
        self._episode = np.full(self.num_envs, -1, np.int64)
        self._episodes = 0
        self._recorded: list[RawStep] | None = None  # for drain(), from its first call on
        self.consumer = 0
        self._fixed = self._beside_the_model()
        self.told_of_true_returns = False
        self._obs: Tree | None = None  # raw s of the next step, ours: the environment may reuse its buffer
        self._action: Tree | None = None

    @property
    def model(self) -> RewardModel | None:
        """The reward model, always the exact one; None for the control ``true``."""
        return self._source.model

    @property
    def loaded(self) -> Loaded:
        """The reward model as it goes wherever a model goes; ``"true"`` for that control."""
        return self._source.loaded

    @property
    def student(self) -> Student | None:
        """What stands in for the model, if anything does."""
        return self._source.student

    @property
    def digest(self) -> str:
        """Whose reward it is: the model's digest as it is now, whoever stands in for it."""
        return digest_of(self._source.loaded)

    @property
    def version(self) -> str:
        """Identity of the reward as it is now; steps scored under another one have other rewards."""
        return f"{self._source.version} {self._fixed}"

    @property
    def rule(self) -> str:
        """The exact model's digest and the composition: steps of one return have them in common."""
        return f"{self.digest} {self.composition}"

    def exchange(self, model: Model, composition: Composition | None = None) -> None:
        """Score with another model from now on, and put the reward together in another way, where one is given.

        Raises:
            ModelError: there is no such model, or it was fitted for another card; all stays as it was.
        """
        self._source.exchange(model, composition)
        self._fixed = self._beside_the_model()

    @property
    def textualizer(self) -> Textualizer:
        """What puts the steps into words."""
        return self._source.textualizer

    @property
    def composition(self) -> Composition:
        """How the reward is put together."""
        return self._source.composition

    def _beside_the_model(self) -> str:
        """What else decides a reward; put into words once, since the version is asked for at every step."""
        return f"{self.composition} {self.textualizer.card_hash}"

    def hand_over(self) -> int:
        """Score the steps of another agent from now on; returns its number, which ``consumer`` is until the next."""
        self.consumer += 1
        self._recorded = None
        return self.consumer

    def reset(self) -> Any:
        """See ``VecEnv.reset``. What was recorded and not yet drained stays."""
        obs = self.venv.reset()
        self._source.check(self.venv)
        self._obs = self._raw(obs, self.venv.reset_infos)
        self._begin(range(self.num_envs))
        return obs

    def step_async(self, actions: Array) -> None:
        """See ``VecEnv.step_async``.

        Raises:
            RunError: there was no reset.
        """
        if self._obs is None:
            raise RunError("an episode begins with reset", got="step", fix="call reset() first")
        self._action = self._copy_action(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """See ``VecEnv.step_wait``: observations, rewards ``float32 [n]`` (deferred: yet to come), dones and infos.

        Raises:
            PlaceholderRewardError: rewards are yet to come and no agent was attached, nor :meth:`drain` called.
            RunError: the environment does not tell where an episode ended.
            TextError: an environment returned NaN (immediate mode; else :meth:`score` raises it).
            ModelError: the model does not give finite rewards (same).
        """
        obs, true, dones, infos = self.venv.step_wait()
        infos = [theirs(info) for info in infos]  # ours: the environments below may hand out the same ones again
        after, true = self._raw(obs, infos), all_rewards(true)
        terminated = truncated = self._never
        ended: list[int] = dones.nonzero()[0].tolist()
        if ended:
            terminated, truncated = np.array(dones, bool), np.zeros(self.num_envs, bool)
            for row in ended:
                if not self._reads.handed_on:  # else it is the raw final observation already
                    put(after, row, final(infos[row], "terminal_observation", self.unwrapped))
                if infos[row].get("TimeLimit.truncated", False):
                    terminated[row], truncated[row] = False, True
        if self._reads.handed_on:
            self._action = stack(self.textualizer.action_space, [self._reads.action(None, info) for info in infos])
        absorbing = [info.get(ABSORBING, NOT_ABSORBING) for info in infos]
        step: RawStep = {
            "obs": self._obs,  # reset set it
            "action": self._action,  # step_async set it
            "next_obs": after,
            "terminated": terminated,
            "truncated": truncated,
            "absorbing": np.array(absorbing, np.int8) if any(absorbing) else self._not_absorbing,
            "true_reward": true.astype(np.float32),
            "episode": self._episode,
            "step": self._running.steps,
            "past": self._running.past(self._obs, self._action),
        }
        for info, value in zip(infos, true.tolist(), strict=True):
            info["true_reward"] = value
        reward: npt.NDArray[np.float32] | UnscoredRewards
        if self.when == "rollout":
            reward = self._yet_to_come(step)
            self._running.add(self._obs, self._action, 0.0, true)
        else:
            with self._pace.scoring(self.num_envs):
                rewards = self._source(Transitions(**step), true)
            for info, value in zip(infos, rewards.learned.tolist(), strict=True):
                info["learned_reward"] = value
            reward = rewards.reward.astype(np.float32)
            self._running.add(self._obs, self._action, rewards.learned, true, composed=rewards.reward)
        if self.reward == "true":
            reward = true.astype(np.float32)
        self._obs = after  # what was recorded is never written to
        if ended:
            self._source.check(self.venv, ended)
            self._obs = self._raw(obs, [self.venv.reset_infos[i] if dones[i] else info for i, info in enumerate(infos)])
        if self._reads.handed_on:
            infos = [without_raw(info) for info in infos]
        for row in ended:
            infos[row]["true_return"] = float(self._running.true[row])
            if self.when == "step":
                infos[row]["learned_return"] = float(self._running.learned[row])
                if not self.composition.is_plain:
                    infos[row]["composed_return"] = float(self._running.composed[row])
        if ended:
            self._begin(ended)
        return obs, reward, dones, infos

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """See ``VecEnv.env_method``.

        Raises:
            RunError: someone asks for the true reward of steps that were never taken, as ``HerReplayBuffer`` does.
        """
        if method_name == "compute_reward" and self.reward == "learned" and self.model is not None:
            raise RunError(
                "every reward that an agent learns from is the learned one",
                got="compute_reward(), the environment's own reward of virtual steps (HerReplayBuffer asks for it)",
                fix="use a replay buffer that keeps its steps as they were",
            )
        return super().env_method(method_name, *method_args, indices=indices, **method_kwargs)

    def _raw(self, obs: Value, infos: Sequence[Mapping[str, object]]) -> Tree:
        """A batch of raw observations, ours: from the infos where wrappers for the policy hide them."""
        if self._reads.handed_on:
            return stack(self._raw_space, [self._reads.obs(None, info) for info in infos])
        return self._copy_obs(obs)

    def drain(self, *, go_on: bool = True) -> Transitions:
        """Hand over the steps recorded since the last call (deferred mode), and forget them; the first call begins it.

        Args:
            go_on: whether to record further steps.

        Returns:
            ``T * n`` raw steps; row ``t * n + e`` is step ``t`` of environment ``e``. Episode numbers are unique within
            this wrapper. Empty if nothing was recorded.
        """
        recorded, self._recorded = self._recorded, [] if go_on else None
        return self.join(recorded or ())

    def join(self, taken: Sequence[RawStep]) -> Transitions:
        """Transitions of recorded steps: ``T * n``, row ``t * n + e`` is step ``t`` of environment ``e``."""
        about = {"card_hash": self.textualizer.card_hash}
        if not taken:
            obs, action = stack(self._raw_space, []), stack(self.textualizer.action_space, [])
            return Transitions.from_arrays(obs, action, obs, metadata=about)
        # Not Transitions.concatenate: the episode numbers are one wrapper's and stay as they are.
        arrays: dict[str, Any] = {name: concatenate([step[name] for step in taken]) for name in ARRAY_FIELDS}
        return Transitions(**arrays, metadata=about)

    def _yet_to_come(self, step: RawStep) -> UnscoredRewards:
        """The rewards of a step in deferred mode; an agent scores it, or it is taken by hand, or it is refused."""
        if not self.consumer and self._recorded is None and self.reward == "learned":
            raise PlaceholderRewardError(
                "rewards of deferred scoring are not there before they are scored",
                got="steps of LearnedRewardVecEnv(when='rollout') that nobody scores",
                fix="call rmgym.sb3.score_rollouts(agent, model); to evaluate, pass reward='true'; to score yourself, "
                "drain() before the first step",
            )
        if self._recorded is not None:
            self._recorded.append(step)
        return UnscoredRewards(step, self)

    def rewards(self, transitions: Transitions) -> Rewards:
        """The learned and the composed reward of ``B`` steps in one batch.

        Raises:
            TextError: a step holds NaN.
            ModelError: the model does not give finite rewards.
        """
        return self._source(transitions, transitions.true_reward)

    def score(self, transitions: Transitions) -> npt.NDArray[np.float32]:
        """The composed reward of ``B`` steps in one batch, ``float32 [B]``, a new array.

        It is what the agent receives in immediate mode for the same steps with ``reward="learned"``.

        Raises:
            TextError: a step holds NaN.
            ModelError: the model does not give finite rewards.
        """
        return self.rewards(transitions).reward.astype(np.float32)

    def learned(self, transitions: Transitions) -> npt.NDArray[np.float32]:
        """What the model says about ``B`` steps before composition (``learned_reward``), ``float32 [B]``.

        Raises:
            TextError: a step holds NaN.
            ModelError: the model does not give finite rewards.
        """
        return self.rewards(transitions).learned.astype(np.float32)

    def _begin(self, rows: Sequence[int]) -> None:
        """Begin new episodes."""
        self._episode = self._episode.copy()  # recorded steps hold the old one
        for row in rows:  # one at a time: few end at once
            self._running.clear(row)
            self._episode[row] = self._episodes
            self._episodes += 1
