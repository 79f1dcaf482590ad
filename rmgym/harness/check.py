"""Does an environment work with rmgym, from its words to an agent? Tried, not guessed."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
from gymnasium.utils.env_checker import check_env

from rmgym.cards import find_env_card
from rmgym.errors import RmgymError
from rmgym.harness.agents import make_agent
from rmgym.harness.collect import make_env
from rmgym.harness.randomness import preserved
from rmgym.harness.threads import torch_threads
from rmgym.text import textualizer
from rmgym.wrappers.env import LearnedRewardWrapper

Status = Literal["passed", "refused", "not made", "failed"]
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_EXPECTED = "is different from the unwrapped version"
"""What ``check_env`` says of every wrapped environment; ours is to be checked as it is."""
_SMALL: dict[str, dict[str, Any]] = {
    "ppo": {"n_envs": 1, "n_steps": 128, "batch_size": 64, "n_epochs": 1},
    "sac": {"n_envs": 1, "learning_starts": 192, "train_freq": 8, "gradient_steps": 8, "buffer_size": 1000},
}


@dataclass(frozen=True, kw_only=True)
class EnvironmentCheck:
    """What came of trying an environment.

    Attributes:
        env: its id.
        status: ``passed``; ``refused`` (rmgym says why, and what to do); ``not made`` (it cannot be made
            or reset here, without rmgym); ``failed`` (something broke).
        stage: the last thing that was tried: ``make``, ``words``, ``steps``, ``check_env``, ``train``.
        reason: why it did not pass, empty where it did.
        card: file name of the card; None where the words come from the spaces.
        observation: kind of the observation space, such as ``Box(3)``.
        action: kind of the action space.
        algorithm: what was trained, empty where nothing was.
        warnings: what was warned of on the way, each once.
    """

    env: str
    status: Status
    stage: str
    reason: str = ""
    card: str | None = None
    observation: str = ""
    action: str = ""
    algorithm: str = ""
    warnings: tuple[str, ...] = ()


def check_environment(
    env_id: str,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    card: str | os.PathLike[str] | None = None,
    steps: int = 200,
    train_steps: int = 256,
) -> EnvironmentCheck:
    """Put an environment into words, step it, run Gymnasium's ``check_env`` on it and train an agent in it.

    Everything is done with the learned reward ``random``, a hash of each step's text: no text goes unread.

    Args:
        env_id: Gymnasium id.
        env_kwargs: arguments of ``gymnasium.make``.
        card: path of an environment card; by default the installed one that fits.
        steps: random steps through :class:`rmgym.LearnedRewardWrapper`.
        train_steps: steps that PPO trains, or SAC where actions are continuous.

    Returns:
        What came of it; nothing is raised for what is wrong with the environment.
    """
    said: dict[str, Any] = {"env": env_id, "stage": "make", "status": "passed"}
    with warnings.catch_warnings(record=True) as warned, preserved(), torch_threads(1):
        warnings.simplefilter("always")
        try:
            _try(said, env_id, dict(env_kwargs or {}), card, steps, train_steps)
        except Exception as error:  # an environment may raise anything, and that is what is to be told
            ours = isinstance(error, RmgymError)
            said["status"] = "not made" if said["stage"] == "make" else "refused" if ours else "failed"
            said["reason"] = "; ".join(part.strip() for part in f"{'' if ours else _name(error)}{error}".splitlines())
    texts = (_ANSI.sub("", str(warning.message)).removeprefix("WARN: ").strip() for warning in warned)
    return EnvironmentCheck(**said, warnings=tuple(dict.fromkeys(t for t in texts if _EXPECTED not in t)))


def _try(
    said: dict[str, Any],
    env_id: str,
    kwargs: dict[str, Any],
    card: str | os.PathLike[str] | None,
    steps: int,
    train_steps: int,
) -> None:
    """Write into ``said`` how far it comes."""
    with closing(make_env(env_id, kwargs)) as env:
        env.reset(seed=0)
        said |= {"stage": "words", "observation": kind_of(env.observation_space), "action": kind_of(env.action_space)}
        found = find_env_card(env_id, card)
        said["card"] = Path(found.file).name if found is not None else None
        textualizer(env, card=card)
        said["stage"] = "steps"
        wrapped = LearnedRewardWrapper(env, "random", card=card)
        wrapped.action_space.seed(0)
        wrapped.reset(seed=0)
        for _ in range(steps):
            _, _, terminated, truncated, _ = wrapped.step(wrapped.action_space.sample())
            if terminated or truncated:
                wrapped.reset()
    said["stage"] = "check_env"
    with closing(make_env(env_id, kwargs)) as env:
        check_env(LearnedRewardWrapper(env, "random", card=card), skip_render_check=True, skip_close_check=True)
    said["stage"] = "train"
    algorithm = "sac" if isinstance(env.action_space, gym.spaces.Box) else "ppo"
    agent = make_agent(
        algorithm, env_id, reward_model="random", seed=0, env_kwargs=kwargs, card=card, **_SMALL[algorithm]
    )
    try:
        agent.learn(train_steps)
    finally:
        assert agent.env is not None  # make_agent gave it one
        agent.env.close()
    said["algorithm"] = algorithm


def kind_of(space: gym.Space[Any]) -> str:
    """A space in short: ``Box(3)``, ``Discrete(16)``, ``Dict(direction: Discrete(4), image: Box(7, 7, 3))``."""
    if isinstance(space, gym.spaces.Dict):
        return f"Dict({', '.join(f'{key}: {kind_of(part)}' for key, part in space.items())})"
    if isinstance(space, gym.spaces.Tuple):
        return f"Tuple({', '.join(kind_of(part) for part in space)})"
    if isinstance(space, gym.spaces.Discrete):
        return f"Discrete({space.n})" if not space.start else f"Discrete({space.n}, from {space.start})"
    shape = f"({', '.join(map(str, space.shape))})" if space.shape else ""
    return f"{type(space).__name__}{shape}"


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: "
