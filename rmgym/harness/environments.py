"""The vector environments that agents train in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rmgym.cards import EnvCard, find_env_card
from rmgym.errors import HarnessError
from rmgym.harness.collect import make_env
from rmgym.models.base import RewardModel
from rmgym.models.registry import load_reward_model
from rmgym.scoring.amortised import AmortisedOptions, AmortisedReward, original
from rmgym.wrappers.raw_observation import for_policy
from rmgym.wrappers.sb3_vec_env import LearnedRewardVecEnv
from rmgym.wrappers.source import Model


def make_monitored(
    env_id: str,
    env_kwargs: Mapping[str, Any] | None,
    n_envs: int,
    seed: int,
    policy_wrappers: Sequence[str] = (),
    fixed_horizon: int | None = None,
) -> VecEnv:
    """Make ``n_envs`` environments in one process, each in a ``Monitor``: SB3's ``ep_rew_mean`` is the true return.

    ``policy_wrappers`` stand between the environments and their Monitors (:mod:`rmgym.wrappers.raw_observation`).

    Raises:
        HarnessError: see :func:`make_env`; or ``env_kwargs`` cannot be written into a saved agent.
    """
    try:
        json.dumps(dict(env_kwargs or {}))
    except TypeError as error:
        raise HarnessError(
            "env_kwargs are JSON-able, so that a saved agent can make its environment again",
            got=f"{env_kwargs}: {error}",
            fix="pass numbers, strings, lists and dictionaries",
        ) from error
    if n_envs < 1:
        raise HarnessError("an agent trains in at least one environment", got=n_envs, fix="pass n_envs=1 or more")
    make = partial(_make, env_id, dict(env_kwargs or {}), tuple(policy_wrappers), fixed_horizon)
    return make_vec_env(make, n_envs=n_envs, seed=seed)


def _make(
    env_id: str, env_kwargs: Mapping[str, Any], policy_wrappers: Sequence[str], fixed_horizon: int | None
) -> gym.Env[Any, Any]:
    return for_policy(make_env(env_id, env_kwargs, fixed_horizon), policy_wrappers)


def policy_wrappers_of(env_id: str, card: str | os.PathLike[str] | EnvCard | None) -> list[str]:
    """The wrappers that an environment's card names for an agent's network; none where it has no card."""
    found = card if isinstance(card, EnvCard) else find_env_card(env_id, card)
    return [] if found is None else list(found.policy_wrappers)


def make_training_env(record: dict[str, Any], reward_model: Model) -> VecEnv:
    """Make the chain of environments that a record describes, and write into the record what the reward model is.

    Raises:
        HarnessError: an environment cannot be made or its observations cannot be normalised.
        ModelError: there is no such reward model, or it was fitted for another card.
    """
    model = load_reward_model(reward_model)
    record |= identify(reward_model)
    if model.name == "true":
        record["when"] = "step"  # there is nothing to score
    if isinstance(model, AmortisedReward):
        record |= {"when": "amortised", "tolerance": model.options.tolerance}
    amortised = record["when"] == "amortised"
    wrappers = record.setdefault("policy_wrappers", policy_wrappers_of(record["env"], record["card"]))
    venv = make_monitored(
        record["env"],
        record["env_kwargs"],
        record["n_envs"],
        record.get("seed", 0),
        wrappers,
        record.get("fixed_horizon"),
    )
    env: VecEnv = LearnedRewardVecEnv(
        venv,
        amortise(model, record) if amortised else model,
        when="rollout" if amortised else record["when"],
        card=record["card"],
        language=record["language"],
        composition=record["composition"],
    )
    if not record["normalize"]:
        return env
    try:
        normalized = VecNormalize(env, norm_reward=False)
    except ValueError as error:
        raise HarnessError(
            "observations are normalised where they are arrays of numbers",
            got=f"{env.observation_space} of {record['env']}",
            fix="set normalize = false in the agent card for this environment",
        ) from error
    space = _as_returned(normalized.observation_space, normalized.clip_obs)
    normalized.observation_space = space  # pyright: ignore[reportAttributeAccessIssue]  # SB3 infers too narrow a type
    return normalized


def amortise(model: RewardModel, record: Mapping[str, Any]) -> AmortisedReward:
    """A model behind a student, as a record with ``when="amortised"`` asks for; one that is so already as it is."""
    if isinstance(model, AmortisedReward):
        return model
    options = {} if record.get("tolerance") is None else {"tolerance": record["tolerance"]}
    return AmortisedReward(model, AmortisedOptions(seed=record.get("seed", 0), **options))


def _as_returned(space: gym.Space[Any], most: float) -> gym.Space[Any]:
    """What ``VecNormalize`` returns for a space of whole numbers.

    It changes the space of pictures alone (GH #1214 of SB3); buffers take their dtype from it, and what is kept as
    ``uint8`` of numbers between -1 and 1 is nothing.
    """
    if isinstance(space, gym.spaces.Dict):
        return gym.spaces.Dict({key: _as_returned(part, most) for key, part in space.items()})
    if isinstance(space, gym.spaces.Box) and not np.issubdtype(space.dtype, np.floating):
        return gym.spaces.Box(-most, most, space.shape, np.float32)
    return space


def env_arguments(env: VecEnv) -> tuple[str | None, dict[str, Any]]:
    """Id and arguments that make the environments of a ``VecEnv`` again; no id where they were never registered."""
    spec = env.get_attr("spec", 0)[0]
    if spec is None:
        return None, {}
    kwargs = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
    if spec.max_episode_steps is not None:
        kwargs["max_episode_steps"] = spec.max_episode_steps
    return spec.id, kwargs


def identify(reward_model: Model) -> dict[str, Any]:
    """What a record says about the reward model."""
    model = original(load_reward_model(reward_model))
    where = None
    if isinstance(reward_model, str | os.PathLike):
        path = Path(reward_model).expanduser()
        where = str(path.resolve()) if path.exists() else os.fspath(reward_model)
    return {"reward": model.name, "reward_model": where, "digest": model.digest}
