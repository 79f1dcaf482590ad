"""Both returns of an agent on the same held-out episodes of the true environment."""

from __future__ import annotations

import inspect
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
from rmgym.harness.environments import policy_wrappers_of
from rmgym.harness.randomness import preserved
from rmgym.harness.saving import RECORD
from rmgym.metrics.ranking import pair_accuracy, pearson, spearman
from rmgym.text.environment import spaces_of
from rmgym.transitions import Transitions
from rmgym.trees import Tree, concatenate, stack
from rmgym.wrappers.raw_observation import RAW, for_policy
from rmgym.wrappers.source import Model, RewardSource

EVALUATION_SEED = 10_000
"""Seed of the first held-out episode; the next ones count up."""
_AT_ONCE = 10
_NO_TIME_LIMIT = 10_000


class Policy(Protocol):
    """Anything that acts: an SB3 agent, or your own."""

    def predict(self, observation: Any, *, deterministic: bool) -> tuple[npt.NDArray[Any], Any]:
        """Actions ``[n, ...]`` for observations ``[n, ...]``, and what the policy remembers.

        That is None, or arrays ``[layers, n, ...]`` which the next call gets as ``state``. An agent that takes
        ``action_masks`` gets those of an environment that has them, ``bool [n, actions]``.
        """
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
        wrappers = getattr(agent, RECORD, {}).get("policy_wrappers", policy_wrappers_of(env_id, card))
        envs = [for_policy(make_env(env_id, env_kwargs), wrappers) for _ in range(min(episodes, _AT_ONCE))]
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
    begun = [env.reset(seed=seed) for env, seed in zip(envs, seeds, strict=True)]
    shown = [_one(envs[0].observation_space, obs) for obs, _ in begun]
    raw_space, _ = spaces_of(envs[0])
    raw = [_one(raw_space, info.get(RAW, obs)) for obs, info in begun]
    rows: list[list[tuple[Any, ...]]] = [[] for _ in envs]
    running, memory = list(range(len(envs))), None
    act: Any = agent.predict
    while running:
        asked = {**_masks(agent, [envs[i] for i in running]), **({} if memory is None else {"state": memory})}
        seen = _seen(agent, concatenate([shown[i] for i in running]))
        actions, memory = act(seen, deterministic=deterministic, **asked)
        still = list[int]()
        for i, action in zip(running, actions, strict=True):
            obs, reward, terminated, truncated, info = envs[i].step(action)
            after = _one(raw_space, info.get(RAW, obs))
            truncated = bool(truncated) or (len(rows[i]) + 1 >= _NO_TIME_LIMIT and not terminated)
            rows[i].append((raw[i], stack(envs[i].action_space, [action]), after, terminated, truncated, reward))
            raw[i], shown[i] = after, _one(envs[i].observation_space, obs)
            if not (terminated or truncated):
                still.append(i)
        if memory is not None:  # of a recurrent policy: one column per environment
            memory = tuple(part[:, np.isin(running, still)] for part in memory)
        running = still
    return [_episode(episode) for episode in rows]


def _masks(agent: Policy, envs: Sequence[gym.Env[Any, Any]]) -> dict[str, npt.NDArray[np.bool_]]:
    """Which actions are possible, for an agent that asks (MaskablePPO)."""
    if "action_masks" not in inspect.signature(agent.predict).parameters or not envs[0].has_wrapper_attr(
        "action_masks"
    ):
        return {}
    return {"action_masks": np.stack([env.get_wrapper_attr("action_masks")() for env in envs])}


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
