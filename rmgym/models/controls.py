"""Controls: rewards that know nothing, so that "solved" means something.

The third control, ``true``, is no model of text (:class:`rmgym.wrappers.source.RewardSource`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from rmgym.errors import ModelError
from rmgym.models.base import Prediction, as_texts
from rmgym.models.files import digest_of, write_model
from rmgym.options import read_options
from rmgym.text.batch import TextBatch


class _Control:
    """A reward model without weights. Subclasses are frozen dataclasses of their options."""

    name: ClassVar[str]
    card_hash: ClassVar[None] = None

    @classmethod
    def create(cls, *, seed: int = 0, **options: Any) -> Self:
        """Make the control; ``seed`` counts only where it draws.

        Raises:
            ModelError: an option is unknown.
        """
        if "seed" in getattr(cls, "__dataclass_fields__", {}):
            options["seed"] = seed
        return read_options(cls, options, f"options of {cls.name!r}")

    @classmethod
    def restore(cls, manifest: Mapping[str, Any], tensors: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """Rebuild what :meth:`save` wrote."""
        del tensors, texts
        return cls.create(**manifest["config"])

    @property
    def digest(self) -> str:
        """See :class:`rmgym.models.base.RewardModel`."""
        return digest_of({"model": self.name, **self._options()})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """See :class:`rmgym.models.base.RewardModel`."""
        manifest = {"model": self.name, "config": self._options(), "card_hash": None, "digest": self.digest}
        return write_model(path, manifest)

    def describe(self) -> dict[str, Any]:
        """See :class:`rmgym.models.base.RewardModel`."""
        return {"model": self.name, "config": self._options(), "digest": self.digest}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Shared, as every model is."""
        return self

    def _options(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class ConstantReward(_Control):
    """The same reward for every step: what it solves, surviving (or ending early) alone solves."""

    name: ClassVar[str] = "constant"
    value: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ModelError("a reward is a finite number", got=self.value, fix="take value=1.0")

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        """``value`` for each text, std zero."""
        size = len(as_texts(texts))
        return Prediction(np.full(size, self.value, np.float32), np.zeros(size, np.float32))


@dataclass(frozen=True)
class RandomReward(_Control):
    """Standard normal noise from a seeded hash of the text: fixed per text, unrelated to the task.

    Where it is named, ``"random"``, an agent's own seed is the seed (``make_agent``, ``train``, ``score_rollouts``,
    suites): every training seed has a function of its own. A wrapper knows of no agent and takes 0.
    """

    name: ClassVar[str] = "random"
    seed: int = 0

    def __post_init__(self) -> None:
        if not -(2**63) <= self.seed < 2**63:
            raise ModelError("a seed fits into 64 bits", got=self.seed, fix="take a smaller one")

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        """A fixed draw for each text, std zero."""
        batch = as_texts(texts).filled()
        bounds, raw = batch.offsets.tolist(), batch.numbers.tobytes()
        templates = [t.encode() for t in batch.templates]
        salt = self.seed.to_bytes(8, "little", signed=True)
        digests = b"".join(
            blake2b(templates[t] + raw[8 * a : 8 * b], digest_size=8, salt=salt).digest()
            for t, a, b in zip(batch.template_index.tolist(), bounds[:-1], bounds[1:], strict=True)
        )
        hashes = np.frombuffer(digests, np.uint32).reshape(-1, 2).astype(np.float64)
        uniform = (hashes + 0.5) / 2**32
        normal = np.sqrt(-2 * np.log(uniform[:, 0])) * np.cos(2 * np.pi * uniform[:, 1])  # Box-Muller
        return Prediction(normal.astype(np.float32), np.zeros(len(batch), np.float32))
