"""Deterministic stand-ins that tests share: a reward model that is arithmetic, and an environment that counts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np

from rmgym.models.base import Prediction, as_texts
from rmgym.models.files import digest_of, write_model
from rmgym.text.batch import TextBatch


@dataclass(frozen=True)
class ToyReward:
    """``sum_j weight / (j + 1) * number_j + c(template)``: exact, whatever the batch size and order.

    Attributes:
        weight: weight of the first number; the later ones count less and less.
        std: the uncertainty it claims.
        card_hash: card it pretends to be fitted on.
        calls: batch size of every call of ``predict``, in order.
    """

    name: ClassVar[str] = "toy"
    weight: float = 0.5
    std: float = 0.0
    card_hash: str | None = None
    calls: list[int] = field(default_factory=list, compare=False, repr=False)

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        batch = as_texts(texts).filled()
        self.calls.append(len(batch))
        counts = np.diff(batch.offsets)
        row = np.repeat(np.arange(len(batch)), counts)
        place = np.arange(len(batch.numbers)) - np.repeat(batch.offsets[:-1], counts)
        terms = self.weight / (place + 1) * batch.numbers.astype(np.float64)
        constants = np.array([template_constant(t) for t in batch.templates])
        mean = np.bincount(row, terms, minlength=len(batch)) + constants[batch.template_index]
        return Prediction(mean.astype(np.float32), np.full(len(batch), self.std, np.float32))

    @property
    def digest(self) -> str:
        return digest_of({"model": self.name, **self._options()})

    def save(self, path: str | os.PathLike[str]) -> Path:
        said = {"model": self.name, "config": self._options(), "card_hash": self.card_hash, "digest": self.digest}
        return write_model(path, said)

    def describe(self) -> dict[str, Any]:
        return {"model": self.name, "config": self._options(), "digest": self.digest}

    def _options(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "calls"}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def template_constant(template: str) -> float:
    """A fixed number between -1 and 1 for a template."""
    return int.from_bytes(blake2b(template.encode(), digest_size=4).digest(), "little") / 2**31 - 1


class CounterEnv(gym.Env[np.ndarray, int]):
    """Counts actions: position ``p`` goes by -1, 0, +1; observation ``[p, steps]``.

    It terminates at ``p == 3``, truncates at ``limit`` steps (both may happen at once) and rewards ``10 p + action``.
    ``reset`` starts at a position drawn from -1, 0 and 1. With ``reuse=True`` it returns the same array every time and
    changes it in place, as some real environments do.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, limit: int = 6, reuse: bool = False) -> None:
        self.limit, self.reuse = limit, reuse
        self.observation_space = gym.spaces.Box(-100, 100, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(3)
        self._obs = np.zeros(2, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._obs[:] = [self.np_random.integers(-1, 2), 0]
        return self._seen(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._obs += [int(action) - 1, 1]
        position, steps = self._obs.tolist()
        return self._seen(), 10 * position + int(action), position == 3, steps == self.limit, {"position": position}

    def _seen(self) -> np.ndarray:
        return self._obs if self.reuse else self._obs.copy()


COUNTER = "rmgym-test/Counter-v0"
if COUNTER not in gym.registry:
    gym.register(COUNTER, f"{__name__}:CounterEnv", disable_env_checker=True)


class MaskedCounterEnv(CounterEnv):
    """A counter that must not go below -2, and says so."""

    def action_masks(self) -> np.ndarray:
        return np.array([self._obs[0] > -2, True, True])


MASKED = "rmgym-test/MaskedCounter-v0"
if MASKED not in gym.registry:
    gym.register(MASKED, f"{__name__}:MaskedCounterEnv", disable_env_checker=True)


class DictEnv(gym.Env[Any, Any]):
    """Counts to seven in a dictionary."""

    observation_space = gym.spaces.Dict(
        position=gym.spaces.Box(-9, 9, (2,), np.float32), mode=gym.spaces.Discrete(3), bits=gym.spaces.MultiBinary(2)
    )
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.count = 0
        return self._obs(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        return self._obs(), float(action), self.count >= 7, False, {}

    def _obs(self) -> dict[str, Any]:
        bits = np.array([self.count % 2, 1], np.int8)
        return {"position": np.array([self.count, -1], np.float32), "mode": self.count % 3, "bits": bits}


DICT = "rmgym/Dict-v0"
gym.register(DICT, DictEnv)
