"""The work that a suite is: reward models to fit, agents to train on them, each in a folder of its own.

    models/<environment>/<reward>/seed<k>/                 steps, labels and the fitted model, shared by algorithms
    runs/<environment>/<algorithm>/<reward>/seed<k>/       a run folder

Each is a job (``cell.json``): a folder whose cell has changed is refused, never silently reused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rmgym.bench.cells import KINDS, Cell, ModelCell, TrainCell, kind_of
from rmgym.bench.suite import Environment, Reward, Suite, algorithm_name
from rmgym.errors import RunError
from rmgym.jobs import Job, read_record

KIND = "cell"
"""Of the job that a cell is."""
LOG = "log.txt"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One cell, done by one process.

    Attributes:
        folder: its place.
        title: how people call it.
        cell: everything that decides its outcome.
        after: the folder of the task that it needs, if any.
        cost: rough share of the whole work, in training steps.
    """

    folder: Path
    title: str
    cell: Cell
    after: Path | None
    cost: float

    @property
    def kind(self) -> str:
        """``model`` (collect, label, fit) or ``train``."""
        return kind_of(self.cell)

    @property
    def job(self) -> Job:
        """The cell as a piece of work."""
        return cell_job(self.folder, self.cell)

    @property
    def is_done(self) -> bool:
        """Whether its results are there."""
        return self.job.status == "done"

    def prepare(self) -> None:
        """Write down what the folder is for.

        Raises:
            JobError: it is for something else.
        """
        with self.job.claim(resume=True):
            pass


def read_cell(folder: Path) -> Cell:
    """What :meth:`Task.prepare` wrote.

    Raises:
        RunError: nobody has, or another version of rmgym did.
    """
    record = read_record(folder, KIND)
    if record is None:
        raise RunError("a cell's folder says what it is for", got=str(folder), fix="run the suite again")
    ((kind, settings),) = record.settings.items()
    assert isinstance(settings, Mapping)  # cell_job has written it
    return KINDS[kind].from_json(settings, str(folder))


def cell_job(folder: Path, cell: Cell) -> Job:
    """A cell as a piece of work in its folder."""
    return Job(folder, {kind_of(cell): cell.to_json()}, kind=KIND)


def plan(suite: Suite, out: Path) -> list[Task]:
    """All tasks of a suite: models first, because training waits for them."""
    models, runs = list[Task](), list[Task]()
    for environment in suite.environments:
        for reward in suite.reward:
            for seed in suite.seeds:
                model = _model_task(suite, environment, reward, seed, out) if reward.is_fitted else None
                models += [model] if model is not None else []
                runs += [_run_task(suite, environment, a, reward, seed, out, model) for a in suite.algorithms]
    return [*models, *sorted(runs, key=lambda task: task.after is None)]


def _model_task(suite: Suite, environment: Environment, reward: Reward, seed: int, out: Path) -> Task:
    fitted = reward
    if reward.model == "shuffled":  # the same labels, model and options: only their order differs
        of = next(r for r in suite.reward if r.name == reward.of)
        fitted = replace(of, name=reward.name, fit={**of.fit, "shuffle_labels": True})
    cut = fitted.question_plan(environment.target, seed).collect_reset_every or 0
    return Task(
        folder=out / "models" / environment.folder / reward.name / f"seed{seed}",
        title=_title(suite, environment, f"fit {reward.name}", seed),
        cell=ModelCell(
            env=environment.spec,
            target=environment.target,
            reward=replace(fitted, reset_every=cut),
            seed=seed,
        ),
        after=None,
        cost=30_000 if "max_steps" not in fitted.fit else 20.0 * fitted.fit["max_steps"],
    )


def _run_task(
    suite: Suite, environment: Environment, algo: str, reward: Reward, seed: int, out: Path, model: Task | None
) -> Task:
    steps, name = environment.steps or suite.steps, algorithm_name(algo)
    return Task(
        folder=out / "runs" / environment.folder / name / reward.name / f"seed{seed}",
        title=_title(suite, environment, f"{name} on {reward.name}", seed),
        cell=TrainCell(
            env=environment.spec,
            algo=algo,
            reward_name=reward.name,
            # relative to the suite's folder, which may be moved
            model=reward.model if model is None else str(model.folder.relative_to(out) / "model"),
            is_fitted=model is not None,
            seed=seed,
            steps=steps,
            eval_every=suite.eval_every or max(1, steps // 10),
            episodes=suite.episodes,
            measure=environment.measure,
        ),
        after=model.folder if model is not None else None,
        cost=steps,
    )


def _title(suite: Suite, environment: Environment, what: str, seed: int) -> str:
    """What tells a task from the suite's others."""
    where = f" in {environment.folder}" if len(suite.environments) > 1 else ""
    return what + where + (f", seed {seed}" if len(suite.seeds) > 1 else "")
