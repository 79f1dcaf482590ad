"""What many runs come to, beside the field's own library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rmgym.metrics import (
    interquartile_mean,
    optimality_gap,
    over_optimisation,
    performance_profile,
    probability_of_improvement,
    selection_regret,
    steps_to_threshold,
    trajectory_alignment,
)

rliable = pytest.importorskip("rliable.metrics")
SCORES = arrays(np.float64, (5, 3), elements=st.floats(-2, 3).map(lambda x: round(x, 3)))


@given(SCORES, arrays(np.float64, (4, 3), elements=st.floats(-2, 3).map(lambda x: round(x, 3))))
def test_point_estimates_are_those_of_rliable(x: np.ndarray, y: np.ndarray) -> None:
    assert interquartile_mean(x) == pytest.approx(float(rliable.aggregate_iqm(x)), abs=1e-9)
    assert optimality_gap(x) == pytest.approx(float(rliable.aggregate_optimality_gap(x)), abs=1e-9)
    assert probability_of_improvement(x, y) == pytest.approx(float(rliable.probability_of_improvement(x, y)), abs=1e-9)


@given(SCORES)
def test_a_profile_falls_from_all_runs_to_none(x: np.ndarray) -> None:
    at = np.linspace(-2.1, 3.1, 9)
    profile = performance_profile(x, at)
    assert profile[0] == 1
    assert profile[-1] == 0
    assert (np.diff(profile) <= 0).all()
    assert profile[4] == np.mean([value > at[4] for value in x.reshape(-1)])


def test_improvement_is_symmetric_and_a_tie_is_half() -> None:
    x, y = np.array([[1.0], [2.0]]), np.array([[1.0], [0.0], [3.0]])
    assert probability_of_improvement(x, y) == (0.5 + 1 + 0 + 1 + 1 + 0) / 6
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == 1
    with pytest.raises(ValueError, match="same tasks"):
        probability_of_improvement(x, np.ones((2, 2)))
    for wrong in ([1.0, 2.0], np.zeros((0, 2)), [[math.nan]]):
        with pytest.raises(ValueError, match="finite numbers"):
            optimality_gap(wrong)


def test_alignment_counts_pairs_of_trajectories() -> None:
    assert trajectory_alignment([1, 2, 3], [10, 20, 30]) == 1
    assert trajectory_alignment([1, 2, 3], [3, 2, 1]) == -1
    assert trajectory_alignment([1, 3, 2], [1, 2, 3]) == pytest.approx(1 / 3)
    ties = trajectory_alignment([1, 1, 2], [1, 2, 3])  # two pairs in order, one tied on one side
    assert ties == pytest.approx(2 / math.sqrt(2 * 3))
    assert math.isnan(trajectory_alignment([1, 1], [1, 2]))


def test_what_is_lost_by_optimising_on_and_by_choosing() -> None:
    assert over_optimisation([-10, 50, 20]) == 30
    assert over_optimisation([1, 2]) == 0
    assert selection_regret(true=[5, 9, 7], learned=[1, 2, 3]) == 2
    assert steps_to_threshold([100, 200, 300], [0, 5, 4], 4) == 200
    assert steps_to_threshold([100], [0], 4) == math.inf
