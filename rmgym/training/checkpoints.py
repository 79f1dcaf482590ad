"""What a fit leaves on disk, so that it can be killed at any instant and resumed.

``fit.json``
    what is being fitted on what, and, once done, how well: a resume with other labels, model or options is refused.
``checkpoints/checkpoint-N/``
    weights (now and best), optimiser, schedule, random state. ``Trainer`` writes its files one after the other into
    ``checkpoints/.partial``; only when all are on the disk does a rename give them their name. So a folder with that
    name is whole, and the highest number is the place to go on from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rmgym.errors import FitError
from rmgym.feedback.labels import Labels
from rmgym.models.files import MANIFEST
from rmgym.models.files import _replace as replace_file
from rmgym.models.neural import NeuralRewardModel
from rmgym.training.options import FitOptions

RECORD = "fit.json"
SCHEMA = 1


def put_in_place(written: Path) -> None:
    """Give a checkpoint, written whole in ``.partial``, its place one folder up, then drop the older ones."""
    place = written.parent.parent
    for path in [*written.iterdir(), written]:
        _sync(path)
    written.replace(place / written.name)
    _sync(place)
    for old in place.glob("checkpoint-*"):
        if old.name != written.name:
            shutil.rmtree(old)


class FitFolder:
    """The folder of one fit.

    Args:
        path: the folder.
        fingerprint: what is fitted on what, see :func:`fingerprint`.
        resume: go on with what is there, which must have the same fingerprint, else begin anew.

    Raises:
        FitError: something else was begun there, or the folder cannot be written.
    """

    def __init__(self, path: Path, fingerprint: Mapping[str, Any], *, resume: bool) -> None:
        self.path, self.fingerprint = path, dict(fingerprint)
        before = _read(path) if resume else {}
        if before:
            _compare(before["fingerprint"], self.fingerprint, path)
        self.done: dict[str, Any] | None = before.get("metrics") if before.get("status") == "done" else None
        try:
            shutil.rmtree(self.partial if resume and before else self.checkpoints, ignore_errors=True)
            path.mkdir(parents=True, exist_ok=True)
            if self.done is None:
                self._write({"status": "running"})
            elif not (path / MANIFEST).exists():
                raise FitError("a finished fit has its model", got=str(path), fix="fit again without resume")
        except OSError as error:
            raise FitError(
                "a model is fitted into a writable folder", got=f"{path}: {error}", fix="name another"
            ) from error

    @property
    def checkpoints(self) -> Path:
        """Whole checkpoints."""
        return self.path / "checkpoints"

    @property
    def partial(self) -> Path:
        """Where checkpoints are being written."""
        return self.checkpoints / ".partial"

    def last_checkpoint(self) -> Path | None:
        """The checkpoint to go on from."""
        found = self.checkpoints.glob("checkpoint-*")
        return max(found, key=lambda path: int(path.name.split("-")[1]), default=None)

    def finish(self, model: NeuralRewardModel, metrics: Mapping[str, Any], history: list[dict[str, Any]]) -> None:
        """Save the model, say that it is done, drop the checkpoints: in this order, so that a kill loses nothing."""
        model.save(self.path)
        self._write({"status": "done", "metrics": metrics, "history": history})
        self.clean()

    def clean(self) -> None:
        """Drop the checkpoints of a finished fit."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _write(self, content: Mapping[str, Any]) -> None:
        said = {"schema": SCHEMA, "fingerprint": self.fingerprint, **content}
        replace_file(self.path / RECORD, json.dumps(said, indent=2).encode())


def fingerprint(model: NeuralRewardModel, labels: Labels, options: FitOptions) -> dict[str, Any]:
    """What decides the outcome of a fit: the unfitted model, the labels, the options."""
    total = hashlib.sha256()
    texts = labels.texts
    total.update(json.dumps([texts.templates, texts.language, texts.card_hash]).encode())
    arrays: list[Any] = [texts.template_index, texts.numbers, texts.offsets]
    for part in (labels.ratings, labels.preferences):
        arrays += [] if part is None else [v for k, v in sorted(vars(part).items()) if k not in ("texts", "steps")]
    for array in arrays:
        total.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return {"model": f"{model.name} {model.digest}", "labels": total.hexdigest()[:16], "options": asdict(options)}


def _compare(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    changed = [f"{key}: {before.get(key)} -> {now[key]}" for key in ("model", "labels") if before.get(key) != now[key]]
    old, new = before.get("options", {}), now["options"]
    changed += [f"{k}: {old.get(k)} -> {new.get(k)}" for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
    if changed:
        raise FitError(
            f"a fit is resumed with the model, labels and options it was begun with; {path} was begun with others",
            got="; ".join(changed),
            fix="pass the same ones, fit without resume, or name another folder",
        )


def _read(path: Path) -> dict[str, Any]:
    """The record of a fit, empty where none was begun."""
    if not (path / RECORD).exists():
        return {}
    try:
        said: dict[str, Any] = json.loads((path / RECORD).read_text(encoding="utf-8"))
        if said["schema"] != SCHEMA or not isinstance(said["fingerprint"], dict):
            raise ValueError(f"schema {said['schema']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FitError(
            f"{RECORD} is the record of a fit", got=f"{path / RECORD}: {error!r}", fix="fit without resume"
        ) from error
    return said


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before going on (folders: where the system can)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
