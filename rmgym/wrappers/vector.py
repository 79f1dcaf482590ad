"""The learned reward in a Gymnasium vector environment: one call of the model per vector step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from rmgym.composition import Composition
from rmgym.environments.fixed_horizon import ABSORBING
from rmgym.environments.kinds import Info, all_rewards
from rmgym.errors import RunError
from rmgym.models.base import RewardModel
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import NOT_ABSORBING, Transitions
from rmgym.trees import Tree, Value, of_batch, put
from rmgym.wrappers.episodes import LEARNED_SO_FAR, TRUE_SO_FAR, Episodes, final
from rmgym.wrappers.source import Card, Model, RewardSource, StudentLike, theirs

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class LearnedRewardVectorWrapper(VectorWrapper[Any, Any, Any, Any, Any]):
    """Replace the rewards of a vector environment by a reward model's, and keep the true ones in ``infos``.

    ``infos`` has ``learned_reward`` and ``true_reward`` (``float64 [n]``) with the masks ``_learned_reward`` and
    ``_true_reward`` as Gymnasium has them, and where episodes end ``learned_return`` and ``true_return`` (and
    ``composed_return``, where a composition is set); every step has the sums so far (``rmgym.learned_return``,
    ``rmgym.true_return``), for who ends episodes outside. The three autoreset modes are told apart:

    * ``NEXT_STEP``: the step after an episode's end is a reset. It is not scored, its reward is 0, its masks are False.
    * ``SAME_STEP``: the next state of an episode's last step is ``infos["final_obs"]``.
    * ``DISABLED``: the caller resets, with ``options={"reset_mask": ...}`` or altogether.

    Args:
        env: the vector environment.
        model: as in :class:`LearnedRewardWrapper`.
        card: environment card or its path; by default the installed one that fits.
        language: language of the texts.
        composition: a :class:`Composition` or its options as a mapping.
        student: stands in for a slow model (:class:`rmgym.Student`), or options of one.

    Raises:
        ModelError: there is no such model, or it was fitted for another card.
        CardError: the card does not exist or does not fit.
        TextError: a space is not supported.
        RunError: ``env`` is no vector environment or does not say how it resets; the composition is impossible.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        model: Model,
        *,
        card: Card = None,
        language: str = "en",
        composition: Composition | Mapping[str, object] | None = None,
        student: StudentLike = None,
    ) -> None:
        if not isinstance(env, VectorEnv):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RunError(
                "LearnedRewardVectorWrapper wraps a gymnasium.vector.VectorEnv",
                got=type(env).__name__,
                fix="pass gym.make_vec(ID, num_envs=N); for one environment use LearnedRewardWrapper",
            )
        super().__init__(env)
        try:
            self._mode = AutoresetMode(env.metadata["autoreset_mode"])
        except (KeyError, ValueError) as error:
            raise RunError(
                "a vector environment says how it resets, or its resets would be scored as steps",
                got=f"autoreset_mode {env.metadata.get('autoreset_mode')!r}",
                fix="set metadata['autoreset_mode'] to a gymnasium.vector.AutoresetMode",
            ) from error
        self._source = RewardSource(env, model, card=card, language=language, composition=composition, student=student)
        self._episodes = Episodes(self.num_envs, self.textualizer.card.history)
        self._obs: Tree | None = None  # raw s of the next step, ours: the environment may reuse its buffer
        self._ended: Flags = np.zeros(self.num_envs, bool)

    @property
    def model(self) -> RewardModel | None:
        """The reward model, always the exact one; None for the control ``true``."""
        return self._source.model

    @property
    def textualizer(self) -> Textualizer:
        """What puts the steps into words."""
        return self._source.textualizer

    def reset(self, *, seed: int | list[int | None] | None = None, options: Info | None = None) -> tuple[Value, Info]:
        """See :meth:`gymnasium.vector.VectorEnv.reset`; a ``reset_mask`` in the options is respected."""
        mask = (options or {}).get("reset_mask")  # read before the environment pops it
        rows = slice(None) if mask is None else np.array(mask, bool)
        obs, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]  # it takes lists as well
        self._source.check(self.env)
        self._obs = of_batch(self.single_observation_space, obs)
        self._ended[rows] = False
        self._episodes.clear(rows)
        return obs, infos

    def step(self, actions: Any) -> tuple[Any, Floats, Flags, Flags, dict[str, Any]]:
        """See :meth:`gymnasium.vector.VectorEnv.step`; the rewards are the learned ones.

        Raises:
            RunError: there was no reset, or (``DISABLED``) an episode is over.
            TextError: an environment returned NaN.
            ModelError: the model does not give finite rewards.
        """
        if self._obs is None or (self._mode == AutoresetMode.DISABLED and self._ended.any()):
            raise RunError(
                "an episode begins with reset",
                got="step" if self._obs is None else f"step in environments {np.flatnonzero(self._ended).tolist()}",
                fix="call reset() first, with options={'reset_mask': ended} for some of them",
            )
        before, acted = self._obs, of_batch(self.single_action_space, actions)
        obs, true, terminated, truncated, infos = self.env.step(actions)
        infos = theirs(infos)
        # NEXT_STEP: what ended at the step before was reset by this one, whatever the action was.
        stepped = ~self._ended if self._mode == AutoresetMode.NEXT_STEP else np.ones(self.num_envs, bool)
        self._episodes.clear(~stepped)
        ended = np.array(terminated, bool) | np.array(truncated, bool)
        if not stepped.all() or (ended.any() and self._mode == AutoresetMode.SAME_STEP):
            self._source.check(self.env)
        after = of_batch(self.single_observation_space, obs)
        if self._mode == AutoresetMode.SAME_STEP:
            for row in np.flatnonzero(ended):
                put(after, int(row), final(infos, "final_obs", self.unwrapped)[row])
        absorbing = np.array(infos.get(ABSORBING, np.full(self.num_envs, NOT_ABSORBING)))
        if self._mode == AutoresetMode.SAME_STEP and ended.any():
            absorbing[ended] = infos["final_info"].get(ABSORBING, absorbing)[ended]
        steps = Transitions.from_arrays(
            before,
            acted,
            after,
            terminated,
            truncated,
            absorbing=absorbing,
            step=self._episodes.steps,
            past=self._episodes.past(before, acted),
        )[stepped]
        reward, learned, true = np.zeros(self.num_envs), np.zeros(self.num_envs), all_rewards(true)
        rewards = self._source(steps, true[stepped])
        reward[stepped], learned[stepped] = rewards.reward, rewards.learned
        true[~stepped] = 0.0
        self._episodes.add(before, acted, learned[stepped], true[stepped], stepped, composed=reward[stepped])

        infos |= {"learned_reward": learned, "true_reward": true}
        infos |= {"_learned_reward": stepped, "_true_reward": stepped.copy()}
        infos |= {LEARNED_SO_FAR: self._episodes.learned.copy(), f"_{LEARNED_SO_FAR}": stepped.copy()}
        infos |= {TRUE_SO_FAR: self._episodes.true.copy(), f"_{TRUE_SO_FAR}": stepped.copy()}
        if ended.any():
            infos |= {"learned_return": np.where(ended, self._episodes.learned, 0.0), "_learned_return": ended}
            infos |= {"true_return": np.where(ended, self._episodes.true, 0.0), "_true_return": ended.copy()}
            if not self._source.composition.is_plain:
                infos |= {
                    "composed_return": np.where(ended, self._episodes.composed, 0.0),
                    "_composed_return": ended.copy(),
                }
        if self._mode == AutoresetMode.SAME_STEP:
            self._episodes.clear(ended)
        self._obs, self._ended = of_batch(self.single_observation_space, obs), ended.copy()
        return obs, reward, terminated, truncated, infos
