"""Distillation: a fast model learns what a slow reward model says (Hinton et al. 2015, arXiv:1503.02531)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.markup import escape
from rich.progress import track

from rmgym.errors import FitError
from rmgym.feedback.labels import Labels, Ratings
from rmgym.jobs import Job, Json
from rmgym.models.base import RewardModel, check_fitted
from rmgym.models.neural import NeuralRewardModel
from rmgym.progress import Console
from rmgym.scoring.cached import CachedReward
from rmgym.scoring.potential import Potential
from rmgym.text.batch import TextBatch
from rmgym.text.distinct import distinct
from rmgym.training import FitOptions, FitResult, fit
from rmgym.training.fit_folder import data_digest
from rmgym.training.fitting import fittable, read_fit

_AT_ONCE = 256  # texts between two moves of the bar; what is scored by then is kept
SCORES = "teacher-scores.sqlite"


def distil(
    teacher: RewardModel,
    texts: TextBatch,
    student: str | NeuralRewardModel = "minilm",
    options: FitOptions | None = None,
    *,
    groups: npt.NDArray[np.int64] | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> FitResult:
    """Fit a fast model on what a slow one says about visited steps.

    Killed at any moment, the same call goes on: what the teacher has said is kept in ``out``, as is the fit. Once it is
    done, the same call gives the student again and asks the teacher nothing.

    Args:
        teacher: the reward model to imitate.
        texts: of visited steps, the more like those of later agents the better.
        student: name of a model, or an unfitted one.
        options: of the fit; by default 3,000 steps of 64.
        groups: episode of each text, ``int64 [B]``; held-out texts come from other episodes. By default, each text is
            an episode of its own.
        out: folder for the student; removed from it in the end is the file of the teacher's scores.
        progress: show progress bars.

    Returns:
        The student; ``metrics["validation"]`` says how well it imitates on held-out episodes (``r2``, ``rmse``).

    Raises:
        FitError: the teacher says the same of all texts, or is read as a potential.
        JobError: ``out`` holds a student of another teacher, other texts or options.
        ModelError: the teacher was not fitted, or the student cannot read the texts.
        StorageError: ``out`` cannot be written, or another process works there.
    """
    check_fitted(teacher)
    if Potential.of(teacher) is not None:
        raise FitError(
            "a student imitates what a model says of steps",
            got=f"{teacher.name!r}, which was fitted on what states are worth, and is read as a potential",
            fix="give the model itself to an agent, with student=True where it is slow",
        )
    first, _ = distinct(texts)
    groups = np.arange(len(texts)) if groups is None else groups
    texts, groups = texts[first], groups[first]
    how = options or FitOptions(max_steps=3_000, batch_size=64)
    unfitted = fittable(student, how.seed)
    if out is None:
        scores = _ask(teacher, texts, progress=progress)
        return fit(unfitted, imitation(texts, scores, groups, _about(teacher)), how, progress=progress)
    folder = Path(out)
    settings: dict[str, Json] = {
        "teacher": f"{teacher.name} {teacher.digest}",
        "student": f"{unfitted.name} {unfitted.digest}",
        "texts": data_digest(texts, [groups]),
        "options": asdict(how),
    }
    job = Job(folder, settings, kind="distil")
    with job.claim(resume=True) as status:
        if status == "done":
            result = read_fit(unfitted, folder)
        else:
            scores = _ask(CachedReward(teacher, folder / SCORES), texts, progress=progress)
            labels = imitation(texts, scores, groups, _about(teacher))
            result = fit(unfitted, labels, how, out=folder, resume=True, progress=progress)
            job.finish({"digest": result.model.digest, "metrics": result.metrics})
        for name in (SCORES, f"{SCORES}-wal", f"{SCORES}-shm"):
            (folder / name).unlink(missing_ok=True)
    return result


def _ask(teacher: RewardModel, texts: TextBatch, *, progress: bool) -> npt.NDArray[np.float32]:
    """What a model says of texts, under a progress bar."""
    console = Console(stderr=True)
    name = escape(teacher.name)  # of which rich would take brackets for markup
    starts = track(range(0, len(texts), _AT_ONCE), f"{name} scores", console=console, disable=not progress)
    scores = [teacher.predict(texts[start : start + _AT_ONCE]).mean for start in starts]
    return np.concatenate([np.zeros(0, np.float32), *scores])


def _about(teacher: RewardModel) -> dict[str, object]:
    """What a teacher is, and what it knows itself: a student knows no more."""
    facts = teacher.describe()
    kept: dict[str, object] = {key: facts[key] for key in ("fitted_on", "served") if key in facts}
    return {"model": teacher.name, "digest": teacher.digest, **kept}


def imitation(
    texts: TextBatch, values: npt.NDArray[np.float32], groups: npt.NDArray[np.int64], teacher: Mapping[str, object]
) -> Labels:
    """Labels that say what a teacher said.

    Args:
        texts: distinct texts.
        values: its scores, ``float32 [B]``.
        groups: ``int64 [B]``; training and validation never share one.
        teacher: its ``model`` and ``digest``, and more of its ``describe()``.

    Raises:
        FitError: it says the same of all texts.
    """
    if not len(values) or np.ptp(values) == 0:
        raise FitError(
            "a student learns from different scores",
            got=f"{len(values)} scores, all {values[0]:g}" if len(values) else "no texts",
            fix="score more varied steps, or look at the model: 'rmgym models FOLDER'",
        )
    return Labels(ratings=Ratings(texts=texts, values=values, groups=groups), source={"distilled_from": dict(teacher)})
