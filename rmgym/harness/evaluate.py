"""Both returns of an agent on the same held-out episodes of the true environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.cards import EnvCard
from rmgym.errors import HarnessError
from rmgym.harness.collect import make_env
from rmgym.harness.randomness import preserved
from rmgym.metrics.ranking import pair_accuracy, pearson, spearman
from rmgym.transitions import Transitions
from rmgym.trees import Tree, concatenate, stack
from rmgym.wrappers.source import Model, RewardSource

EVALUATION_SEED = 10_000
"""Seed of the first held-out episode; the next ones count up."""
_AT_ONCE = 10
_NO_TIME_LIMIT = 10_000


class Policy(Protocol):
    """Anything that acts: an SB3 agent, or your own."""

    def predict(self, observation: Any, *, deterministic: bool) -> tuple[npt.NDArray[Any], Any]:
        """Actions ``[n, ...]`` for observations ``[n, ...]``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Learned and true reward of ``B`` steps from ``E`` episodes.

    Attributes:
        true_return: undiscounted, ``float64 [E]``.
        learned_return: what the model says summed up, before any composition, ``float64 [E]``.
        length: steps of each episode, ``int64 [E]``.
        steps: the raw steps, episode after episode, with the true reward of each.
        learned_reward: of each step, ``float64 [B]``.
        spearman: rank correlation of the two rewards over steps; NaN where one is constant, as the next two.
        pearson: linear correlation.
        pair_accuracy: share of random pairs of steps that the learned reward orders rightly.
    """

    true_return: npt.NDArray[np.float64]
    learned_return: npt.NDArray[np.float64]
    length: npt.NDArray[np.int64]
    steps: Transitions
    learned_reward: npt.NDArray[np.float64]
    spearman: float
    pearson: float
    pair_accuracy: float

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
        }


def evaluate(
    agent: Policy,
    env_id: str,
    reward_model: Model,
    *,
    episodes: int = 10,
    seed: int = EVALUATION_SEED,
    env_kwargs: Mapping[str, Any] | None = None,
    card: str | os.PathLike[str] | EnvCard | None = None,
    language: str = "en",
    deterministic: bool = True,
) -> Comparison:
    """Play held-out episodes in the true environment and reward each step twice.

    Every episode is played to its end and counts once. Observations are normalised with the agent's own frozen
    statistics if it has some. All steps are scored in one batch. No global random state is changed.

    Args:
        agent: plays; its action noise is not used.
        env_id: Gymnasium id.
        reward_model: a folder, hub id, control's name or model. ``"true"`` repeats the true reward.
        episodes: how many; episode ``i`` is reset with ``seed + i``.
        seed: of the first one.
        env_kwargs: arguments of ``gymnasium.make``.
        card: environment card or its path; by default the installed one that fits.
        language: language of the texts.
        deterministic: whether the agent takes its likeliest action.

    Raises:
        HarnessError: the environment cannot be made, or no episode is asked for.
        ModelError: there is no such model, or it was fitted for another card.
    """
    if episodes < 1:
        raise HarnessError("an evaluation has at least one episode", got=episodes, fix="pass episodes=1 or more")
    with preserved():
        envs = [make_env(env_id, env_kwargs) for _ in range(min(episodes, _AT_ONCE))]
        try:
            source = RewardSource(envs[0], reward_model, card=card, language=language)
            played = list[Transitions]()
            for first in range(0, episodes, len(envs)):
                seeds = [seed + i for i in range(first, min(first + len(envs), episodes))]
                played += _play(agent, envs[: len(seeds)], seeds, deterministic)
        finally:
            for env in envs:
                env.close()
        steps = Transitions.concatenate(played)
        learned = source(steps, steps.true_reward).learned
    true = steps.true_reward
    return Comparison(
        true_return=np.bincount(steps.episode, true, episodes).astype(np.float64),
        learned_return=np.bincount(steps.episode, learned, episodes).astype(np.float64),
        length=np.bincount(steps.episode, minlength=episodes),
        steps=steps,
        learned_reward=learned,
        spearman=spearman(learned, true),
        pearson=pearson(learned, true),
        pair_accuracy=pair_accuracy(learned, true),
    )


def _play(
    agent: Policy, envs: Sequence[gym.Env[Any, Any]], seeds: Sequence[int], deterministic: bool
) -> list[Transitions]:
    """One episode in each environment, acting for all that still run at once."""
    space = envs[0].observation_space
    obs = [_one(space, env.reset(seed=seed)[0]) for env, seed in zip(envs, seeds, strict=True)]
    rows: list[list[tuple[Any, ...]]] = [[] for _ in envs]
    running = list(range(len(envs)))
    while running:
        actions, _ = agent.predict(_seen(agent, concatenate([obs[i] for i in running])), deterministic=deterministic)
        still = list[int]()
        for i, action in zip(running, actions, strict=True):
            after, reward, terminated, truncated, _ = envs[i].step(action)
            after = _one(space, after)
            truncated = bool(truncated) or (len(rows[i]) + 1 >= _NO_TIME_LIMIT and not terminated)
            rows[i].append((obs[i], stack(envs[i].action_space, [action]), after, terminated, truncated, reward))
            obs[i] = after
            if not (terminated or truncated):
                still.append(i)
        running = still
    return [_episode(episode) for episode in rows]


def _episode(rows: list[tuple[Any, ...]]) -> Transitions:
    obs, action, next_obs, terminated, truncated, reward = zip(*rows, strict=True)
    before, acted, after = (concatenate(column) for column in (obs, action, next_obs))
    return Transitions.from_arrays(before, acted, after, terminated, truncated, true_reward=reward)


def _one(space: gym.Space[Any], obs: Any) -> Tree:
    """A batch of one observation, in the dtype that a vector environment would give it."""
    batch = stack(space, [obs])
    return batch.astype(space.dtype) if isinstance(batch, np.ndarray) and batch.dtype != object else batch


def _seen(agent: Policy, obs: Tree) -> Any:
    """Observations as the agent's policy takes them."""
    find = getattr(agent, "get_vec_normalize_env", None)
    normalizer = find() if find is not None else None
    return obs if normalizer is None else normalizer.normalize_obs(obs)
