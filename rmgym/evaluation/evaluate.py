"""Both returns of an agent on the same held-out episodes of the true environment."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.environments.build import build_env
from rmgym.environments.fixed_horizon import ABSORBING
from rmgym.environments.introspect import spaces_of
from rmgym.environments.kinds import Env, Info, one_reward
from rmgym.environments.raw_observation import Raw, policy_layers
from rmgym.errors import RunError
from rmgym.evaluation.policy import PlainView, Policy, View
from rmgym.metrics.ranking import pair_accuracy, pearson, spearman
from rmgym.randomness import preserved
from rmgym.specs import EnvSpec
from rmgym.transitions import NOT_ABSORBING, Transitions
from rmgym.trees import Space, Tree, Value, concatenate, stack
from rmgym.wrappers.source import Model, RewardSource

EVALUATION_SEED = 10_000
"""Seed of the first held-out episode; the next ones count up."""
SUCCESS = "success_rate"
"""Column of ``comparison.csv`` where the environment's ``info`` says of episodes whether they succeeded."""
_AT_ONCE = 10
_NO_TIME_LIMIT = 10_000


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Learned and true reward of ``B`` steps from ``E`` episodes.

    Attributes:
        true_return: undiscounted, ``float64 [E]``.
        learned_return: what the model says summed up, before any composition, ``float64 [E]``; of a potential
            (:class:`rmgym.scoring.potential.Potential`) with its discount, as it tells good episodes from bad ones.
        length: steps of each episode, ``int64 [E]``.
        steps: the raw steps, episode after episode, with the true reward of each.
        learned_reward: of each step, ``float64 [B]``.
        spearman: rank correlation of the two rewards over steps; NaN where one is constant, as the next two.
        pearson: linear correlation.
        pair_accuracy: share of random pairs of steps that the learned reward orders rightly.
        success_return: of a potential's rewards the part for success, summed up without discount, ``float64 [E]``; None
            for other models.
        shaping_return: the same of the part for getting nearer.
        success: whether each episode succeeded by the environment's own ``info``, ``float64 [E]``: ``is_success`` of
            the last step, or ``success`` of any step; None where it does not say.
    """

    true_return: npt.NDArray[np.float64]
    learned_return: npt.NDArray[np.float64]
    length: npt.NDArray[np.int64]
    steps: Transitions
    learned_reward: npt.NDArray[np.float64]
    spearman: float
    pearson: float
    pair_accuracy: float
    success_return: npt.NDArray[np.float64] | None = None
    shaping_return: npt.NDArray[np.float64] | None = None
    success: npt.NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        """A line: both returns, and how well the rewards agree."""
        true, learned = (f"{r.mean():.4g} ± {r.std():.3g}" for r in (self.true_return, self.learned_return))
        return (
            f"Comparison({len(self.true_return)} episodes, true return {true}, learned return {learned}, "
            f"Spearman {self.spearman:.3f})"
        )

    def row(self) -> dict[str, float]:
        """The row of ``comparison.csv``, without the columns that time the training."""
        return {
            "episodes": len(self.true_return),
            "true_return_mean": float(self.true_return.mean()),
            "true_return_std": float(self.true_return.std()),
            "learned_return_mean": float(self.learned_return.mean()),
            "learned_return_std": float(self.learned_return.std()),
            "spearman": self.spearman,
            "pearson": self.pearson,
            "pair_accuracy": self.pair_accuracy,
            **({} if self.success is None else {SUCCESS: float(self.success.mean())}),
        }


def evaluate(
    policy: Policy,
    env: str | EnvSpec,
    reward_model: Model,
    *,
    episodes: int = 10,
    seed: int = EVALUATION_SEED,
    deterministic: bool = True,
    view: Callable[[], View] = PlainView,
) -> Comparison:
    """Play held-out episodes in an environment as it is, wrappers included, and reward each step twice.

    Every episode is played to its end and counts once. All steps are scored in one batch, by the exact model. No global
    random state is changed. :func:`rmgym.sb3.evaluate` does so in an agent's own environment.

    Args:
        policy: plays; its action noise is not used.
        env: Gymnasium id, or a spec; a spec's ``layers`` are what ``view`` stands for.
        reward_model: a folder, hub id, control's name or model. ``"true"`` repeats the true reward.
        episodes: how many; episode ``i`` is reset with ``seed + i``.
        seed: of the first one.
        deterministic: whether the policy takes its likeliest action.
        view: makes what stands between one environment and the policy.

    Raises:
        RunError: the environment cannot be made, no episode is asked for, or episodes differ in a fact of the card.
        ModelError: there is no such model, or it was fitted for another card.
    """
    if episodes < 1:
        raise RunError("an evaluation has at least one episode", got=episodes, fix="pass episodes=1 or more")
    spec = EnvSpec(id=env, wrappers=policy_layers(env, None)) if isinstance(env, str) else env.evaluated
    with preserved():
        seats = [_Seat(build_env(spec), view()) for _ in range(min(episodes, _AT_ONCE))]
        try:
            source = RewardSource(seats[0].env, reward_model, card=spec.card, language=spec.language)
            played, succeeded = list[Transitions](), list[float | None]()
            for first in range(0, episodes, len(seats)):
                seeds = [seed + i for i in range(first, min(first + len(seats), episodes))]
                _play(policy, seats[: len(seeds)], seeds, deterministic)
                played += [seat.episode() for seat in seats[: len(seeds)]]
                succeeded += [seat.success for seat in seats[: len(seeds)]]
                for seat in seats:
                    source.check(seat.env)
        finally:
            for seat in seats:
                seat.env.close()
        steps = Transitions.concatenate(played)
        learned, success = source(steps, steps.true_reward).learned, source.success(steps)
    true, counted = steps.true_reward, learned
    parts: dict[str, npt.NDArray[np.float64]] = {}
    if source.potential is not None and success is not None:
        counted = learned * source.potential.discounts(steps)
        sums = {"success_return": success, "shaping_return": learned - success}
        parts = {n: np.bincount(steps.episode, part, episodes).astype(np.float64) for n, part in sums.items()}
    return Comparison(
        true_return=np.bincount(steps.episode, true, episodes).astype(np.float64),
        learned_return=np.bincount(steps.episode, counted, episodes).astype(np.float64),
        length=np.bincount(steps.episode, minlength=episodes),
        steps=steps,
        learned_reward=learned,
        spearman=spearman(learned, true),
        pearson=pearson(learned, true),
        pair_accuracy=pair_accuracy(learned, true),
        success=None if None in succeeded else np.array(succeeded, np.float64),
        **parts,
    )


class _Seat:
    """One environment, what the policy sees of it, and the episode that is played there."""

    def __init__(self, env: Env, view: View) -> None:
        self.env, self.view = env, view
        self._reads, (self._raw_space, self._raw_action_space) = Raw(env), spaces_of(env)
        self._rows = list[tuple[Any, ...]]()
        self._raw: Tree = None
        self.shown: Tree = None
        self.success: float | None = None

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        obs, info = self.env.reset(seed=seed)
        self.success = None
        self._rows, self._raw = [], _one(self._raw_space, self._reads.obs(obs, info))
        self.shown = self.view.reset(_one(self.env.observation_space, obs))

    def step(self, action: Value) -> bool:
        """Take a step; whether the episode goes on."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        after = _one(self._raw_space, self._reads.obs(obs, info))
        truncated = bool(truncated) or (len(self._rows) + 1 >= _NO_TIME_LIMIT and not terminated)
        absorbing = info.get(ABSORBING, NOT_ABSORBING)
        self.success = _success(info, self.success)
        acted = stack(self._raw_action_space, [self._reads.action(action, info)])
        self._rows.append((self._raw, acted, after, terminated, truncated, absorbing, one_reward(reward)))
        self._raw, self.shown = after, self.view.step(_one(self.env.observation_space, obs))
        return not (terminated or truncated)

    def episode(self) -> Transitions:
        """The steps taken since the reset."""
        obs, action, next_obs, terminated, truncated, absorbing, reward = zip(*self._rows, strict=True)
        before, acted, after = (concatenate(column) for column in (obs, action, next_obs))
        return Transitions.from_arrays(
            before, acted, after, terminated, truncated, absorbing=absorbing, true_reward=reward
        )


def _success(info: Info, before: float | None) -> float | None:
    """Whether an episode succeeds so far, as Gymnasium-Robotics and SB3 (the last word) or Meta-World (ever) tell."""
    for key, ever in (("is_success", False), ("success", True)):
        word = np.asarray(info.get(key))
        if word.shape == () and word.dtype.kind in "biuf" and np.isfinite(word):
            return max(before or 0.0, float(word > 0)) if ever else float(word > 0)
    return before


def _play(policy: Policy, seats: Sequence[_Seat], seeds: Sequence[int], deterministic: bool) -> None:
    """One episode in each environment, acting for all that still run at once."""
    for seat, seed in zip(seats, seeds, strict=True):
        seat.reset(seed)
    running, memory = list(seats), None
    act: Any = policy.predict
    while running:
        asked = {**_masks(policy, [seat.env for seat in running]), **({} if memory is None else {"state": memory})}
        actions, memory = act(concatenate([seat.shown for seat in running]), deterministic=deterministic, **asked)
        going_on = [seat.step(action) for seat, action in zip(running, actions, strict=True)]
        if memory is not None:  # of a recurrent policy: one column per environment
            memory = tuple(part[:, np.array(going_on)] for part in memory)
        running = [seat for seat, goes_on in zip(running, going_on, strict=True) if goes_on]


def _masks(policy: Policy, envs: Sequence[Env]) -> dict[str, npt.NDArray[np.bool_]]:
    """Which actions are possible, for an agent that asks (MaskablePPO)."""
    if "action_masks" not in inspect.signature(policy.predict).parameters or not envs[0].has_wrapper_attr(
        "action_masks"
    ):
        return {}
    return {"action_masks": np.stack([env.get_wrapper_attr("action_masks")() for env in envs])}


def _one(space: Space, obs: Value) -> Tree:
    """A batch of one observation, in the dtype that a vector environment would give it."""
    batch = stack(space, [obs])
    return batch.astype(space.dtype) if isinstance(batch, np.ndarray) and batch.dtype != object else batch
