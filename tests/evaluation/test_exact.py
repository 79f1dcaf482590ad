"""What a learned reward does where all transitions are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from rmgym.evaluation.exact import ExactCheck, check_exactly
from rmgym.models.base import as_texts
from rmgym.prediction import Prediction
from rmgym.specs import EnvSpec
from rmgym.text.batch import TextBatch
from tests.doubles import ToyReward

LAKE = EnvSpec(id="FrozenLake-v1")


@dataclass(frozen=True)
class Goal(ToyReward):
    """The true reward of FrozenLake, so many times, and something for every step."""

    there: float = 1.0
    each: float = 0.0

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        reached = np.array(["Next state: row: 3, column: 3, tile: goal" in text for text in as_texts(texts).strings()])
        return Prediction((self.there * reached + self.each).astype(np.float32), np.zeros(len(reached), np.float32))


def exactly(spec: EnvSpec, model: object) -> ExactCheck:
    result = check_exactly(spec, model)  # type: ignore[arg-type]
    assert isinstance(result, ExactCheck)
    return result


def test_the_true_reward_is_no_distance_from_itself_and_leads_to_the_best() -> None:
    for model in ("true", Goal(there=5.0)):
        found = exactly(LAKE, model)
        assert (found.starc, found.epic, found.dard) == pytest.approx((0, 0, 0), abs=1e-6)
        assert found.response == pytest.approx(found.best)
        assert found.share == pytest.approx(1)
        assert not found.undefined
    assert found.best == pytest.approx(0.7402, abs=1e-4)


def test_what_is_paid_for_going_on_leads_away() -> None:
    lives, dies = exactly(LAKE, Goal(there=0.001, each=1.0)), exactly(LAKE, Goal(each=-1.0))
    assert lives.starc > 0.3
    assert lives.share < 0.2
    assert dies.starc > 0
    opposite = exactly(LAKE, Goal(there=-1.0))
    assert (opposite.starc, opposite.epic, opposite.dard) == pytest.approx((1, 1, 1), abs=1e-6)
    assert opposite.response == 0


def test_what_is_not_defined_says_why() -> None:
    assert "transition table" in str(check_exactly(EnvSpec(id="CartPole-v1"), "constant"))
    cliff = exactly(EnvSpec(id="CliffWalking-v1"), "random")
    assert math.isnan(cliff.response)  # nothing cuts an episode there
    assert math.isnan(cliff.share)
    assert 0 < cliff.epic < 1
    limited = exactly(EnvSpec(id="CliffWalking-v1", horizon=50), "true")
    assert limited.response == limited.best == -13
    taxi = exactly(EnvSpec(id="Taxi-v4"), "random")
    assert "cannot happen" in taxi.undefined
    assert math.isnan(taxi.epic)
    assert 0 < taxi.starc < 1
    assert taxi.response < taxi.best == pytest.approx(7.93, abs=0.01)
