"""Intervals recomputed by hand and by SciPy, and their coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rmgym.metrics import Sample, interquartile_mean, mean_ci, normalised_score, order_ci, share_ci


def test_interquartile_mean_drops_a_quarter_on_each_side():
    assert interquartile_mean([-1000, 1, 2, 3, 4, 5, 6, 1000]) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(3).normal(size=4)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert mean_ci(values, level=0.9) == pytest.approx((values.mean(), low, high, 4, 0))


def test_three_seeds_by_hand():
    # Mean 2, standard deviation 1, t(2) = 4.303: 2 ± 4.303 / sqrt(3)
    assert mean_ci([1, 2, 3]) == pytest.approx((2, 2 - 2.4841, 2 + 2.4841, 3, 0), abs=1e-4)


@pytest.mark.parametrize("values", [[0.9], [0.9, 0.9, 0.9], [0.9, math.nan]])
def test_without_spread_there_is_no_interval(values):
    interval = mean_ci(values)
    assert interval.value == 0.9
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_seeds_that_are_undefined_are_counted():
    interval = mean_ci([1, math.nan, 3])
    assert interval[:3] == pytest.approx(mean_ci([1, 3])[:3])
    assert (interval.seeds, interval.undefined) == (2, 1)
    nothing = mean_ci([math.nan, math.nan])
    assert math.isnan(nothing.value)
    assert (nothing.seeds, nothing.undefined) == (0, 2)


def test_normalised_score():
    assert normalised_score([-1200, -200, -700], random=-1200, reference=-200).tolist() == [0, 1, 0.5]
    with pytest.raises(ValueError, match="differ"):
        normalised_score(1, random=2, reference=2)


EXACT = Sample(0.0, 0.0, 100)
"""A random policy that always returns 0."""


def test_a_share_of_exact_ends_is_a_scaled_mean():
    share = share_ci(Sample.of([1, 2, 3]), random=EXACT, reference=Sample(10.0, 0.0, 100))
    assert share == pytest.approx([x / 10 for x in mean_ci([1, 2, 3])[:3]] + [3, 0], abs=1e-6)


def test_the_ends_of_a_share_are_where_a_t_test_begins_to_reject():
    value, random, reference = ([7.0, 9, 8], [0.0, 1, -1, 0.5], [10.0, 12, 11])
    share = share_ci(Sample.of(value), random=Sample.of(random), reference=Sample.of(reference))
    assert share.value == pytest.approx((8 - 0.125) / (11 - 0.125))
    for end in (share.low, share.high):
        weighted = np.array([1.0, end, 1 - end])
        variances = weighted**2 * [np.var(x, ddof=1) / len(x) for x in (value, reference, random)]
        welch = variances.sum() ** 2 / (variances**2 / [2, 2, 3]).sum()
        distance = 8 - end * 11 - (1 - end) * 0.125
        df = np.sqrt(welch * min(welch, 4))
        assert 2 * stats.t.sf(abs(distance) / np.sqrt(variances.sum()), df) == pytest.approx(0.05, abs=1e-5)


def test_a_share_of_a_range_that_may_be_nothing_is_unbounded():
    share = share_ci(Sample.of([7, 9, 8]), random=Sample.of([0, 1, 2]), reference=Sample.of([-20, 30, 5]))
    assert (share.low, share.high) == (-math.inf, math.inf)


def test_a_share_has_no_interval_where_all_seeds_are_alike():
    share = share_ci(Sample.of([0, 0, 0]), random=Sample.of([0.5, 1, 0]), reference=Sample.of([9, 10, 11]))
    assert share.value == pytest.approx(-0.5 / 9.5)
    assert math.isnan(share.low)


def test_a_share_is_undefined_where_the_reference_is_no_better_and_has_no_interval_with_one_seed():
    assert math.isnan(share_ci(Sample.of([1, 2]), random=EXACT, reference=Sample.of([-1, -2])).value)
    single = share_ci(Sample.of([1, 2]), random=EXACT, reference=Sample.of([4]))
    assert single.value == pytest.approx(1.5 / 4)
    assert math.isnan(single.low)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_of_means_cover_what_they_state(seeds):
    rng = np.random.default_rng(seeds)
    intervals = [mean_ci(rng.normal(size=seeds)) for _ in range(3000)]
    assert 0.93 <= np.mean([low <= 0 <= high for _, low, high, *_ in intervals]) <= 0.97


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_skew_costs_coverage(seeds):
    """What the module says of it: skewness 1 (Gamma of shape 4) and 2 (an exponential)."""
    rng = np.random.default_rng(seeds)
    for shape, lowest, highest in ((4.0, 0.92, 0.955), (1.0, 0.87, 0.915)):
        intervals = [mean_ci(rng.gamma(shape, size=seeds)) for _ in range(3000)]
        assert lowest <= np.mean([low <= shape <= high for _, low, high, *_ in intervals]) <= highest


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("share", "stds"), [(0.1, (3.0, 0.3, 3.0)), (0.95, (1.0, 0.7, 3.0))])
def test_intervals_of_shares_cover_what_they_state(seeds, share, stds):
    """Agents on both rewards with as many seeds as each other, and twenty episodes of a random policy."""
    rng = np.random.default_rng(seeds)
    hits = []
    for _ in range(1000):
        draws = rng.normal(10 * share, stds[0], seeds), rng.normal(10, stds[1], seeds), rng.normal(0, stds[2], 20)
        value, reference, random = map(Sample.of, draws)
        interval = share_ci(value, random=random, reference=reference)
        hits.append(interval.low <= share <= interval.high)
    assert 0.93 <= np.mean(hits) <= 0.97


@pytest.mark.parametrize(("size", "rho"), [(10, 0.0), (20, 0.5), (50, 0.95)])
def test_intervals_of_order_cover_what_they_state(size: int, rho: float) -> None:
    rng, covered = np.random.default_rng(size), []
    true = 2 / math.pi * math.asin(rho)  # of normal values (Kendall)
    for _ in range(400):
        x = rng.normal(size=size)
        interval = order_ci(rho * x + math.sqrt(1 - rho**2) * rng.normal(size=size), x)
        covered.append(interval.low <= true <= interval.high)
    assert np.mean(covered) > 0.92


@pytest.mark.parametrize(("size", "share", "shift"), [(20, 0.3, 0.0), (50, 0.1, 1.0), (50, 0.3, 1.0)])
def test_they_cover_it_of_returns_that_are_0_or_1(size: int, share: float, shift: float) -> None:
    rng, covered = np.random.default_rng(size), []
    for _ in range(400):
        reached = (rng.random(size) < share).astype(float)
        interval = order_ci(rng.normal(size=size) + shift * reached, reached)
        covered.append(interval.low <= math.erf(shift / 2) <= interval.high or not 0 < reached.mean() < 1)
    assert np.mean(covered) > 0.92


def test_order_counts_pairs_that_differ_in_true_return() -> None:
    assert order_ci([3, 1, 2], [3, 1, 1]).value == 1  # the tie counts neither way
    assert order_ci([1, 1, 2, 0], [1, 2, 3, 0]).value == pytest.approx((5 - 0) / 6)
    assert math.isnan(order_ci([1, 2, 3, 4], [1, 2, 3, 4]).low)
    assert math.isnan(order_ci(range(9), [1] * 9).value)
    perfect, opposite = order_ci(range(20), range(20)), order_ci(range(20), range(0, -20, -1))
    assert (perfect.value, perfect.high) == (1, 1)
    assert perfect.low == pytest.approx(2 * 0.025 ** (1 / 19) - 1)
    assert (opposite.value, opposite.low, opposite.high) == (-1, -1, -perfect.low)
    assert order_ci(np.arange(200), [0] * 199 + [1]).low < -0.9  # one success is no evidence


def test_order_jackknifes_by_leaving_each_out() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=12), rng.integers(0, 3, 12).astype(float)
    whole = order_ci(x, y).value
    without = [order_ci(np.delete(x, i), np.delete(y, i)).value for i in range(12)]
    pseudo = 12 * whole - 11 * np.array(without)
    half = stats.t.ppf(0.975, 11) * pseudo.std(ddof=1) / math.sqrt(12)
    assert order_ci(x, y)[1:3] == pytest.approx((max(whole - half, -1), min(whole + half, 1)))
