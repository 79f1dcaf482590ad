"""A reward model whose answers are kept in a file: for models that take long to answer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmgym.models.base import Prediction, RewardModel, as_texts
from rmgym.scoring.cache import MEMORY, ScoreCache
from rmgym.text.batch import TextBatch


class CachedReward:
    """Another model's answers, each asked for once, in this process and in later ones.

    It is the other model for everything but time: same name, digest and saved files. Pass it wherever a model goes.

    Args:
        model: the model that answers what is not known yet.
        path: SQLite file, made if missing. Several processes and several models may share it. On a full or read-only
            disk nothing is added to it, after one warning.
        memory: bytes of memory at most for the first tier.

    Raises:
        ModelError: the file is not a cache.

    Example:
        >>> import rmgym, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model = rmgym.CachedReward(rmgym.create_reward_model("random"), f"{folder}/scores.sqlite")
        ...     model.predict(["speed: 1.5"]).mean == model.predict(["speed: 1.5"]).mean
        array([ True])
    """

    def __init__(self, model: RewardModel, path: str | os.PathLike[str], *, memory: int = MEMORY) -> None:
        self.model = model
        self._cache = ScoreCache(path, memory=memory)

    @property
    def name(self) -> str:
        """See :class:`rmgym.models.base.RewardModel`."""
        return self.model.name

    @property
    def is_fitted(self) -> bool:
        """See :func:`rmgym.models.base.check_fitted`."""
        return bool(getattr(self.model, "is_fitted", True))

    @property
    def card_hash(self) -> str | None:
        """See :class:`rmgym.models.base.RewardModel`."""
        return self.model.card_hash

    @property
    def digest(self) -> str:
        """See :class:`rmgym.models.base.RewardModel`."""
        return self.model.digest

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        """See :class:`rmgym.models.base.RewardModel`."""
        return self._cache.predict(self.model, as_texts(texts))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the model; the scores stay in their file."""
        return self.model.save(path)

    def describe(self) -> dict[str, Any]:
        """See :class:`rmgym.models.base.RewardModel`."""
        return self.model.describe()

    def __deepcopy__(self, memo: dict[int, Any]) -> CachedReward:
        """Shared, as every model is."""
        return self
