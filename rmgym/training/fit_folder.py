"""What a fit is, and what it leaves in its folder while it runs, so that it can be killed at any instant and resumed.

``fit.json``
    the record of a :class:`rmgym.jobs.Job`: what is fitted on what, and, once done, how well.
``checkpoints/checkpoint-N/``
    weights (now and best), optimiser, schedule, random state, and the SHA-256 of each file. ``Trainer`` writes its
    files one after the other into
    ``checkpoints/.partial``; only when all are on the disk does a rename give them their name. So a folder with that
    name is whole, and the highest number is the place to go on from.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rmgym.errors import StorageError
from rmgym.feedback.labels import Labels
from rmgym.jobs import Json
from rmgym.models.neural import NeuralRewardModel
from rmgym.storage.atomic import move_into_place
from rmgym.storage.sums import check_sums, write_sums
from rmgym.text.batch import TextBatch
from rmgym.training.fit_options import FitOptions

Numbers: TypeAlias = npt.NDArray[np.integer] | npt.NDArray[np.floating]

KIND = "fit"
"""Of the job, whose record is ``fit.json``."""


def put_in_place(written: Path) -> None:
    """Give a checkpoint, written whole in ``.partial``, its place one folder up, then drop the older ones.

    Raises:
        OSError: it cannot be synced or renamed; the older ones are intact.
    """
    place = written.parent.parent
    write_sums(written)
    move_into_place(written, place / written.name)
    for old in place.glob("checkpoint-*"):
        if old.name != written.name:
            shutil.rmtree(old)


class FitCheckpoints:
    """The checkpoints of one fit.

    Args:
        folder: the fit's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoints"

    @property
    def partial(self) -> Path:
        """Where ``Trainer`` writes."""
        return self.folder / ".partial"

    def last(self) -> Path | None:
        """The checkpoint to go on from; what was half written is dropped.

        Raises:
            StorageError: it is not as it was written.
        """
        shutil.rmtree(self.partial, ignore_errors=True)
        steps = {path: path.name.partition("-")[2] for path in self.folder.glob("checkpoint-*")}
        last = max((path for path in steps if steps[path].isdecimal()), key=lambda path: int(steps[path]), default=None)
        if last is not None:
            try:
                check_sums(last)
            except (OSError, ValueError) as error:
                fix = "remove this checkpoint: the fit begins anew"
                raise StorageError("a checkpoint is whole", got=f"{last}: {error}", fix=fix) from error
        return last

    def remove(self) -> None:
        """Drop them all: of a fit that is done, or that begins anew."""
        shutil.rmtree(self.folder, ignore_errors=True)


def fit_settings(
    model: NeuralRewardModel, labels: Labels, options: FitOptions, unlabelled: TextBatch | None = None
) -> dict[str, Json]:
    """What decides the outcome of a fit: the unfitted model, the labels, the options, and unlabelled steps."""
    about: dict[str, Json] = {
        "model": f"{model.name} {model.digest}",
        "labels": labels_digest(labels),
        "options": asdict(options),
    }
    return about if unlabelled is None else {**about, "unlabelled": data_digest(unlabelled, ())}


def labels_digest(labels: Labels) -> str:
    """SHA-256 (16 hex digits) of all that labels tell."""
    arrays = list[Numbers]()
    for part in (labels.ratings, labels.preferences):
        arrays += [] if part is None else [v for k, v in sorted(vars(part).items()) if k not in ("texts", "steps")]
    return data_digest(labels.texts, arrays)


def data_digest(texts: TextBatch, arrays: Iterable[Numbers]) -> str:
    """SHA-256 (16 hex digits) of texts and the arrays that belong to them."""
    total = hashlib.sha256(json.dumps([texts.templates, texts.phrases, texts.language, texts.card_hash]).encode())
    for array in (texts.template_index, texts.numbers, texts.offsets, texts.words, *arrays):
        total.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]
