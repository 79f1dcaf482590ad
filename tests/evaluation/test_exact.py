"""What a learned reward does where all transitions are known."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.environments.tabular import tabular_value
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


@pytest.mark.parametrize("kwargs", [{}, {"is_slippery": False}])
def test_the_true_reward_is_no_distance_from_itself_and_leads_to_the_best(kwargs: dict[str, object]) -> None:
    spec = EnvSpec(id="FrozenLake-v1", kwargs=kwargs)
    for model in ("true", Goal(there=5.0)):
        found = exactly(spec, model)
        assert found.starc == pytest.approx(0, abs=1e-6)
        assert found.response == pytest.approx(found.best)
        assert found.share == pytest.approx(1)
    assert exactly(LAKE, "true").best == pytest.approx(0.7402, abs=1e-4)


def test_what_is_paid_for_going_on_leads_away() -> None:
    lives, opposite = exactly(LAKE, Goal(there=0.001, each=1.0)), exactly(LAKE, Goal(there=-1.0))
    assert lives.starc > 0.3
    assert lives.share < 0.2
    assert opposite.starc == pytest.approx(1)
    assert opposite.response == 0


def test_shaping_changes_nothing_at_the_discount_that_it_was_made_for() -> None:
    value = tabular_value("FrozenLake-v1", gamma=0.9)

    @dataclass(frozen=True)
    class Shaped(Goal):
        """What is gained in the best value, beside the goal itself."""

        def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
            strings = as_texts(texts).strings()
            cells = np.array(
                [[4 * int(r) + int(c) for r, c in re.findall(r"row: (\d), column: (\d)", t)] for t in strings]
            )
            ended = np.array(["terminated" in text for text in strings])
            mean = super().predict(texts).mean + 0.9 * value(cells[:, 1]) * ~ended - value(cells[:, 0])
            return Prediction(mean.astype(np.float32), np.zeros(len(mean), np.float32))

    right, wrong = (check_exactly(LAKE, Shaped(), gamma=gamma) for gamma in (0.9, 0.99))
    assert isinstance(right, ExactCheck)
    assert isinstance(wrong, ExactCheck)
    own = check_exactly(LAKE, "true", gamma=0.9)
    assert isinstance(own, ExactCheck)
    assert right.starc == pytest.approx(0, abs=1e-5)
    assert right.response == pytest.approx(own.response)
    assert wrong.starc > 0.01


def test_what_cannot_be_told_says_why(tmp_path: Path) -> None:
    assert "transition table" in str(check_exactly(EnvSpec(id="CartPole-v1"), "constant"))
    assert "pays after the end too" in str(check_exactly(EnvSpec(id="FrozenLake-v1", horizon=50), "constant"))
    slides = collect("FrozenLake-v1", 300, progress=False)
    firm = EnvSpec(id="FrozenLake-v1", kwargs={"is_slippery": False})
    assert "do not go as" in str(check_exactly(firm, "constant", taken=slides))
    card = tmp_path / "lake.toml"
    text = (Path(__file__).resolve().parents[2] / "envs" / "FrozenLake-v1.toml").read_text(encoding="utf-8")
    card.write_text("history = 1\n" + text, encoding="utf-8")
    assert "earlier steps" in str(check_exactly(EnvSpec(id="FrozenLake-v1", card=str(card)), "constant"))
    cliff = exactly(EnvSpec(id="CliffWalking-v1"), "random")
    assert math.isnan(cliff.response)  # nothing cuts an episode there
    assert math.isnan(cliff.share)
    assert cliff.starc > 0.5
    taxi = exactly(EnvSpec(id="Taxi-v4"), "random")
    assert taxi.response < taxi.best == pytest.approx(7.93, abs=0.01)
