"""Saved agents: SB3's zip, with plain JSON in it that says what the agent was made of."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rmgym.errors import RunError
from rmgym.models.registry import is_url
from rmgym.sb3.deferred import attach
from rmgym.sb3.environments import make_training_env
from rmgym.sb3.hyperparameters import algorithm_class
from rmgym.sb3.spec import RECORD, check_digest
from rmgym.specs import AgentSpec, RewardSpec
from rmgym.storage.atomic import replacing
from rmgym.storage.foreign import parse_json, refuse_irregular
from rmgym.wrappers.source import Model, load

AGENT = "agent.zip"
"""Name of the agent's file in the folder of a run."""
STATISTICS = "rmgym_statistics"
"""The attribute of an agent that holds the statistics of its ``VecNormalize``, as plain JSON."""


@dataclass(frozen=True)
class SavedAgent:
    """A saved agent as its plain JSON tells it.

    Attributes:
        file: the zip.
        spec: what it was made of.
    """

    file: Path
    spec: AgentSpec


def save_agent(agent: BaseAlgorithm, path: str | os.PathLike[str]) -> Path:
    """Save an agent with its observation statistics, atomically.

    ``agent.save(path)`` writes the same file without the statistics of ``VecNormalize``, which SB3 keeps apart.

    Raises:
        StorageError: the file cannot be written.
    """
    normalizer = agent.get_vec_normalize_env()
    if normalizer is not None and normalizer.norm_obs:
        means = {key: _statistics(rms) for key, rms in _running(normalizer).items()}
        setattr(agent, STATISTICS, {"steps": agent.num_timesteps, "observation": means})
    with replacing(path) as file:
        agent.save(file)  # type: ignore[arg-type]  # SB3 says BufferedIOBase and takes any binary file
    return Path(path)


def load_agent(
    path: str | os.PathLike[str],
    reward_model: Model | None = None,
    *,
    tensorboard_log: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    verbose: int = 0,
) -> BaseAlgorithm:
    """Load an agent with its environment and its reward model, ready to train on.

    An agent's zip holds pickles, as SB3 writes them: load only what you trust. Which algorithm, environment and reward
    model it needs is read from plain JSON and checked before anything is unpickled.

    Args:
        path: what :func:`save_agent` or ``agent.save`` wrote.
        reward_model: where the reward model is now; by default where it was, but for a server, which is named again.
            It must be the same by digest.
        tensorboard_log: folder for TensorBoard events.
        device: torch device of the policy.
        verbose: as in SB3.

    Raises:
        RunError: the file is not a saved agent, was not made by rmgym, or remembers another reward model.
        ModelError: there is no such reward model.
    """
    saved = read_saved(path)
    spec = saved.spec
    where: Model | None = reward_model if reward_model is not None else spec.reward.model
    if where is None:
        raise RunError(
            "a reward model that was given as an object is given again",
            got=f"{saved.file}, trained on {spec.reward.name!r} with digest {spec.reward.digest}",
            fix="pass reward_model= (its folder, or the model)",
        )
    if reward_model is None and is_url(str(where)):
        raise RunError(
            "a file does not choose by itself who gets the texts",
            got=f"{saved.file}, trained on the scores of {where}",
            fix=f"if you trust that server, pass reward_model={str(where)!r}",
        )
    loaded = load(where, seed=spec.seed)
    check_digest(spec.reward, loaded, str(saved.file))
    log = None if tensorboard_log is None else str(tensorboard_log)
    agent = _unpickled(saved, make_training_env(spec, loaded), device=device, tensorboard_log=log, verbose=verbose)
    if spec.when == "rollout":
        attach(agent)
    return agent


def load_to_act(path: str | os.PathLike[str], *, device: str = "cpu") -> BaseAlgorithm:
    """Load an agent that is to act, in its own environment, and not to train: its reward model is not needed.

    Args:
        path: what :func:`save_agent` or ``agent.save`` wrote; a pickle, see :func:`load_agent`.
        device: torch device of the policy.

    Raises:
        RunError: the file is not a saved agent, or was not made by rmgym.
    """
    saved = read_saved(path)
    true = load("true")
    spec = replace(saved.spec, reward=RewardSpec(name="true", digest="true", kind="true"))
    return _unpickled(saved, make_training_env(spec, true), device=device)


def _unpickled(saved: SavedAgent, env: VecEnv, **how: Any) -> BaseAlgorithm:
    """The agent in a file, with an environment and its statistics."""
    cls = algorithm_class(saved.spec.algorithm, str(saved.file))
    agent = cls.load(saved.file, env=env, **how)
    restore_statistics(agent)
    return agent


def read_saved(path: str | os.PathLike[str]) -> SavedAgent:
    """Read what a saved agent was made of, and the checksums of all its parts; nothing is unpickled.

    Raises:
        RunError: the file is not a saved agent or was not made by rmgym.
    """
    file = Path(path)
    if not file.exists() and file.with_name(file.name + ".zip").exists():
        file = file.with_name(file.name + ".zip")
    try:
        refuse_irregular(file)
        with zipfile.ZipFile(file) as archive:
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{damaged} is damaged")
            attributes: Any = parse_json(archive.read("data"))
        if not isinstance(attributes, dict):
            raise ValueError("its data is no JSON object")
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(
            "a saved agent is a zip that Stable-Baselines3 wrote", got=f"{file}: {error}", fix="check the path"
        ) from error
    record = attributes.get(RECORD)
    if not isinstance(record, dict):
        raise RunError(
            "this agent remembers its reward model",
            got=f"{file}, saved without one",
            fix="load it with its SB3 class and an environment, then call rmgym.sb3.score_rollouts(agent, model)",
        )
    return SavedAgent(file, AgentSpec.from_json(record, str(file)))


def restore_statistics(agent: BaseAlgorithm) -> None:
    """Give the agent's ``VecNormalize`` the statistics it was saved with; nothing if it has none.

    Raises:
        RunError: the agent was trained with normalised observations and saved without their statistics.
    """
    normalizer = agent.get_vec_normalize_env()
    if normalizer is None or not normalizer.norm_obs:
        return
    statistics: Mapping[str, Any] | None = getattr(agent, STATISTICS, None)
    # Those of an earlier save are still with an agent that trained on and was then saved by SB3 alone.
    if statistics is None or statistics["steps"] != agent.num_timesteps:
        raise RunError(
            "an agent that normalises observations is saved with their statistics",
            got="an agent without them",
            fix="save it with rmgym.sb3.save_agent(agent, path)",
        )
    for key, rms in _running(normalizer).items():
        values = statistics["observation"][key]
        rms.mean, rms.var = np.array(values["mean"], np.float64), np.array(values["var"], np.float64)
        rms.count = values["count"]


def _running(normalizer: VecNormalize) -> dict[str, RunningMeanStd]:
    """Running statistics by key of Dict observations; of a single array under ``""``."""
    rms: Any = normalizer.obs_rms
    return rms if isinstance(rms, dict) else {"": rms}


def _statistics(rms: RunningMeanStd) -> dict[str, Any]:
    return {"mean": rms.mean.tolist(), "var": rms.var.tolist(), "count": float(rms.count)}
