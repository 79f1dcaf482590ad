"""Real steps of a real environment, as arrays."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from importlib.metadata import version
from typing import Any

import gymnasium as gym
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from rmgym.errors import HarnessError
from rmgym.text import textualizer
from rmgym.text.environment import register
from rmgym.transitions import NOT_ABSORBING, Transitions
from rmgym.trees import concatenate, stack
from rmgym.wrappers.fixed_horizon import ABSORBING, FixedHorizonWrapper

Policy = Callable[[Any], Any]
"""From an observation to an action that the environment takes."""


class RateColumn(ProgressColumn):
    """Finished steps per second."""

    def render(self, task: Task) -> Text:
        """Show the rate, or nothing before it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


def progress_bar(*, shown: bool) -> Progress:
    """A bar on stderr with count, rate and time left; silent where ``shown`` is False or nobody watches."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not (shown and sys.stderr.isatty()), transient=True)


def make_env(
    env_id: str, env_kwargs: Mapping[str, Any] | None = None, fixed_horizon: int | None = None
) -> gym.Env[Any, Any]:
    """Make an environment from its id and arguments, with episodes of one length where a horizon is given.

    Raises:
        HarnessError: the id is not registered, the arguments do not fit, or a dependency is missing.
    """
    register(env_id)
    try:
        made = gym.make(env_id, **dict(env_kwargs or {}))
        return made if fixed_horizon is None else FixedHorizonWrapper(made, fixed_horizon)
    except gym.error.UnregisteredEnv as error:
        close = difflib.get_close_matches(env_id, gym.registry, n=3, cutoff=0.6)
        fix = f"did you mean {' or '.join(close)}?" if close else "'rmgym envs' lists ids; is its package installed?"
        raise HarnessError("an environment id is registered with Gymnasium", got=env_id, fix=fix) from error
    except (gym.error.Error, ImportError, TypeError, ValueError) as error:
        got = f"{env_id} with {dict(env_kwargs or {})}"
        raise HarnessError("an environment can be made from its id and arguments", got=got, fix=str(error)) from error


def collect(
    env_id: str,
    steps: int,
    *,
    seed: int = 0,
    reset_every: int | None = None,
    policy: Policy | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    fixed_horizon: int | None = None,
    progress: bool = True,
) -> Transitions:
    """Take ``steps`` steps in a real environment.

    An episode that ``reset_every`` (or the last step asked for) cuts is neither terminated nor truncated: nothing in
    the environment ended it, and its text must not say so.

    Args:
        env_id: a registered environment id.
        steps: number of steps, at least 1.
        seed: seeds the first reset and the random policy; same seed, same steps.
        reset_every: start a new episode after this many steps; frequent resets visit more kinds of states. None lets
            every episode end by itself, which labels by outcome need.
        policy: chooses actions; by default they are drawn from the action space.
        env_kwargs: arguments of the environment.
        fixed_horizon: let every episode last so many steps (:class:`rmgym.FixedHorizonWrapper`).
        progress: show a progress bar on stderr.

    Returns:
        ``steps`` transitions with the true final observation of each episode, the true reward, and ``metadata`` with
        ``env_id``, ``env_kwargs``, ``seed``, ``reset_every``, ``card_hash`` (of the English text) and ``rmgym``.

    Raises:
        HarnessError: the environment cannot be made, or a count is not positive.
        TextError: the environment's spaces cannot be put into words.
    """
    for name, count in (("steps", steps), ("reset_every", reset_every)):
        if count is not None and count < 1:
            raise HarnessError(f"{name} is at least 1", got=count, fix=f"pass a positive {name}")
    with closing(make_env(env_id, env_kwargs, fixed_horizon)) as env:
        metadata = {
            "env_id": env_id,
            "env_kwargs": dict(env_kwargs or {}),
            "seed": seed,
            "reset_every": reset_every,
            "fixed_horizon": fixed_horizon,
            "card_hash": textualizer(env).card_hash,
            "rmgym": version("rmgym"),
        }
        rows = _roll(env, steps, seed, reset_every, policy, progress)
    obs, action, next_obs, terminated, truncated, absorbing, reward, episode, step = zip(*rows, strict=True)
    return Transitions.from_arrays(
        concatenate(obs),
        concatenate(action),
        concatenate(next_obs),
        terminated,
        truncated,
        absorbing=absorbing,
        true_reward=reward,
        episode=episode,
        step=step,
        metadata=metadata,
    )


def _roll(
    env: gym.Env[Any, Any], steps: int, seed: int, reset_every: int | None, policy: Policy | None, progress: bool
) -> list[tuple[Any, ...]]:
    """One tuple per step: obs, action and next_obs as batches of one, and the other arrays of transitions in order."""
    rows, space = list[tuple[Any, ...]](), env.observation_space
    env.action_space.seed(seed)
    obs, _ = env.reset(seed=seed)
    episode, step = 0, 0
    with progress_bar(shown=progress) as bar:
        task = bar.add_task("collecting steps", total=steps)
        for _ in range(steps):
            action = env.action_space.sample() if policy is None else policy(obs)
            before = stack(space, [obs])  # a copy: an environment may return the same array again and again
            acted = stack(env.action_space, [action])
            obs, reward, terminated, truncated, info = env.step(action)
            absorbing = info.get(ABSORBING, NOT_ABSORBING)
            rows.append((before, acted, stack(space, [obs]), terminated, truncated, absorbing, reward, episode, step))
            bar.advance(task)
            step += 1
            if terminated or truncated or step == reset_every:
                obs, _ = env.reset()
                episode, step = episode + 1, 0
    return rows
