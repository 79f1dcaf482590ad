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
from rmgym.environments.build import build_env
from rmgym.environments.collect import collect
from rmgym.environments.kinds import Env
from rmgym.errors import RmgymError
from rmgym.randomness import preserved
from rmgym.sb3.agents import make_agent
from rmgym.specs import EnvSpec
from rmgym.text import textualizer
from rmgym.text.distinct import ToldApart, told_apart
from rmgym.threads import torch_threads
from rmgym.trees import Space
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
        texts: how many different random steps their texts tell apart; None where there were no steps.
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
    texts: ToldApart | None = None
    warnings: tuple[str, ...] = ()


def check_environment(
    env: str | EnvSpec,
    *,
    env_kwargs: Mapping[str, object] | None = None,
    card: str | os.PathLike[str] | None = None,
    steps: int = 200,
    train_steps: int = 256,
) -> EnvironmentCheck:
    """Put an environment into words, step it, run Gymnasium's ``check_env`` on it and train an agent in it.

    Everything is done with the learned reward ``random``, a hash of each step's text: no text goes unread.

    Args:
        env: Gymnasium id, or a spec (in place of ``env_kwargs`` and ``card``).
        env_kwargs: arguments of ``gymnasium.make``.
        card: path of an environment card; by default the installed one that fits.
        steps: random steps through :class:`rmgym.LearnedRewardWrapper`.
        train_steps: steps that PPO trains, or SAC where actions are continuous.

    Returns:
        What came of it; nothing is raised for what is wrong with the environment.
    """
    if isinstance(env, str):
        where = None if card is None else str(Path(card).resolve())
        env = EnvSpec(id=env, kwargs=env_kwargs or {}, card=where)
    trial = _Trial(env)
    status: Status = "passed"
    reason = ""
    with warnings.catch_warnings(record=True) as warned, preserved(), torch_threads(1):
        warnings.simplefilter("always")
        try:
            trial.steps(steps)
            trial.gymnasium_check()
            trial.train(train_steps)
        except Exception as error:  # an environment may raise anything, and that is what is to be told
            ours = isinstance(error, RmgymError)
            status = "not made" if trial.stage == "make" else "refused" if ours else "failed"
            reason = "; ".join(part.strip() for part in f"{'' if ours else _name(error)}{error}".splitlines())
    texts = (_ANSI.sub("", str(warning.message)).removeprefix("WARN: ").strip() for warning in warned)
    return EnvironmentCheck(
        env=env.id,
        status=status,
        stage=trial.stage,
        reason=reason,
        card=trial.card,
        observation=trial.observation,
        action=trial.action,
        algorithm=trial.algorithm,
        texts=trial.texts,
        warnings=tuple(dict.fromkeys(text for text in texts if _EXPECTED not in text)),
    )


class _Trial:
    """How far an environment comes; the attributes are those of :class:`EnvironmentCheck`."""

    def __init__(self, spec: EnvSpec) -> None:
        self._spec = spec
        self.stage = "make"
        self.card: str | None = None
        self.observation = self.action = self.algorithm = ""
        self.texts: ToldApart | None = None

    def steps(self, count: int) -> None:
        """Make it, put it into words, take random steps with a learned reward."""
        with closing(build_env(self._spec)) as env:
            env.reset(seed=0)
            self.stage = "words"
            self.observation, self.action = kind_of(env.observation_space), kind_of(env.action_space)
            card = find_env_card(self._spec.id, self._spec.card)
            self.card = Path(card.file).name if card is not None else None
            text = textualizer(env, card=self._spec.card, language=self._spec.language)
            self.stage = "steps"
            wrapped = self._rewarded(env)
            wrapped.action_space.seed(0)
            wrapped.reset(seed=0)
            for _ in range(count):
                _, _, terminated, truncated, _ = wrapped.step(wrapped.action_space.sample())
                if terminated or truncated:
                    wrapped.reset()
        taken = collect(self._spec, count, progress=False)
        self.texts = told_apart(taken, text.batch(taken))
        if self.texts.collisions:
            warnings.warn(
                f"{self.texts}: no reward model can tell them apart. Where the difference matters, write a card that "
                "shows it (more decimals, a unit in which it is large, further fields)",
                stacklevel=1,
            )

    def gymnasium_check(self) -> None:
        """Let Gymnasium look at it with a learned reward."""
        self.stage = "check_env"
        with closing(build_env(self._spec)) as env:
            check_env(self._rewarded(env), skip_render_check=True, skip_close_check=True)
            self._continuous = isinstance(env.action_space, gym.spaces.Box)

    def train(self, count: int) -> None:
        """Train a small agent in it."""
        self.stage = "train"
        algorithm = "sac" if self._continuous else "ppo"
        agent = make_agent(algorithm, self._spec, reward_model="random", seed=0, **_SMALL[algorithm])
        try:
            agent.learn(count)
        finally:
            assert agent.env is not None  # make_agent gave it one
            agent.env.close()
        self.algorithm = algorithm

    def _rewarded(self, env: Env) -> LearnedRewardWrapper:
        return LearnedRewardWrapper(env, "random", card=self._spec.card, language=self._spec.language)


def kind_of(space: Space) -> str:
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
