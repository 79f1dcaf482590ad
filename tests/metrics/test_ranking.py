"""Correlations against SciPy and against counting by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rmgym.metrics import order_agreement, pair_accuracy, pearson, r_squared, spearman

NUMBERS = st.lists(st.integers(-50, 50), min_size=3, max_size=30)


@given(NUMBERS, st.randoms(use_true_random=False))
def test_correlations_equal_scipy(values, random):
    other = [v + random.randint(-20, 20) for v in values]
    if len(set(values)) > 1 and len(set(other)) > 1:
        assert spearman(values, other) == pytest.approx(stats.spearmanr(values, other).statistic)
        assert pearson(values, other) == pytest.approx(stats.pearsonr(values, other).statistic)
    else:
        assert math.isnan(spearman(values, other))
        assert math.isnan(pearson(values, other))


@given(NUMBERS)
def test_any_increasing_map_keeps_order(values):
    if len(set(values)) > 1:
        learned = np.exp(np.array(values) / 50)
        assert spearman(learned, values) == pytest.approx(1)
        assert pair_accuracy(learned, values) == 1
        assert pair_accuracy(-learned, values) == 0


def test_pair_accuracy_counts_half_for_a_tie():
    # Of the three differing pairs of (0, 1, 2), the learned reward ties one and orders two rightly.
    learned, true = [0, 0, 1], [0, 1, 2]
    assert pair_accuracy(learned, true, pairs=200_000) == pytest.approx((0.5 + 1 + 1) / 3, abs=0.01)


def test_pair_accuracy_ignores_pairs_of_equal_true_reward():
    assert pair_accuracy([0, 5, 9], [1, 1, 2]) == 1
    assert math.isnan(pair_accuracy([0, 5], [1, 1]))


def test_r_squared_by_hand():
    # residuals 0, 1, 1 -> 2; total around mean 2: 1 + 0 + 1 = 2 -> 0
    assert r_squared([1, 3, 4], [1, 2, 3]) == pytest.approx(0)
    assert r_squared([1, 2, 3], [1, 2, 3]) == 1
    assert math.isnan(r_squared([1, 2], [3, 3]))


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="received 2 and 3"):
        spearman([1, 2], [1, 2, 3])


def test_order_agreement_by_hand():
    reference = [0.0, 1.0, 3.0]  # pairs are apart by 1, 3 and 2
    judges = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [5.0, 5.0, 5.0]]).T  # all right; one pair wrong; all ties
    assert order_agreement(judges, reference) == pytest.approx((6 + 5 + 3) / 18)
    assert order_agreement(-judges[:, :1], reference) == 0
    assert math.isnan(order_agreement(judges, [1.0, 1.0, 1.0]))
    assert math.isnan(order_agreement(judges[:1], reference[:1]))


@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_order_agreement_knows_order_alone_of_judges_and_no_units_of_the_reference(seed, count):
    rng = np.random.default_rng(seed)
    reference, judged = rng.normal(size=count), rng.normal(size=(count, 3))
    agreement = order_agreement(judged, reference)
    assert 0 <= agreement <= 1
    assert order_agreement(np.exp(judged), 2 * reference + 1) == pytest.approx(agreement)
    assert order_agreement(-judged, reference) == pytest.approx(1 - agreement)
