"""A measure sums what a function says of the steps of each episode."""

from __future__ import annotations

import numpy as np
import pytest

from rmgym.errors import FeedbackError
from rmgym.evaluation.measure import Measure, short_name
from rmgym.transitions import Transitions

STEPS = Transitions.from_arrays(
    np.arange(5.0)[:, None], np.zeros(5), np.zeros((5, 1)), episode=[0, 0, 1, 1, 1], step=[0, 1, 0, 1, 2]
)


def height(steps: Transitions) -> object:
    return steps.obs[:, 0]


def test_episodes_are_summed() -> None:
    for measure in (Measure.of(height), Measure.of(lambda obs: obs[0])):
        assert measure.returns(STEPS).tolist() == [1, 9]
        assert measure.row(STEPS) == {"measure_mean": 5, "measure_std": 4}


def test_it_is_known_by_its_code() -> None:
    identity = Measure.of(height).identity
    assert identity.startswith("tests.evaluation.test_measure:height@")
    assert short_name(identity) == "height"
    assert short_name("my_room:Room.comfort@12") == "comfort"


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(FeedbackError, match="nan for step 2 of episode 1"):
        Measure.of(lambda steps: np.where(steps.step == 2, np.nan, 1.0)).returns(STEPS)
