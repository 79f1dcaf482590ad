"""Checkpoints from which a run goes on as if it had never stopped.

SB3 cannot resume inside a rollout, and does not save random states or environments. So a checkpoint is taken where a
rollout starts, and there every run, interrupted or not, seeds its generators anew and resets its environments: what
comes next depends on the checkpoint alone.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rmgym.distillation.student import Student
from rmgym.errors import RunError
from rmgym.sb3.callbacks import RewardComparisonCallback
from rmgym.sb3.deferred import attach, is_deferred, learned_env
from rmgym.sb3.restart import restart
from rmgym.sb3.saving import load_agent, restore_statistics, save_agent
from rmgym.specs.base import Spec
from rmgym.storage.atomic import ASIDE, replacing_folder, restore_folder, write_json
from rmgym.storage.foreign import read_json
from rmgym.storage.sums import check_sums, write_sums
from rmgym.wrappers.source import Model

_AGENT, _REPLAY, _STUDENT, _STATE = "agent.zip", "replay_buffer.pkl", "student", "state.json"


@dataclass(frozen=True, kw_only=True)
class Progress(Spec):
    """What a run is at a checkpoint, besides its agent; the content of ``state.json``.

    Attributes:
        steps: that the agent has taken.
        wall_seconds: training time.
        survival_bonus: see :class:`RewardComparisonCallback`; it is said once, so a run that goes on has to know it.
    """

    steps: int
    wall_seconds: float
    survival_bonus: str | None


class Checkpoints(BaseCallback):
    """Save the agent every so many steps, at the start of a rollout, and keep the newest checkpoint.

    Args:
        folder: where ``checkpoint-<steps>`` goes.
        every: steps between checkpoints.
        seed: of the run.
        started: ``time.perf_counter()`` at the start of the run, less the time of interrupted attempts.
        after: steps up to which others say when to :meth:`save`.
        comparison: whose findings are saved too.
    """

    def __init__(
        self,
        folder: Path,
        every: int,
        seed: int,
        started: float,
        *,
        after: int = 0,
        comparison: RewardComparisonCallback | None = None,
    ) -> None:
        super().__init__()
        self.folder, self.every, self.seed, self.started, self.after = folder, every, seed, started, after
        self.comparison = comparison
        self._saved_at, self._resumes = 0, False

    def _on_training_start(self) -> None:
        self._saved_at = self.model.num_timesteps
        self._resumes = self._saved_at > 0
        if self._resumes:  # learn() has reset the environments, and VecNormalize has counted what it saw
            restore_statistics(self.model)

    def _on_rollout_start(self) -> None:
        steps = self.model.num_timesteps
        if self._resumes:
            self._resumes = False
            restart(self.model, self.seed)
        elif steps > self.after and steps // self.every != self._saved_at // self.every:
            self.save()

    def save(self) -> None:
        """Save the agent, at the start of a rollout."""
        progress = Progress(
            steps=self.model.num_timesteps,
            wall_seconds=time.perf_counter() - self.started,
            survival_bonus=None if self.comparison is None else self.comparison.survival_bonus,
        )
        save_checkpoint(self.model, self.folder, progress)
        self._saved_at = self.model.num_timesteps
        restart(self.model, self.seed)

    def _on_step(self) -> bool:
        return True


def save_checkpoint(agent: BaseAlgorithm, folder: Path, progress: Progress) -> Path:
    """Write ``checkpoint-<steps>``, whole or not at all, and remove older ones.

    Args:
        agent: at the start of a rollout.
        folder: the run's.
        progress: how far it is.

    Raises:
        StorageError: it cannot be written; the older one is intact.
    """
    target = folder / f"checkpoint-{agent.num_timesteps}"
    with replacing_folder(target, what="a checkpoint") as partial:
        save_agent(agent, partial / _AGENT)
        if isinstance(agent, OffPolicyAlgorithm):
            agent.save_replay_buffer(partial / _REPLAY)
        if (student := _student(agent)) is not None:
            student.save_state(partial / _STUDENT)
        write_json(partial / _STATE, progress.to_json())
        write_sums(partial)
    for old in _checkpoints(folder)[:-1]:
        shutil.rmtree(old, ignore_errors=True)
    _remove_unfinished(folder)
    return target


def restore_checkpoint(folder: Path) -> None:
    """Bring back a checkpoint that a killed process was replacing; for who has claimed the run."""
    for path in folder.glob(f".checkpoint-*{ASIDE}"):
        restore_folder(folder / path.name[1:].removesuffix(ASIDE))


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run, or None."""
    return next(reversed(_checkpoints(folder)), None)


def steps_of(checkpoint: Path) -> int:
    """Steps that an agent had taken when it was saved."""
    return int(checkpoint.name.partition("-")[2])


def load_checkpoint(path: Path, reward_model: Model, **options: Any) -> tuple[BaseAlgorithm, Progress]:
    """Load an agent where it was, with its replay buffer and its student.

    Args:
        path: what :func:`save_checkpoint` wrote.
        reward_model: the model it trains on.
        options: of :func:`load_agent`.

    Returns:
        The agent, and how far it was.

    Raises:
        RunError: a file is damaged, or the agent trained on another reward model.
    """
    with _whole(path):
        check_sums(path)  # before anything is unpickled
    agent = load_agent(path / _AGENT, reward_model, **options)
    if (student := _student(agent)) is not None:
        student.load_state(path / _STUDENT)
    if isinstance(agent, OffPolicyAlgorithm):
        agent.load_replay_buffer(path / _REPLAY)
        if is_deferred(agent):
            attach(agent)
    return agent, _progress(path / _STATE)


def remove_checkpoints(folder: Path) -> None:
    """Remove what a finished run no longer needs."""
    for path in _checkpoints(folder):
        shutil.rmtree(path, ignore_errors=True)
    _remove_unfinished(folder)


def _progress(file: Path) -> Progress:
    """How far a run was.

    Raises:
        RunError: the file is damaged.
    """
    with _whole(file):
        return Progress.from_json(read_json(file), _STATE)


@contextmanager
def _whole(path: Path) -> Generator[None]:
    """Say what is to be done about a damaged checkpoint.

    Raises:
        RunError: it is one.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        fix = "remove this checkpoint: an earlier one is taken, or the run begins anew"
        raise RunError("a checkpoint is whole", got=f"{path}: {error}", fix=fix) from error


def _remove_unfinished(folder: Path) -> None:
    """Remove what a killed attempt was writing or replacing; a run has one process at a time."""
    for path in (*folder.glob(".checkpoint-*.partial"), *folder.glob(f".checkpoint-*{ASIDE}")):
        shutil.rmtree(path, ignore_errors=True)


def _student(agent: BaseAlgorithm) -> Student | None:
    """What stands in for the model that an agent trains on."""
    learned = learned_env(agent)
    return None if learned is None else learned.student


def _checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first; the last file written in one is its state."""
    paths = [p for p in folder.glob("checkpoint-*") if p.name.partition("-")[2].isdecimal()]
    return sorted(paths, key=steps_of)
