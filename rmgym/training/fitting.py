"""Fit a reward model on labels."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from rmgym.errors import FitError, JobError
from rmgym.feedback.labels import Labels
from rmgym.feedback.sources import LabelSource, labels_of
from rmgym.jobs import Job, read_record
from rmgym.models.base import RewardModel
from rmgym.models.files import MANIFEST, read_files
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.registry import CONTROLS, create_reward_model
from rmgym.randomness import preserved
from rmgym.text.batch import TextBatch
from rmgym.text.language import tells_of_absorbing
from rmgym.training.contradictions import contradictions
from rmgym.training.dataset import LabelData, Rows, rows_of, shuffled, split_groups
from rmgym.training.fit_bar import fit_bar
from rmgym.training.fit_folder import KIND, FitCheckpoints, fit_settings, labels_digest
from rmgym.training.fit_options import FitOptions
from rmgym.training.fit_result import FitResult as FitResult
from rmgym.training.free_steps import check_unlabelled, prepare
from rmgym.training.going_on import HELD_OUT, as_before, begin_with, units_of, was_fitted
from rmgym.training.groups import alike_of, groups_of
from rmgym.training.implied import with_implied
from rmgym.training.left_out import calibration, draw_votes
from rmgym.training.objective import Metrics, Objective, judge, rewards_of
from rmgym.training.pseudo_labels import check_pseudo
from rmgym.training.rank_losses import RANK_LOSSES
from rmgym.training.teachable import check
from rmgym.training.trainer import RewardTrainer, best_look, set_apart
from rmgym.training.units import match_ratings, robust_units, set_units

FEWEST_HELD_OUT = 5
"""Fewer labels than this are not held out: they would cost more than they tell."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """Labels split and scaled; so many ratings come first that nobody gave."""

    train: Rows
    held_out: Rows
    note: str
    offset: float
    scale: float
    implied: int = 0


def fit(
    model: str | NeuralRewardModel,
    labels: LabelSource,
    options: FitOptions | None = None,
    *,
    unlabelled: TextBatch | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> FitResult:
    """Fit a reward model on ratings (regression), preferences (Bradley-Terry), or both in one run.

    Ratings are standardised (:func:`rmgym.training.units.robust_units`), and the model predicts in their units. Given
    preferences alone, a reward is known only up to an affine map: the model is then scaled so that its rewards on the
    training steps have mean 0 and variance 1. Given both, the ratings' units win, and a preference compares sums of
    standardised rewards. Where ratings are fitted by their order alone (``loss``), the model is put into their units
    afterwards, by least squares.

    The caller's random state (Python, NumPy, torch) is left as it was. On one machine and CPU, the same model, labels
    and options give the same weights to the bit, also when the run was killed and resumed in between.

    Args:
        model: an unfitted model, fitted in place, or a built-in name (``seq2seq``, ``minilm``, ``ensemble``). A fitted
            one stays as it is: a copy goes on, on its labels and further ones, see :mod:`rmgym.training.going_on`.
        labels: ratings, preferences or both; a database or a table of them (:func:`rmgym.feedback.sources.labels_of`).
        options: how; by default :class:`FitOptions`.
        unlabelled: texts of steps that nobody was asked about, for those options that learn from such.
        out: folder for the model, its ``fit.json`` and, until it is done, its checkpoints.
        resume: go on with what an earlier call left in ``out``; a finished model is returned at once.
        overwrite: begin anew over what is in ``out``; a model that is there stays until the new one is whole.
        progress: show a progress bar.

    Raises:
        FeedbackError: there is nothing to learn from these labels.
        FitError: the model cannot be fitted or go on, or has diverged; or ``out`` has lost what a finished fit gave; or
            an option is about unlabelled texts, and there are none of the labels' card.
        JobError: ``out`` holds a fit or a model and neither ``resume`` nor ``overwrite`` is given, or it holds a fit of
            something else.
        ModelError: the model cannot read the texts.
        StorageError: ``out`` cannot be written, or another process works there.
    """
    options, labels = options or FitOptions(), labels_of(labels)
    check(labels)
    check_pseudo(labels, options)
    check_unlabelled(labels.texts, unlabelled, options)
    if resume and out is None:
        raise FitError("a fit is resumed from its folder", got="resume without out", fix="pass out=")
    if resume and overwrite:
        raise FitError("a fit goes on or begins anew", got="resume and overwrite", fix="leave one of them out")
    with preserved():
        unfitted = begin_with(fittable(model, options.seed), labels)
        if out is None:
            metrics, _ = _fit(unfitted, labels, options, unlabelled, None, progress=progress)
            return FitResult(model=unfitted, metrics=metrics, path=None)
        folder, checkpoints = Path(out), FitCheckpoints(Path(out))
        _refuse_to_overwrite(folder, overwrite)
        job = Job(folder, fit_settings(unfitted, labels, options, unlabelled), kind=KIND)
        with job.claim(resume=resume, overwrite=overwrite, clear=checkpoints.remove) as status:
            if status == "done":
                result = read_fit(unfitted, folder)
            else:
                metrics, history = _fit(unfitted, labels, options, unlabelled, checkpoints, progress=progress)
                # In this order, so that a kill loses nothing: without its record, a fit goes on from its checkpoint.
                unfitted.save(folder)
                job.finish({"digest": unfitted.digest, "metrics": metrics, "history": history})
                result = FitResult(model=unfitted, metrics=metrics, path=folder)
            checkpoints.remove()
        return result


def read_fit(model: NeuralRewardModel, folder: Path) -> FitResult:
    """The result of a finished fit, from its folder.

    Args:
        model: one of its kind, fitted or not, on the device where it is to be.
        folder: where it is.

    Raises:
        FitError: there is no finished fit, or the folder holds another model than the one that it gave.
    """
    record, path = read_record(folder, KIND), folder / MANIFEST
    result = record.result if record is not None and isinstance(record.result, Mapping) else None
    files = read_files(folder) if path.exists() else None
    if result is None or files is None or files[0]["digest"] != result["digest"]:
        raise FitError(
            "the folder of a finished fit holds the model that it gave",
            got=f"{folder}: {'another model' if files is not None else 'no model'}",
            fix="remove the folder, or fit into another one",
        )
    metrics = cast("Metrics", result["metrics"])
    return FitResult(model=type(model).restore(*files).to(model.device), metrics=metrics, path=folder)


def _refuse_to_overwrite(folder: Path, overwrite: bool) -> None:
    """Refuse a folder with a model that no fit has left there; where a fit has, its job decides.

    Raises:
        JobError: there is one, and it is not to be overwritten.
    """
    if not overwrite and (folder / MANIFEST).exists() and read_record(folder, KIND) is None:
        raise JobError(
            "a fit has a folder of its own",
            got=f"{folder}: a reward model",
            fix="pass overwrite=True to begin anew, or another folder",
        )


def fittable(model: str | RewardModel, seed: int) -> NeuralRewardModel:
    """A model that can be fitted, made of its name where that is given.

    Raises:
        FitError: it has no weights.
        ModelError: there is none of that name.
    """
    unfitted: object = model
    if isinstance(model, str) and model not in CONTROLS:
        unfitted = create_reward_model(model, seed=seed)
    if not isinstance(unfitted, NeuralRewardModel) or not any(True for _ in unfitted.parameters()):
        got = model if isinstance(model, str) else getattr(model, "name", type(model).__name__)
        raise FitError("a model that is fitted has weights", got=got, fix="try 'minilm'")
    return unfitted


def _fit(
    model: NeuralRewardModel,
    labels: Labels,
    options: FitOptions,
    unlabelled: TextBatch | None,
    checkpoints: FitCheckpoints | None,
    *,
    progress: bool,
) -> tuple[Metrics, list[dict[str, float]]]:
    """Fit in place, from the last checkpoint on; give metrics and history."""
    used = shuffled(labels, options.seed) if options.shuffle_labels else labels
    if was_fitted(model):
        options = as_before(model, options)
        plan = replace(_plan(used, options), note=HELD_OUT, **units_of(model))  # type: ignore[arg-type]
    else:
        plan = _plan(used, options)
        begun = bool(checkpoints and checkpoints.last())
        prepare(model, used.texts[rows_of(used, plan.train)], unlabelled, options, begun=begun)
    if options.implied:
        used, plan = _implied(used, plan)
    model.card_hash = used.texts.card_hash
    how = options.settled(model, len(labels))
    metrics, history = _train(model, used, plan, how, unlabelled, checkpoints, progress=progress)
    metrics["contradictions"] = contradictions(labels)
    model.fitted_on = _facts(labels, options, metrics)
    model.eval()
    return metrics, history


def _plan(labels: Labels, options: FitOptions) -> _Plan:
    """Hold labels out and find the units of the others."""
    train, held_out = split_groups(groups_of(labels), options.validation, options.seed)
    values, note = labels.ratings.values.astype(np.float64) if labels.ratings is not None else np.zeros(0), ""
    if options.validation == 0:
        note = "nothing held out, as asked"
    elif len(held_out) < FEWEST_HELD_OUT:
        note = (
            f"nothing held out: {len(held_out)} of {len(labels)} labels could be, by whole episodes that share no text "
            f"with the others, and fewer than {FEWEST_HELD_OUT} say nothing"
        )
    elif len(values) and len(np.unique(values[train[train < len(values)]])) < 2:
        note = "nothing held out: the other ratings would be all equal"
    if note:
        train, held_out = np.arange(len(labels)), held_out[:0]
    rated = values[train[train < len(values)]]
    offset, scale = robust_units(rated) if len(rated) else (0.0, 1.0)
    return _Plan(train=train, held_out=held_out, note=note, offset=offset, scale=scale)


def _implied(labels: Labels, plan: _Plan) -> tuple[Labels, _Plan]:
    """Comparisons with the ratings that those that are not held out imply; these come first."""
    labels = with_implied(labels, plan.train)
    assert labels.ratings is not None
    rated = len(labels.ratings)
    train = np.concatenate([np.arange(rated), plan.train + rated])
    return labels, replace(plan, train=train, held_out=plan.held_out + rated, implied=rated)


def _train(
    model: NeuralRewardModel,
    labels: Labels,
    plan: _Plan,
    options: FitOptions,
    unlabelled: TextBatch | None,
    checkpoints: FitCheckpoints | None,
    *,
    progress: bool,
) -> tuple[Metrics, list[dict[str, float]]]:
    """Train, return to the best weights, set the units; give metrics and history."""
    votes = draw_votes(plan.train, alike_of(labels), model.head_count, options.leave_out, options.seed)
    free = None if options.pseudo_labels is None else unlabelled
    data = LabelData.of(labels, model.encode, offset=plan.offset, scale=plan.scale, votes=votes, unlabelled=free)
    model.offset.fill_(plan.offset)
    model.scale.fill_(plan.scale)
    model.noise.zero_()
    model.calibration.fill_(1.0)
    model.spread.fill_(1.0)
    pseudo = None if options.pseudo_labels is None else (options.pseudo_labels, options.pseudo_weight)
    objective = Objective(model, kind=options.loss, rated=len(data.target) > 0, pseudo=pseudo)
    with ExitStack() as stack:
        last = checkpoints.last() if checkpoints else None
        place = checkpoints.partial if checkpoints else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        callbacks = stack.enter_context(fit_bar(model.name, show=progress))
        trainer = RewardTrainer(
            objective,
            data,
            plan.train,
            plan.held_out,
            options,
            folder=place,
            checkpoints=checkpoints is not None,
            callbacks=callbacks,
        )
        stack.enter_context(set_apart())
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    objective.recall()
    history: list[dict[str, float]] = trainer.state.log_history
    metrics = _metrics(objective, data, plan, history, steps=trainer.state.global_step)
    metrics["stopped_early"] = trainer.state.global_step < options.max_steps
    return metrics, history


def _metrics(
    objective: Objective, data: LabelData, plan: _Plan, history: list[dict[str, float]], *, steps: int
) -> Metrics:
    """Judge the fitted model, and set its noise and, where it was fitted on an order alone, its units."""
    model = objective.model
    if not len(data.target):
        set_units(model, data, plan.train)
    elif objective.kind in RANK_LOSSES:
        data = match_ratings(model, data, plan.train[plan.train < len(data.target)])
        plan = replace(plan, scale=float(model.scale))
    train = judge(objective, data, plan.train[plan.implied :])
    if not math.isfinite(train["loss"] or 0.0):
        raise FitError("fitting converges", got=f"a loss of {train['loss']}", fix="lower learning_rate")
    held_out = judge(objective, data, plan.held_out) if len(plan.held_out) else None
    rated = np.arange(len(data.target))
    spread_of = None
    if len(rated):
        spread_of = calibration(rewards_of(model, data, rated), data.target, data.votes[: len(rated)])
    if spread_of is not None:
        model.calibration.fill_(spread_of[0])
        model.noise.fill_(spread_of[1] * plan.scale)
    elif held_out is not None and held_out["rmse"] is not None:
        model.noise.fill_(held_out["rmse"])
    best_step = best_look(history)["step"] if len(plan.held_out) else steps
    return {"train": train, "validation": held_out, "note": plan.note, "steps": steps, "best_step": best_step}


def _facts(labels: Labels, options: FitOptions, metrics: Metrics) -> dict[str, object]:
    """What a saved model remembers about its making."""
    ratings, preferences, texts = labels.ratings, labels.preferences, labels.texts
    return {
        "absorbing": tells_of_absorbing(texts.used().filled().templates, texts.language),
        "ratings": 0 if ratings is None else len(ratings),
        "preferences": 0 if preferences is None else len(preferences),
        "digest": labels_digest(labels),
        "source": labels.source,
        "options": asdict(options),
        "metrics": metrics,
    }
