"""The learned reward in a single Gymnasium environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import gymnasium as gym

from rmgym.composition import Composition
from rmgym.distillation.student import Student
from rmgym.distillation.student_options import StudentOptions
from rmgym.environments.fixed_horizon import ABSORBING
from rmgym.environments.kinds import Env, Info, Wrapper, one_reward
from rmgym.environments.raw_observation import Raw, without_raw
from rmgym.errors import ModelError, RunError
from rmgym.models.base import RewardModel
from rmgym.models.registry import CONTROLS
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import NOT_ABSORBING, Transitions
from rmgym.trees import Tree, Value, stack
from rmgym.wrappers.episodes import LEARNED_SO_FAR, TRUE_SO_FAR, Episodes
from rmgym.wrappers.pace import Pace
from rmgym.wrappers.source import Card, Model, RewardSource, StudentLike, digest_of, theirs


class LearnedRewardWrapper(Wrapper, gym.utils.RecordConstructorArgs):
    """Replace an environment's reward by a reward model's, and keep the true one in ``info``.

    Every step's ``info`` has ``learned_reward`` (what the model says) and ``true_reward`` (the environment's own); an
    episode's last step also has their sums ``learned_return`` and ``true_return`` (not discounted). The reward itself
    is ``learned_reward``, unless ``composition`` says otherwise: then the last step also has ``composed_return``. With
    the control ``"true"`` learned and true are the same. What the environment itself says under ``true_reward`` or
    ``true_return`` is handed on as ``rmgym.env.true_reward`` and ``rmgym.env.true_return``.

    Where a wrapper outside ends the episode, as ``TimeLimit(LearnedRewardWrapper(env, model), 200)`` does, this one
    does not know: the returns are the sums that every step has, ``rmgym.learned_return`` and ``rmgym.true_return``, and
    the text of that step does not say that it was truncated. Better put time limits inside.

    ``gym.make(wrapped.spec)`` makes the same environment with the same model in memory. Given by path or name,
    ``wrapped.spec.to_json()`` works too; the model's digest is recorded and checked.

    Args:
        env: the environment; put wrappers that scale or stack observations or actions outside, or around
            :class:`rmgym.RawObservation`: a card's words are about what the environment itself takes and returns.
        model: a folder with a fitted model, a hub id, a control's name (``"random"``), or a :class:`RewardModel`.
        card: environment card or its path; by default the installed one that fits.
        language: language of the texts.
        composition: a :class:`Composition` or its options as a mapping.
        student: stands in for a slow model (:class:`rmgym.Student`), or options of one.
        digest: what the model's digest must be; written into the spec, seldom given by hand.

    Raises:
        ModelError: there is no such model, it was fitted for another card, or it is not the one of the spec.
        CardError: the card does not exist or does not fit.
        TextError: a space is not supported.
        RunError: ``env`` is not a single environment, a wrapper of it changes what the words are about, or the
            composition is impossible.

    Example:
        >>> env = LearnedRewardWrapper(gym.make("FrozenLake-v1", is_slippery=False), "random")
        >>> _ = env.reset(seed=0)
        >>> _, reward, *_, info = env.step(1)
        >>> reward == info["learned_reward"], info["true_reward"]
        (True, 0.0)
    """

    def __init__(
        self,
        env: Env,
        model: Model,
        *,
        card: Card = None,
        language: str = "en",
        composition: Composition | Mapping[str, object] | None = None,
        student: StudentLike = None,
        digest: str | None = None,
    ) -> None:
        if not isinstance(env, gym.Env):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RunError(
                "LearnedRewardWrapper wraps one gymnasium.Env",
                got=type(env).__name__ if not isinstance(env, str) else env,
                fix="pass gym.make(ID); for vector environments use LearnedRewardVectorWrapper, for SB3's "
                "rmgym.sb3.LearnedRewardVecEnv",
            )
        student = student if isinstance(student, Student) else StudentOptions.of(student)
        source = RewardSource(env, model, card=card, language=language, composition=composition, student=student)
        by_name = isinstance(model, str | os.PathLike)
        if digest is not None and digest_of(source.loaded) != digest:
            raise ModelError(
                "the reward model is the one that the environment's spec recorded",
                got=f"digest {digest_of(source.loaded)} instead of {digest} at {model}",
                fix="put the old model back, or wrap the environment again",
            )
        gym.utils.RecordConstructorArgs.__init__(
            self,
            model=_absolute(model) if isinstance(model, str | os.PathLike) else model,
            card=_absolute(card) if isinstance(card, str | os.PathLike) else card,
            language=language,
            composition=None if source.composition.is_plain else source.composition.to_dict(),
            student=student.to_dict() if isinstance(student, StudentOptions) else student,
            digest=digest_of(source.loaded) if by_name else None,
        )
        gym.Wrapper.__init__(self, env)
        self._source = source
        self._raw = Raw(env)
        self._spaces = source.textualizer.observation_space, source.textualizer.action_space
        self._episodes = Episodes(1, source.textualizer.card.history)
        self._obs: Tree | None = None  # raw s of the next step, a batch of one; None where there must be a reset first
        argument = repr(str(model)) if by_name else "model"
        env_id = env.spec.id if env.spec else "ENV"
        self._pace = Pace(source.model, f"rmgym.sb3.make_agent('ppo', {env_id!r}, reward_model={argument})")

    @property
    def model(self) -> RewardModel | None:
        """The reward model, always the exact one; None for the control ``true``."""
        return self._source.model

    @property
    def textualizer(self) -> Textualizer:
        """What puts the steps into words."""
        return self._source.textualizer

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Value, Info]:
        """See :meth:`gymnasium.Env.reset`."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._source.check(self.env)
        self._obs = stack(
            self._spaces[0], [self._raw.obs(obs, info)]
        )  # a copy: environments may reuse what they return
        self._episodes.clear()
        return obs, without_raw(info) if self._raw.handed_on else info

    def step(self, action: Value) -> tuple[Value, float, bool, bool, Info]:
        """See :meth:`gymnasium.Env.step`; the reward is the learned one.

        Raises:
            RunError: there was no reset, or the episode is over.
            TextError: the environment returned NaN.
            ModelError: the model does not give a finite reward.
        """
        if self._obs is None:
            raise RunError("an episode begins with reset", got="step", fix="call env.reset() first")
        before, acted = self._obs, stack(self.env.action_space, [action])  # copies, as in reset
        obs, true, terminated, truncated, info = self.env.step(action)
        info, true = theirs(info), one_reward(true)
        if self._raw.handed_on:
            acted = stack(self._spaces[1], [self._raw.action(action, info)])
        steps = Transitions.from_arrays(
            before,
            acted,
            stack(self._spaces[0], [self._raw.obs(obs, info)]),
            [terminated],
            [truncated],
            absorbing=[info.get(ABSORBING, NOT_ABSORBING)],
            step=self._episodes.steps,
            past=self._episodes.past(before, acted),
        )
        with self._pace.scoring(1):
            rewards = self._source(steps, [true])
        learned = float(rewards.learned[0])
        self._episodes.add(before, acted, learned, true, composed=float(rewards.reward[0]))
        info = without_raw(info) | {"learned_reward": learned, "true_reward": true}
        done = bool(terminated or truncated)
        returns = float(self._episodes.learned[0]), float(self._episodes.true[0])
        info |= zip((LEARNED_SO_FAR, TRUE_SO_FAR), returns, strict=True)
        if done:
            info |= zip(("learned_return", "true_return"), returns, strict=True)
            if not self._source.composition.is_plain:
                info["composed_return"] = float(self._episodes.composed[0])
        self._obs = None if done else steps.next_obs
        return obs, float(rewards.reward[0]), terminated, truncated, info


def _absolute(path: str | os.PathLike[str]) -> str:
    """An existing path made absolute, so that a spec holds from any folder; a control's name or hub id as it is."""
    file = Path(path).expanduser()
    return str(file.absolute()) if file.exists() and os.fspath(path) not in CONTROLS else os.fspath(path)
