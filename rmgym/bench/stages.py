"""What tasks do: collect, label and fit a reward model; train an agent on it. Each goes on from what is there."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rmgym.bench.cells import ModelCell, TrainCell
from rmgym.bench.grid import cell_job, read_cell
from rmgym.runs.record import AboutReward
from rmgym.storage.atomic import write_json, write_text
from rmgym.storage.foreign import read_json

if TYPE_CHECKING:
    from rmgym.feedback.store import LabelStore
    from rmgym.text.batch import TextBatch
    from rmgym.transitions import Transitions

STAGE = "stage.txt"
"""What a cell is doing now, for whoever watches."""


def run_task(out: Path, folder: Path) -> None:
    """Do what ``cell.json`` in ``folder`` says, going on from whatever is there.

    Args:
        out: the suite's folder.
        folder: the task's.

    Raises:
        RmgymError: the task cannot be done.
    """
    cell = read_cell(folder)
    job = cell_job(folder, cell)
    with job.claim(resume=True) as status:
        if status != "done":
            about = make_model(cell, folder) if isinstance(cell, ModelCell) else train_agent(cell, out, folder)
            job.finish(about.to_json())


def make_model(cell: ModelCell, folder: Path) -> AboutReward:
    """Collect steps, have them labelled by the scripted teacher, fit: each stage is skipped if its result is there."""
    from rmgym.feedback.store import LabelStore
    from rmgym.models import create_reward_model
    from rmgym.training import FitOptions, fit

    reward = cell.reward
    seconds = _Stopwatch(folder / "seconds.json")
    with seconds.stage("collect"):
        transitions = _steps(cell, folder / "steps.parquet")
    with seconds.stage("label"):
        store = LabelStore(folder / "labels.sqlite")
        _label(store, cell, transitions)
    with seconds.stage("fit"):
        labels = store.labels()
        model = create_reward_model(reward.model, seed=cell.seed, **reward.options)
        options = FitOptions.of({"seed": cell.seed, **reward.fit}, f"'reward.fit' of {reward.name!r}")
        unlabelled = _texts(cell, transitions) if options.takes_unlabelled else None
        fitted = fit(
            model,  # type: ignore[arg-type]
            labels,
            options,
            unlabelled=unlabelled,
            out=folder / "model",
            resume=True,
            progress=False,
        )
    about = AboutReward(
        recipe=cell.recipe,
        unshuffled=cell.unshuffled,
        seconds=seconds.total,
        stages=seconds.stages,
        metrics=fitted.metrics,
    )
    about.write(folder)
    return about


def train_agent(cell: TrainCell, out: Path, folder: Path) -> AboutReward:
    """Train and evaluate one agent."""
    from rmgym.evaluation.measure import named_measure
    from rmgym.runs.train import train

    model = out / cell.model if cell.is_fitted else cell.model
    about = AboutReward.read((out / cell.model).parent) if cell.is_fitted else AboutReward()
    about.write(folder)
    _stage(folder, "train")
    train(
        cell.algo,
        cell.env,
        model,
        reward_name=cell.reward_name,
        total_steps=cell.steps,
        seed=cell.seed,
        out=folder,
        eval_every=cell.eval_every,
        episodes=cell.episodes,
        measure=named_measure(cell.measure),
        resume=True,
        progress=False,
    )
    return about


def _steps(cell: ModelCell, file: Path) -> Transitions:
    """Random steps to ask about."""
    from rmgym.environments.collect import collect
    from rmgym.transitions import Transitions

    if not file.exists():
        plan = cell.reward.question_plan(cell.target, cell.seed)
        collect(
            cell.env, plan.collect_steps, seed=plan.seed, reset_every=plan.collect_reset_every, progress=False
        ).save(file)
    return Transitions.load(file)


def _label(store: LabelStore, cell: ModelCell, transitions: Transitions) -> None:
    """Ask the scripted teacher everything at once; asking again changes nothing."""
    from rmgym.environments.tabular import tabular_value
    from rmgym.feedback.ask import ask
    from rmgym.feedback.teachers.scripted import ScriptedTeacher

    reward, target = cell.reward, cell.target
    value = tabular_value(cell.env) if target == "progress" else None
    teacher = ScriptedTeacher(target=target, levels=reward.levels, edges=reward.edges, value=value)
    ask(store, teacher, transitions, _texts(cell, transitions), reward.question_plan(target, cell.seed))


def _texts(cell: ModelCell, transitions: Transitions) -> TextBatch:
    """What all steps say."""
    from rmgym.environments.build import build_env
    from rmgym.text import textualizer

    with closing(build_env(cell.env)) as env:
        return textualizer(env, card=cell.env.card, language=cell.env.language).batch(transitions)


class _Stopwatch:
    """Seconds of each stage, kept across interruptions; a stage that only finds its result adds next to nothing."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.stages = dict[str, float]()
        with suppress(OSError, ValueError, TypeError, AttributeError):  # of a damaged file nothing is kept
            self.stages = {str(stage): float(seconds) for stage, seconds in read_json(file).items()}

    @property
    def total(self) -> float:
        return sum(self.stages.values())

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        _stage(self.file.parent, name)
        begun = time.monotonic()
        yield
        self.stages[name] = self.stages.get(name, 0.0) + time.monotonic() - begun
        write_json(self.file, self.stages)


def _stage(folder: Path, name: str) -> None:
    write_text(folder / STAGE, name)
