"""Scores by text, so that no text is read twice: in bounded memory, and in a file that survives the process.

A key is the digest of the model, the hash of the card, the template with its phrases, and the numbers' bits as the
textualizer rounded them. Equal keys have equal scores (a model's ``predict`` is a pure function of the text), so a
cache changes nothing but the time; a model that was fitted further has another digest, and what the old one said is
never found again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from rmgym.models.base import Prediction, RewardModel
from rmgym.scoring.score_file import ScoreFile, Scores
from rmgym.text.batch import TextBatch

MEMORY = 64 * 2**20
"""Bytes of memory that a cache takes at most, roughly."""
_PER_ENTRY = 300  # what CPython takes for a key and two numbers in a dictionary, beside the key's own bytes
_TRIAL, _WORTH = 20_000, 0.01  # after so many texts, a cache that knew fewer of them than this is left alone


class ScoreCache:
    """Scores of texts that were read before.

    Args:
        path: SQLite file of the second tier, made if missing; None for memory alone. Several processes may share it. On
            a full or read-only disk nothing is added to it, after one warning.
        memory: bytes of memory at most. The entries that were asked for least lately go first.

    Raises:
        ModelError: the file is not a cache.
        StorageError: something that is no folder is in the place of its folder.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, memory: int = MEMORY) -> None:
        self.path = None if path is None else Path(path).expanduser()
        self._memory = memory
        # Two generations: what is found in the older one moves to the younger, and the older one goes as a whole.
        self._young, self._old = dict[bytes, Scores](), dict[bytes, Scores]()
        self._asked = self._found = 0
        self._file = None if self.path is None else ScoreFile(self.path)

    def predict(self, model: RewardModel, texts: TextBatch) -> Prediction:
        """What ``model`` says about ``B`` texts; it is asked only about those that are not known, once where equal.

        Answers that are not finite numbers, one per text, are not kept.
        """
        if self.path is None and self._asked >= _TRIAL and self._found < _WORTH * self._asked:
            return model.predict(texts)
        keys = keys_of(texts, model.digest)
        scores = self._look_up(keys)
        missing = dict[bytes, int]()  # where each text that is not known is for the first time
        for row, key in enumerate(keys):
            if key not in scores:
                missing.setdefault(key, row)
        self._asked, self._found = self._asked + len(keys), self._found + len(keys) - len(missing)
        if missing:
            prediction = model.predict(texts if len(missing) == len(keys) else texts[list(missing.values())])
            answers = prediction.mean, prediction.std
            if any(np.shape(values) != (len(missing),) for values in answers):
                return prediction  # whoever asked refuses it
            pairs = zip(*(np.asarray(values).tolist() for values in answers), strict=True)
            new = dict(zip(missing, pairs, strict=True))
            if all(np.isfinite(values).all() for values in answers):
                self._keep(new)
            if len(missing) == len(keys):
                return prediction
            scores |= new
        columns = np.array([scores[key] for key in keys], np.float32).reshape(-1, 2)
        return Prediction(columns[:, 0].copy(), columns[:, 1].copy())

    def _look_up(self, keys: Sequence[bytes]) -> dict[bytes, Scores]:
        scores = {key: self._young[key] for key in keys if key in self._young}
        if self._old:
            again = {key: self._old[key] for key in keys if key in self._old}
            self._remember(again)
            scores |= again
        if self._file is not None and (rest := [key for key in keys if key not in scores]):
            scores |= self._file.get(rest)
        return scores

    def _keep(self, new: dict[bytes, Scores]) -> None:
        self._remember(new)
        if self._file is not None:
            self._file.put(new)

    def _remember(self, scores: dict[bytes, Scores]) -> None:
        self._young |= scores
        size = max((len(key) for key in scores), default=0) + _PER_ENTRY
        if len(self._young) * size > self._memory / 2:
            self._old, self._young = self._young, {}


def keys_of(texts: TextBatch, digest: str) -> list[bytes]:
    """The key of each text under a model's digest."""
    texts = texts.filled()
    counts = np.diff(texts.offsets)
    width = int(counts.max(initial=0))
    headings = [f"{digest} {texts.card_hash} {texts.language} {template}" for template in texts.templates]
    names = np.array([np.frombuffer(blake2b(s.encode(), digest_size=16).digest(), np.int64) for s in headings])
    rows = np.zeros((len(texts), 2 + width), np.int64)
    if len(texts):
        rows[:, :2] = names[texts.template_index]
    rows[:, 2:][np.arange(width) < counts[:, None]] = np.ascontiguousarray(texts.numbers).view(np.int64)
    whole, size = rows.tobytes(), rows.itemsize * rows.shape[1]
    ends = (size * np.arange(len(rows)) + rows.itemsize * (2 + counts)).tolist()  # without the padding
    return [whole[size * i : end] for i, end in enumerate(ends)]
