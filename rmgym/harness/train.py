"""One run: an agent trained on one reward, watched with both, in a folder that can be killed and resumed."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from rich.progress import Progress, TaskID
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from rmgym.errors import HarnessError
from rmgym.harness.agents import make_agent
from rmgym.harness.callbacks import COMPARISON, RewardComparisonCallback, read_rows
from rmgym.harness.checkpoint import Checkpoints, latest_checkpoint, load_checkpoint, remove_checkpoints
from rmgym.harness.collect import progress_bar
from rmgym.harness.files import write_json
from rmgym.harness.saving import RECORD, save_agent
from rmgym.harness.threads import torch_threads
from rmgym.wrappers.composition import Composition
from rmgym.wrappers.source import Model

RUN = "run.json"
_PACKAGES = ("rmgym", "stable-baselines3", "gymnasium", "torch", "transformers", "numpy")


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished run.

    Attributes:
        path: its folder: ``run.json``, ``comparison.csv``, ``steps.csv``, ``agent.zip``, ``tensorboard/``.
        run: what ``run.json`` says.
        comparison: rows of ``comparison.csv``.
    """

    path: Path
    run: Mapping[str, Any]
    comparison: list[dict[str, float]]

    @property
    def final(self) -> dict[str, float]:
        """The last row: the trained agent."""
        return self.comparison[-1]


def train(
    algo: str | os.PathLike[str],
    env_id: str,
    reward_model: Model,
    *,
    out: str | os.PathLike[str],
    total_steps: int | None = None,
    seed: int = 0,
    eval_every: int | None = None,
    episodes: int = 10,
    checkpoint_every: int | None = None,
    resume: bool = False,
    progress: bool = True,
    reward_name: str | None = None,
    when: Literal["rollout", "step", "amortised"] = "rollout",
    tolerance: float | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    fixed_horizon: int | None = None,
    card: str | os.PathLike[str] | None = None,
    language: str = "en",
    n_envs: int | None = None,
    composition: Composition | Mapping[str, Any] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    save_best: Literal["true", "learned"] | None = None,
    threads: int = 1,
    device: str = "cpu",
    verbose: int = 0,
) -> RunResult:
    """Train an agent on a reward model and watch both returns.

    The process may be killed at any moment; with ``resume=True`` the same call goes on from the last checkpoint and
    gives the same agent as a run that was never interrupted. A finished run is returned as it is.

    Args:
        algo: name of an agent card, or the path of one.
        env_id: Gymnasium id.
        reward_model: a folder, hub id, control's name or model; ``"true"`` trains on the true reward.
        out: the run's folder.
        total_steps: environment steps; by default the card's.
        seed: of everything that is drawn in training.
        eval_every: steps between evaluations; by default a tenth of the training.
        episodes: held-out episodes of each evaluation.
        checkpoint_every: steps between checkpoints (each resets the environments); by default a fifth of the training.
        resume: go on with the run in ``out``, or begin one.
        progress: show a progress bar on stderr.
        reward_name: how reports call this reward; by default the model's name.
        when: this and ``tolerance``, ``env_kwargs``, ``language``, ``n_envs``, ``composition``: see :func:`make_agent`.
        tolerance: of ``when="amortised"``.
        env_kwargs: arguments of ``gymnasium.make``.
        fixed_horizon: let every training episode last so many steps (:class:`rmgym.FixedHorizonWrapper`); evaluation
            is in the environment as it is.
        card: path of an environment card.
        language: language of the texts.
        n_envs: number of parallel environments.
        composition: how the reward is put together.
        hyperparameters: of the algorithm, over the card's.
        save_best: see :class:`RewardComparisonCallback`.
        threads: torch threads; more than one slows small networks down.
        device: torch device of the policy.
        verbose: 1 prints a line per evaluation.

    Raises:
        HarnessError: the folder holds a run and ``resume`` is False, or was begun with other settings; see
            :func:`make_agent` for the rest.
    """
    folder = Path(out)
    with torch_threads(threads):
        agent = make_agent(
            algo,
            env_id,
            reward_model=reward_model,
            seed=seed,
            when=when,
            tolerance=tolerance,
            env_kwargs=env_kwargs,
            fixed_horizon=fixed_horizon,
            card=card,
            language=language,
            n_envs=n_envs,
            total_steps=total_steps,
            composition=composition,
            tensorboard_log=folder / "tensorboard",
            device=device,
            **(hyperparameters or {}),
        )
        run = _describe(agent, reward_name, eval_every, episodes, checkpoint_every)
        before = _begun(folder, run, resume)
        if before is not None and before["status"] == "done":
            return RunResult(path=folder, run=before, comparison=read_rows(folder / COMPARISON))
        checkpoint = latest_checkpoint(folder) if before is not None else None
        seconds = 0.0
        if checkpoint is not None:
            agent, seconds = load_checkpoint(
                checkpoint, reward_model, tensorboard_log=folder / "tensorboard", device=device
            )
        else:
            shutil.rmtree(folder / "tensorboard", ignore_errors=True)  # of an attempt that came to no checkpoint
            write_json(folder / RUN, run)
        started = time.perf_counter() - seconds
        comparison = RewardComparisonCallback(
            reward_model,
            eval_every=run["config"]["eval_every"],
            episodes=episodes,
            out=folder,
            save_best=save_best,
            started=started,
            verbose=verbose,
        )
        _learn(agent, run, comparison, Checkpoints(folder, run["config"]["checkpoint_every"], seed, started), progress)
        save_agent(agent, folder / "agent.zip")
        run = _finish(run, comparison, agent.num_timesteps, time.perf_counter() - started)
        write_json(folder / RUN, run)
        remove_checkpoints(folder)
    return RunResult(path=folder, run=run, comparison=comparison.rows)


class _ProgressCallback(BaseCallback):
    """Moves the bar; the last true and learned return stand beside it."""

    def __init__(self, bar: Progress, task: TaskID, comparison: RewardComparisonCallback) -> None:
        super().__init__()
        self.bar, self.task, self.comparison = bar, task, comparison

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        said = ""
        if self.comparison.rows:
            row = self.comparison.rows[-1]
            said = f"  true {row['true_return_mean']:.4g}  learned {row['learned_return_mean']:.4g}"
        self.bar.update(self.task, completed=self.model.num_timesteps, description=f"training{said}")


def _learn(
    agent: BaseAlgorithm,
    run: Mapping[str, Any],
    comparison: RewardComparisonCallback,
    checkpoints: Checkpoints,
    progress: bool,
) -> None:
    """Train what is left, and close the environments."""
    total, begun = run["total_steps"], agent.num_timesteps
    try:
        with progress_bar(shown=progress) as bar:
            task = bar.add_task("training", total=total, completed=begun)
            callbacks: list[BaseCallback] = [checkpoints, comparison, _ProgressCallback(bar, task, comparison)]
            agent.learn(total - begun, callback=callbacks, reset_num_timesteps=begun == 0)
    finally:
        if agent.env is not None:
            agent.env.close()


def _describe(
    agent: BaseAlgorithm, reward_name: str | None, eval_every: int | None, episodes: int, checkpoint_every: int | None
) -> dict[str, Any]:
    """``run.json`` of a run that begins."""
    record: dict[str, Any] = getattr(agent, RECORD)
    total = int(record["total_steps"])
    if total < 1:
        raise HarnessError("a run has at least one step", got=total, fix="pass total_steps=1 or more")
    config = {
        "eval_every": eval_every or max(total // 10, 1),
        "episodes": episodes,
        "checkpoint_every": checkpoint_every or max(total // 5, 1),
        **{key: record[key] for key in ("class", "n_envs", "normalize", "hyperparameters", "when", "card", "language")},
        "tolerance": record["tolerance"],
        "composition": record["composition"],
    }
    return {
        "schema": 1,
        "env": record["env"],
        "env_kwargs": record["env_kwargs"],
        "fixed_horizon": record["fixed_horizon"],
        "algo": record["algo"],
        "reward": reward_name or record["reward"],
        "reward_digest": record["digest"],
        "seed": record["seed"],
        "total_steps": total,
        "config": json.loads(json.dumps(config)),  # tuples become lists, as they will be when read back
        "status": "running",
        "wall_seconds": None,
        "steps_per_second": None,
        "final": None,
        "alarms": [],
        "survival_bonus": None,
        "amortised": None,
        "versions": {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()},
    }


def _begun(folder: Path, run: Mapping[str, Any], resume: bool) -> dict[str, Any] | None:
    """What ``run.json`` says of a run that this one goes on with; None if there is none.

    Raises:
        HarnessError: it may not be resumed, or was begun with other settings.
    """
    file = folder / RUN
    if not file.exists():
        return None
    if not resume:
        raise HarnessError(
            "a run has a folder of its own", got=str(folder), fix="pass resume=True to go on with it, or another out="
        )
    try:
        before: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        settings = ("env", "env_kwargs", "fixed_horizon", "algo", "reward", "reward_digest", "seed", "total_steps")
        pairs = {key: (before.get(key), run[key]) for key in settings}
        pairs |= {key: (before["config"].get(key), value) for key, value in run["config"].items()}
    except (OSError, ValueError, KeyError) as error:
        raise HarnessError(f"{RUN} is rmgym's JSON", got=f"{file}: {error!r}", fix="choose another out=") from error
    changed = [f"{key}: {old!r} -> {new!r}" for key, (old, new) in pairs.items() if old != new]
    if changed:
        raise HarnessError(
            f"a run goes on with the settings it was begun with; {folder} was begun with others",
            got="; ".join(changed),
            fix="use those settings, or choose another out=",
        )
    return before


def _finish(run: Mapping[str, Any], comparison: RewardComparisonCallback, steps: int, seconds: float) -> dict[str, Any]:
    """``run.json`` of a run that is done; what is not a number is null there."""
    final = _without_nan(comparison.rows[-1])
    return {
        **run,
        "status": "done",
        "wall_seconds": seconds,
        "steps_per_second": steps / seconds,
        "final": final,
        "alarms": comparison.alarms,
        "survival_bonus": comparison.survival_bonus,
        "amortised": _without_nan(comparison.amortised) if comparison.amortised is not None else None,
    }


def _without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}
