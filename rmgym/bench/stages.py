"""What tasks do: collect, label and fit a reward model; train an agent on it. Each goes on from what is there."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmgym.bench.store import ABOUT_REWARD
from rmgym.bench.suite import CONTROLS
from rmgym.bench.tasks import TASK
from rmgym.bench.writing import write_atomically

if TYPE_CHECKING:
    from rmgym.feedback.store import LabelStore
    from rmgym.transitions import Transitions

STAGE = "stage.txt"
"""What a cell is doing now, for whoever watches."""


def run_task(out: Path, folder: Path) -> None:
    """Do what ``task.json`` in ``folder`` says, going on from whatever is there.

    Args:
        out: the suite's folder.
        folder: the task's.

    Raises:
        RmgymError: the task cannot be done.
    """
    settings = json.loads((folder / TASK).read_text(encoding="utf-8"))
    if settings["kind"] == "model":
        make_model(settings, folder)
    else:
        train_agent(settings, out, folder)


def make_model(settings: Mapping[str, Any], folder: Path) -> None:
    """Collect steps, have them labelled by the scripted teacher, fit: each stage is skipped if its result is there."""
    from rmgym.feedback.store import LabelStore
    from rmgym.models import create_reward_model
    from rmgym.training import FitOptions, fit

    reward, seed = settings["reward"], settings["seed"]
    seconds = _Stopwatch(folder / "seconds.json")
    with seconds.stage("collect"):
        transitions = _steps(settings, folder / "steps.parquet")
    with seconds.stage("label"):
        store = LabelStore(folder / "labels.sqlite")
        _label(store, settings, transitions)
    with seconds.stage("fit"):
        labels = store.labels()
        model: Any = create_reward_model(reward["model"], seed=seed, **reward["options"])
        options = FitOptions(**{"seed": seed, **reward["fit"]})
        fitted = fit(model, labels, options, out=folder / "model", resume=True, progress=False)
    about = {
        "model": reward["kind"],
        "labels": len(labels),
        "seconds": seconds.total,
        "stages": seconds.said,
        "metrics": fitted.metrics,
    }
    write_atomically(folder / ABOUT_REWARD, json.dumps(about, indent=2))


def train_agent(settings: Mapping[str, Any], out: Path, folder: Path) -> None:
    """Train and evaluate one agent."""
    from rmgym.harness.train import train

    model = out / settings["model"] if settings["is_fitted"] else settings["model"]
    write_atomically(folder / ABOUT_REWARD, json.dumps(_about(model, settings["is_fitted"]), indent=2))
    _stage(folder, "train")
    train(
        settings["algo"],
        settings["env"],
        model,
        reward_name=settings["reward"],
        total_steps=settings["steps"],
        seed=settings["seed"],
        out=folder,
        eval_every=settings["eval_every"],
        episodes=settings["episodes"],
        env_kwargs=settings["env_kwargs"],
        resume=True,
        progress=False,
    )


def _about(model: Path | str, is_fitted: bool) -> dict[str, Any]:
    """What is known about a run's reward: from the suite that fitted it, or from the model's own record."""
    from rmgym.models.files import read_manifest

    if is_fitted:
        return json.loads((Path(model).parent / ABOUT_REWARD).read_text(encoding="utf-8"))  # type: ignore[no-any-return]
    if model in CONTROLS:
        return {"model": model, "labels": 0}
    said = read_manifest(model)
    fitted = said.get("fitted_on") or {}
    return {"model": said["model"], "labels": fitted.get("ratings", 0) + fitted.get("preferences", 0)}


def _steps(settings: Mapping[str, Any], file: Path) -> Transitions:
    """Random steps; where outcomes are rated, only episodes whose end is known."""
    from rmgym.feedback.teachers import in_ended_episode
    from rmgym.harness.collect import collect
    from rmgym.transitions import Transitions

    reward = settings["reward"]
    if not file.exists():
        collect(
            settings["env"],
            reward["collect_steps"],
            seed=settings["seed"],
            reset_every=reward["reset_every"] or None,
            env_kwargs=settings["env_kwargs"],
            progress=False,
        ).save(file)
    transitions = Transitions.load(file)
    if settings["target"] == "outcome" and (ended := in_ended_episode(transitions)).any():
        return transitions[ended]
    return transitions


def _label(store: LabelStore, settings: Mapping[str, Any], transitions: Transitions) -> None:
    """Ask the scripted teacher everything at once; asking again changes nothing."""
    import numpy as np

    from rmgym.feedback.queries import select_segments, select_steps
    from rmgym.feedback.scripted import ask_script
    from rmgym.feedback.teachers import ScriptedTeacher
    from rmgym.harness.collect import make_env
    from rmgym.harness.experts import tabular_value
    from rmgym.text import textualizer

    reward, target = settings["reward"], settings["target"]
    how: dict[str, Any] = {"method": reward["select"], "seed": settings["seed"]}
    value = tabular_value(settings["env"], settings["env_kwargs"]) if target == "progress" else None
    with closing(make_env(settings["env"], settings["env_kwargs"])) as env:
        texts = textualizer(env).batch(transitions)
    teacher = ScriptedTeacher(target=target, levels=reward["levels"], edges=reward["edges"], value=value)
    rows, pairs, length = np.zeros(0, np.int64), np.zeros((0, 2), np.int64), reward["segment"]
    if reward["ratings"]:
        rows = select_steps(transitions, texts, reward["ratings"], **how)
    if reward["preferences"]:
        pairs = select_segments(transitions, reward["preferences"], length, texts=texts, **how)
    ask_script(store, teacher, transitions, texts, rows=rows, pairs=pairs, length=length)


class _Stopwatch:
    """Seconds of each stage, kept across interruptions; a stage that only finds its result adds next to nothing."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.said: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    @property
    def total(self) -> float:
        return sum(self.said.values())

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        _stage(self.file.parent, name)
        begun = time.monotonic()
        yield
        self.said[name] = self.said.get(name, 0.0) + time.monotonic() - begun
        write_atomically(self.file, json.dumps(self.said))


def _stage(folder: Path, name: str) -> None:
    write_atomically(folder / STAGE, name)
