"""Intervals recomputed by hand and by SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from rmgym.metrics import bootstrap_ci, interquartile_mean, normalised_score


def test_interquartile_mean_drops_a_quarter_on_each_side():
    assert interquartile_mean([-1000, 1, 2, 3, 4, 5, 6, 1000]) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_bootstrap_agrees_with_scipy():
    values = np.random.default_rng(3).normal(size=12)
    ours = bootstrap_ci(values, resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_bootstrap_resamples_seeds_within_each_task():
    # Tasks on different scales without spread inside a task: nothing to resample, so no width.
    table = np.array([[1.0, 100.0], [1.0, 100.0], [1.0, 100.0]])
    assert bootstrap_ci(table) == (50.5, 50.5, 50.5)


def test_one_seed_has_no_interval():
    interval = bootstrap_ci([4.0])
    assert interval.value == 4
    assert math.isnan(interval.low)


def test_bootstrap_is_seeded_and_leaves_the_global_generator_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    assert bootstrap_ci([1, 2, 3, 9], seed=5) == bootstrap_ci([1, 2, 3, 9], seed=5)
    assert (np.random.get_state()[1] == before).all()


def test_normalised_score():
    assert normalised_score([-1200, -200, -700], random=-1200, reference=-200).tolist() == [0, 1, 0.5]
    with pytest.raises(ValueError, match="differ"):
        normalised_score(1, random=2, reference=2)
