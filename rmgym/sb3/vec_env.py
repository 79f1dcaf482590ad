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
from rmgym.environments.raw_observation import RAW
from rmgym.errors import PlaceholderRewardError, RunError
from rmgym.models.base import RewardModel
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import ARRAY_FIELDS, NOT_ABSORBING, Transitions
from rmgym.trees import Array, Tree, Value, concatenate, copier, put, stack
from rmgym.wrappers.episodes import Episodes
from rmgym.wrappers.pace import Pace
from rmgym.wrappers.source import Card, Loaded, Model, RewardSource, StudentLike, digest_of, refuse_foreign_rewards

RawStep = dict[str, Any]
"""One vector step: the arrays of :class:`Transitions` by name, a row for each environment."""


class LearnedRewardVecEnv(VecEnvWrapper):
    """Replace the rewards of an SB3 ``VecEnv`` by a reward model's, and keep the true ones in the infos.

    Immediate (``when="step"``): one call of the model per vector step. Each info has ``learned_reward`` and
    ``true_reward``, and at an episode's end ``learned_return`` and ``true_return`` (sums, not discounted).

    Deferred (``when="rollout"``): a step returns the placeholder 0.0 and is recorded; the consumer takes what was
    recorded with :meth:`drain`, rewards it in one batch with :meth:`score`, and puts the result where its algorithm
    looks. Infos have ``true_reward`` and ``true_return`` and nothing learned. An agent whose buffer does not do this
    would learn from zeros: use ``rmgym.sb3.make_agent`` or ``score_rollouts``, which see to it.

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
        self._raw_space = self._source.textualizer.observation_space
        self._copy_obs, self._copy_action = copier(self._raw_space), copier(self.action_space)
        # Shared by all steps without an end or an absorbing state, and never written to.
        self._never, self._not_absorbing = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, np.int8)
        self._running = Episodes(self.num_envs, self.textualizer.card.history)
        self._episode = np.full(self.num_envs, -1, np.int64)
        self._episodes = 0
        self._recorded = list[RawStep]()
        self._has_consumer = False
        self._obs: Tree | None = None  # raw s of the next step, ours: the environment may reuse its buffer
        self._action: Tree | None = None
        self._unchecked = True  # whether a reward of ours comes from below shows at the first step

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
        return self._source.version

    def exchange(self, model: Model) -> None:
        """Score with another model from now on.

        Raises:
            ModelError: there is no such model, or it was fitted for another card; all stays as it was.
        """
        self._source.exchange(model)

    @property
    def textualizer(self) -> Textualizer:
        """What puts the steps into words."""
        return self._source.textualizer

    @property
    def composition(self) -> Composition:
        """How the reward is put together."""
        return self._source.composition

    def reset(self) -> Any:
        """See ``VecEnv.reset``. What was recorded and not yet drained stays."""
        obs = self.venv.reset()
        self._obs = self._raw(obs, self.venv.reset_infos)
        self._begin(np.ones(self.num_envs, bool))
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
        """See ``VecEnv.step_wait``: observations, rewards ``float32 [n]``, dones ``bool [n]`` and infos.

        Raises:
            PlaceholderRewardError: rewards are placeholders and nobody has called :meth:`drain` yet.
            TextError: an environment returned NaN (immediate mode; else :meth:`score` raises it).
            ModelError: the model does not give finite rewards (same).
        """
        obs, true, dones, infos = self.venv.step_wait()
        if self._unchecked:
            for info in infos:
                refuse_foreign_rewards(info)
            self._unchecked = False
        after, true = self._raw(obs, infos), np.array(true, np.float64)
        terminated = truncated = self._never
        ended = dones.nonzero()[0]
        if len(ended):
            truncated = np.zeros(self.num_envs, bool)
            for row in ended:
                if RAW not in infos[row]:  # else it is the raw final observation already
                    put(after, int(row), infos[row]["terminal_observation"])
                truncated[row] = infos[row].get("TimeLimit.truncated", False)
            terminated = dones & ~truncated
        step: RawStep = {
            "obs": self._obs,  # reset set it
            "action": self._action,  # step_async set it
            "next_obs": after,
            "terminated": terminated,
            "truncated": truncated,
            "absorbing": self._not_absorbing,
            "true_reward": true.astype(np.float32),
            "episode": self._episode.copy(),
            "step": self._running.steps.copy(),
            "past": self._running.past(self._obs, self._action),
        }
        if any(ABSORBING in info for info in infos):
            step["absorbing"] = np.array([info.get(ABSORBING, NOT_ABSORBING) for info in infos], np.int8)
        facts, reward = {"true_reward": true}, np.zeros(self.num_envs, np.float32)  # the placeholder
        if self.when == "rollout":
            self._refuse_unread_placeholders()
            self._recorded.append(step)
        else:
            with self._pace.scoring(self.num_envs):
                rewards = self._source(Transitions(**step), true)
            facts["learned_reward"] = rewards.learned
            reward = rewards.reward.astype(np.float32)
        if self.reward == "true":
            reward = true.astype(np.float32)
        self._running.add(self._obs, self._action, facts.get("learned_reward", 0.0), true)
        self._obs = after  # what was recorded is never written to
        if len(ended):
            self._obs = self._raw(obs, [self.venv.reset_infos[i] if dones[i] else info for i, info in enumerate(infos)])
        infos = [dict(info) for info in infos]  # ours: the environments below may hand out the same ones again
        for name, values in facts.items():
            for info, value in zip(infos, values.tolist(), strict=True):
                info[name] = value
        if RAW in infos[0]:
            for info in infos:
                info.pop(RAW, None)
        for row in ended:
            infos[row]["true_return"] = float(self._running.true[row])
            if self.when == "step":
                infos[row]["learned_return"] = float(self._running.learned[row])
        if len(ended):
            self._begin(np.array(dones, bool))
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
        if RAW in infos[0]:
            return stack(self._raw_space, [info[RAW] for info in infos])
        return self._copy_obs(obs)

    def take(self) -> list[RawStep]:
        """Hand over the steps recorded since the last call, one by one; :meth:`join` makes transitions of them."""
        recorded, self._recorded = self._recorded, []
        self._has_consumer = True
        return recorded

    def drain(self) -> Transitions:
        """Hand over the steps recorded since the last call (deferred mode), and forget them.

        Returns:
            ``T * n`` raw steps; row ``t * n + e`` is step ``t`` of environment ``e``. Episode numbers are unique within
            this wrapper. Empty if nothing was recorded.
        """
        return self.join(self.take())

    def join(self, taken: Sequence[RawStep]) -> Transitions:
        """Transitions of recorded steps: ``T * n``, row ``t * n + e`` is step ``t`` of environment ``e``."""
        about = {"card_hash": self.textualizer.card_hash}
        if not taken:
            obs, action = stack(self._raw_space, []), stack(self.action_space, [])
            return Transitions.from_arrays(obs, action, obs, metadata=about)
        # Not Transitions.concatenate: the episode numbers are one wrapper's and stay as they are.
        arrays: dict[str, Any] = {name: concatenate([step[name] for step in taken]) for name in ARRAY_FIELDS}
        return Transitions(**arrays, metadata=about)

    def _refuse_unread_placeholders(self) -> None:
        """An agent without a scoring buffer would train on zeros, silently; whoever drains knows about them."""
        if not self._has_consumer and self.reward == "learned":
            raise PlaceholderRewardError(
                "rewards of deferred scoring are placeholders until they are scored",
                got="steps of LearnedRewardVecEnv(when='rollout') that nobody takes",
                fix="call rmgym.sb3.score_rollouts(agent, model); to score yourself, drain() before the first step",
            )

    def score(self, transitions: Transitions) -> npt.NDArray[np.float32]:
        """The composed reward of ``B`` steps in one batch, ``float32 [B]``, a new array.

        It is what the agent receives in immediate mode for the same steps with ``reward="learned"``.

        Raises:
            TextError: a step holds NaN.
            ModelError: the model does not give finite rewards.
        """
        return self._source(transitions, transitions.true_reward).reward.astype(np.float32)

    def learned(self, transitions: Transitions) -> npt.NDArray[np.float32]:
        """What the model says about ``B`` steps before composition (``learned_reward``), ``float32 [B]``.

        Raises:
            TextError: a step holds NaN.
            ModelError: the model does not give finite rewards.
        """
        return self._source(transitions, transitions.true_reward).learned.astype(np.float32)

    def _begin(self, rows: npt.NDArray[np.bool_]) -> None:
        """Begin new episodes."""
        self._running.clear(rows)
        count = int(rows.sum())
        self._episode[rows] = self._episodes + np.arange(count)
        self._episodes += count
