"""A run's folder: ``run.json`` and what stands beside it, written and read here alone.

``run.json`` is the record of a job (:class:`rmgym.jobs.Job`): its settings are a :class:`rmgym.specs.RunSpec`, its
note what a random policy earns, its result an :class:`Outcome`. ``reward.json`` says how the run's reward was made,
where a suite made it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rmgym.errors import RmgymError, RunError
from rmgym.evaluation.log import Column, ComparisonLog, Row
from rmgym.evaluation.random_policy import RandomReturns
from rmgym.jobs import read_record
from rmgym.specs import RunSpec
from rmgym.specs.base import Json, Spec
from rmgym.specs.reward import Kind
from rmgym.storage.atomic import write_json
from rmgym.storage.foreign import read_json

KIND = "run"
"""Of the job that a run is."""
RUN, REWARD = f"{KIND}.json", "reward.json"
RANDOM = "random_policy"
"""The note of what a random policy earns."""


@dataclass(frozen=True, kw_only=True)
class Outcome(Spec):
    """What a finished run came to; what is not a number is None.

    Attributes:
        wall_seconds: training time, that of interrupted attempts included.
        steps_per_second: training speed, evaluations included.
        final: the last evaluation, by column of ``comparison.csv``.
        alarms: steps at which the reward seemed to be gamed.
        survival_bonus: what is to be said of a reward that pays for an episode's length.
        shaping: what is to be said of a reward that, at the end, pays for getting near more than for getting there.
        student: how a student stood in for the model (:attr:`rmgym.Student.statistics`), None without one.
        unseen_absorbing: what is to be said of a model that was never shown the absorbing state of the run's horizon.
        held_out: how the model that the agent trained on last did on labels that it was not fitted on: ``labels``,
            ``r2``, ``accuracy`` and the like (:func:`rmgym.training.objective.judge`). None where none were held out.
        best: what the agent that was kept (``save_best``) earns on five times as many episodes as selected it, and
            others, by column of ``comparison.csv``; ``steps`` says when it was kept. None where none was.
    """

    wall_seconds: float
    steps_per_second: float
    final: Mapping[str, float | None]
    alarms: tuple[int, ...] = ()
    survival_bonus: str | None = None
    shaping: str | None = None
    student: Mapping[str, float | None] | None = None
    unseen_absorbing: str | None = None
    held_out: Mapping[str, float | int | None] | None = None
    best: Mapping[str, float | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Round(Spec):
    """What was asked in a round.

    Attributes:
        number: 0 before training.
        steps: training steps that the agent had taken.
        asked: questions by reason.
        labels: that there were after it, of the answers that cleaning left.
        pending: questions that the teacher has left open.
        agreement: how far the model's heads, each fitted on labels of its own, and the model before, if it
            was another one, agree on the order of all policies so far; None where there is nobody to agree.
        seconds: that collecting, choosing, asking, fitting and comparing policies took.
        kappa: standard deviations that were added to the reward's mean from then on.
    """

    number: int
    steps: int
    asked: Mapping[str, int]
    labels: int
    pending: int
    agreement: float | None
    seconds: float = field(compare=False)
    kappa: float = 0.0


@dataclass(frozen=True, kw_only=True)
class AboutReward(Spec):
    """How a suite, or a loop, made a run's reward.

    Attributes:
        recipe: identity of all that decides the reward but its seed, the same for every seed of a suite; None where the
            reward was given, not made.
        unshuffled: the same of a model and of its control on permuted labels; None where nobody knows.
        seconds: to collect, label and fit before training; None where it is not known.
        stages: the same by stage.
        metrics: of the fit, see :func:`rmgym.fit`.
        rounds: what was asked while the agent trained; the first is before.
    """

    recipe: str | None = None
    unshuffled: str | None = None
    seconds: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict[str, float])
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])
    rounds: tuple[Round, ...] = ()

    def write(self, folder: Path) -> None:
        """Put it beside a run.

        Raises:
            StorageError: it cannot be written.
        """
        write_json(folder / REWARD, self.to_json())

    @classmethod
    def read(cls, folder: Path) -> AboutReward:
        """What stands beside a run; nothing known where there is no file.

        Raises:
            RunError: the file is damaged.
        """
        file = folder / REWARD
        return cls.from_json(read_object(file, fix="run the suite again") if file.exists() else {}, str(file))


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as its folder tells it, finished or still running.

    Attributes:
        folder: where it is.
        spec: what it is.
        status: ``done`` or ``running`` (also when it was killed).
        outcome: what it came to; None where it is not done.
        random: what a random policy earns on the same episodes; None until it was played.
        curve: one entry per evaluation, by column of ``comparison.csv``, each ``float64 [E]``.
        steps: a sample of the last evaluation's steps, by column of ``steps.csv``.
        about: how its reward was made.
    """

    folder: Path
    spec: RunSpec
    status: str
    outcome: Outcome | None
    random: RandomReturns | None
    curve: Mapping[str, Column]
    steps: Mapping[str, Column]
    about: AboutReward

    @property
    def task(self) -> str:
        """Environment and its arguments, as ``FrozenLake-v1 (map_name=8x8)``."""
        return self.spec.agent.env.task

    @property
    def algo(self) -> str:
        """Name of the algorithm."""
        return self.spec.agent.algo

    @property
    def reward(self) -> str:
        """What reports call the reward."""
        return self.spec.reward_name

    @property
    def kind(self) -> Kind:
        """What the reward knows."""
        return self.spec.agent.reward.kind

    @property
    def labels(self) -> int | None:
        """How many labels the reward was fitted on, 0 for controls, None where it is not known."""
        return self.spec.agent.reward.labels

    @property
    def recipe(self) -> str:
        """Identity of the reward but for what was drawn: runs of one recipe differ in seed only."""
        reward = self.spec.agent.reward
        drawn = reward.name == "random" and reward.kind == "control"  # a function of its own for every seed
        return self.about.recipe or ("random" if drawn else reward.digest)

    @property
    def evaluations(self) -> list[Row]:
        """One row per evaluation, by column of ``comparison.csv``."""
        columns = {name: column.tolist() for name, column in self.curve.items()}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    @property
    def seed(self) -> int:
        """Of everything that was drawn in training."""
        return self.spec.agent.seed or 0

    @property
    def written(self) -> float:
        """When its record was written last, in seconds since the epoch."""
        return (self.folder / RUN).stat().st_mtime

    @property
    def wall_seconds(self) -> float:
        """Training time so far, NaN where it is not known."""
        return self.outcome.wall_seconds if self.outcome is not None else self.last("wall_seconds")

    @property
    def steps_per_second(self) -> float:
        """Training speed so far, NaN where it is not known."""
        if self.outcome is not None:
            return self.outcome.steps_per_second
        seconds = self.last("wall_seconds")
        return self.last("steps") / seconds if seconds > 0 else math.nan

    @property
    def survival_bonus(self) -> str | None:
        """See :class:`Outcome`."""
        return None if self.outcome is None else self.outcome.survival_bonus

    @property
    def student(self) -> Mapping[str, float | None] | None:
        """See :class:`Outcome`."""
        return None if self.outcome is None else self.outcome.student

    def comparable(self, column: str) -> Column:
        """A curve column; learned returns under earlier models than the last are NaN: they are other rewards'."""
        values, rounds = self.curve[column], self.curve["round"]
        return np.where(rounds == rounds[-1:], values, np.nan) if column.startswith("learned") else values

    def last(self, column: str) -> float:
        """Value of a curve column at the last evaluation, NaN before the first, or without such a column."""
        values = self.curve.get(column)
        return float(values[-1]) if values is not None and len(values) else math.nan


def read_object(file: Path, *, fix: str) -> Json:
    """A JSON object in a file of a run.

    Raises:
        RunError: the file holds something else, or cannot be read.
    """
    try:
        return read_json(file)
    except (OSError, ValueError) as error:
        raise RunError(f"{file.name} is a JSON object", got=f"{file}: {error}", fix=fix) from error


def random_of(notes: Mapping[str, object]) -> RandomReturns | None:
    """What a run's notes say of a random policy.

    Raises:
        RunError: they are damaged.
    """
    played = notes.get(RANDOM)
    return RandomReturns.from_json(played, f"{RUN}: {RANDOM}") if isinstance(played, Mapping) else None


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Read one run folder.

    Raises:
        RunError: the folder holds no run, or a damaged one.
    """
    path = Path(folder)
    try:
        record, log = read_record(path, KIND), ComparisonLog(path)
        if record is None:
            raise FileNotFoundError(RUN)
        return Run(
            folder=path,
            spec=RunSpec.from_json(record.settings, RUN),
            status=record.status,
            outcome=Outcome.from_json(record.result, RUN) if isinstance(record.result, Mapping) else None,
            random=random_of(record.notes),
            curve=log.curve(),
            steps=log.steps(),
            about=AboutReward.read(path),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            "a run is a folder with run.json, as 'rmgym train' writes it",
            got=f"{path}: {error}" if isinstance(error, RmgymError) else f"{path}: {error!r}",
            fix="name a run, or a folder that contains runs",
        ) from error


def read_runs(paths: Iterable[str | os.PathLike[str]]) -> list[Run]:
    """Read every run in or below the given folders, sorted by task, algorithm, reward and seed.

    Raises:
        RunError: a path holds no run at all.
    """
    runs = dict[Path, Run]()
    for path in map(Path, paths):
        folders = [file.parent for file in sorted(path.rglob(RUN))] if path.is_dir() else []
        if not folders:
            fix = f"name folders that contain {RUN} ('rmgym train')"
            raise RunError("a report is made of runs", got=str(path), fix=fix)
        runs |= {folder.resolve(): read_run(folder) for folder in folders}
    return sorted(runs.values(), key=lambda run: (run.task, run.algo, run.reward, run.seed))
