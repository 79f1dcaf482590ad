"""Saved agents: SB3's zip, with plain JSON in it that says what the agent was made of."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from rmgym.errors import HarnessError
from rmgym.harness.deferred import attach
from rmgym.harness.environments import make_training_env
from rmgym.harness.files import replacing
from rmgym.harness.hyperparameters import algorithm_class
from rmgym.models.registry import load_reward_model
from rmgym.scoring.amortised import original
from rmgym.wrappers.source import Model

RECORD = "rmgym"
"""The attribute of an agent that says what it was made of: plain JSON, saved and loaded with it."""


def save_agent(agent: BaseAlgorithm, path: str | os.PathLike[str]) -> Path:
    """Save an agent with its observation statistics, atomically.

    ``agent.save(path)`` writes the same file without the statistics of ``VecNormalize``, which SB3 keeps apart.

    Raises:
        HarnessError: the file cannot be written.
    """
    record: dict[str, Any] = dict(getattr(agent, RECORD, {}))
    normalizer = agent.get_vec_normalize_env()
    if normalizer is not None:
        rms = normalizer.obs_rms
        if isinstance(rms, dict):
            raise HarnessError("statistics of one observation array are saved", got=sorted(rms), fix="use agent.save()")
        record["observation_statistics"] = {
            "mean": rms.mean.tolist(),
            "var": rms.var.tolist(),
            "count": float(rms.count),
            "steps": agent.num_timesteps,
        }
    setattr(agent, RECORD, record)
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
        reward_model: where the reward model is now; by default where it was. It must be the same by digest.
        tensorboard_log: folder for TensorBoard events.
        device: torch device of the policy.
        verbose: as in SB3.

    Raises:
        HarnessError: the file is not a saved agent, was not made by rmgym, or remembers another reward model.
        ModelError: there is no such reward model.
    """
    file, record = read_record(path)
    where: Model | None = reward_model if reward_model is not None else record["reward_model"]
    if where is None:
        raise HarnessError(
            "a reward model that was given as an object is given again",
            got=f"{file}, trained on {record['reward']!r} with digest {record['digest']}",
            fix="pass reward_model= (its folder, or the model)",
        )
    check_digest(record, original(load_reward_model(where)).digest, str(file))
    env = make_training_env(dict(record), where)
    cls = algorithm_class(record["class"], str(file))
    log = None if tensorboard_log is None else str(tensorboard_log)
    agent = cls.load(file, env=env, device=device, tensorboard_log=log, verbose=verbose)
    restore_statistics(agent)
    if record["when"] != "step":
        attach(agent)
    return agent


def read_record(path: str | os.PathLike[str]) -> tuple[Path, dict[str, Any]]:
    """Read what a saved agent was made of; nothing is unpickled.

    Returns:
        The zip file and the record.

    Raises:
        HarnessError: the file is not a saved agent or was not made by rmgym.
    """
    file = Path(path)
    if not file.exists() and file.with_name(file.name + ".zip").exists():
        file = file.with_name(file.name + ".zip")
    try:
        with zipfile.ZipFile(file) as archive:
            said = json.loads(archive.read("data"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise HarnessError(
            "a saved agent is a zip that Stable-Baselines3 wrote", got=f"{file}: {error}", fix="check the path"
        ) from error
    record = said.get(RECORD)
    if not isinstance(record, dict) or "digest" not in record:
        raise HarnessError(
            "this agent remembers its reward model",
            got=f"{file}, saved without one",
            fix="load it with its SB3 class and an environment, then call rmgym.sb3.score_rollouts(agent, model)",
        )
    return file, record


def restore_statistics(agent: BaseAlgorithm) -> None:
    """Give the agent's ``VecNormalize`` the statistics it was saved with; nothing if it has none.

    Raises:
        HarnessError: the agent was trained with normalised observations and saved without their statistics.
    """
    normalizer = agent.get_vec_normalize_env()
    if normalizer is None:
        return
    statistics = getattr(agent, RECORD).get("observation_statistics")
    # Those of an earlier save are still in the record of an agent that trained on and was then saved by SB3 alone.
    if statistics is None or statistics["steps"] != agent.num_timesteps:
        raise HarnessError(
            "an agent that normalises observations is saved with their statistics",
            got="an agent without them",
            fix="save it with rmgym.sb3.save_agent(agent, path)",
        )
    rms: Any = normalizer.obs_rms
    rms.mean, rms.var = np.array(statistics["mean"], np.float64), np.array(statistics["var"], np.float64)
    rms.count = statistics["count"]


def check_digest(record: Mapping[str, Any], digest: str, whose: str) -> None:
    """Refuse a reward model other than the one a record names, if it names one.

    Raises:
        HarnessError: the digests differ.
    """
    if record.get("digest", digest) != digest:
        raise HarnessError(
            f"{whose} was trained on another reward model",
            got=f"digest {digest} instead of {record['digest']} ({record['reward']!r} at {record['reward_model']})",
            fix="pass the model it was trained on, or make a new agent for this one",
        )
