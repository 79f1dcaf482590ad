"""Labels that heads go without: which, and that they calibrate the heads' disagreement."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rmgym.training.left_out import calibration, draw_votes


def test_labels_are_kept_from_each_pair_of_heads_in_turn() -> None:
    train = np.arange(100, 2100)
    votes = draw_votes(train, np.arange(2200), 5, 0.2, seed=3)
    assert votes.shape == (2200, 5)
    assert votes[:100].sum() == votes[2100:].sum() == 0  # held out
    assert set(votes.unique().tolist()) == {0, 1}
    assert votes[train].mean(dim=0).tolist() == pytest.approx([0.8] * 5)
    out = votes[train] == 0
    assert out.sum(dim=1).bincount().tolist() == [1000, 0, 1000]
    assert [int((out[:, a] & out[:, b]).sum()) for a in range(5) for b in range(a)] == [100] * 10
    assert torch.equal(votes, draw_votes(train, np.arange(2200), 5, 0.2, seed=3))
    assert not torch.equal(votes, draw_votes(train, np.arange(2200), 5, 0.2, seed=4))


@given(st.integers(1, 40), st.integers(1, 12), st.floats(0, 0.99), st.integers(0, 3))
def test_every_label_is_given_to_all_heads_but_two_at_most(train: int, heads: int, share: float, seed: int) -> None:
    votes = draw_votes(np.arange(train), np.arange(train), heads, share, seed)
    missing = heads - votes.sum(dim=1)
    assert set(missing.tolist()) <= ({0, 2} if heads > 2 else {0})
    assert int(missing.sum()) <= 2 * train


@given(st.integers(1, 60), st.integers(0, 40), st.integers(3, 6), st.floats(0, 0.6), st.integers(0, 3))
def test_further_labels_change_nothing_for_those_before(
    before: int, further: int, heads: int, share: float, seed: int
) -> None:
    few, more = (draw_votes(np.arange(n), np.arange(n), heads, share, seed) for n in (before, before + further))
    assert torch.equal(more[:before], few)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(3, 6), st.floats(0, 0.6), st.integers(0, 3))
def test_labels_that_tell_the_same_are_kept_from_the_same_heads(
    names: list[int], heads: int, share: float, seed: int
) -> None:
    alike = np.array(names)
    votes = draw_votes(np.arange(len(alike)), alike, heads, share, seed).numpy()
    assert all(len(np.unique(votes[alike == name], axis=0)) == 1 for name in set(names))
    assert (votes == 0).any(axis=1).sum() <= len(alike) * share * heads / 2 + 1


def test_as_many_are_kept_as_are_asked_for_where_some_that_tell_the_same_are_too_many() -> None:
    alike = np.array([0] * 60 + list(range(1, 41)))
    votes = draw_votes(np.arange(100), alike, 5, 0.1, seed=0)
    assert votes[:60].min() == 1
    assert int((votes[60:] == 0).any(dim=1).sum()) == 25


@pytest.mark.parametrize("true_factor", [0.5, 3.0])
def test_the_factor_says_how_much_wider_the_error_is_than_the_disagreement(true_factor: float) -> None:
    rng = np.random.default_rng(0)
    heads = rng.normal(size=(4000, 4))
    # The mean of four heads of variance 1 has an error with the standard deviation that is asked for.
    target = torch.from_numpy(heads.mean(axis=1) + true_factor * rng.normal(size=4000))
    factor, _ = spread_of(torch.from_numpy(heads), target, torch.zeros(4000, 4))
    assert factor == pytest.approx(true_factor, rel=0.05)


@pytest.mark.parametrize("apart", [0.0, 0.1, 1.0])
def test_within_two_standard_deviations_lie_as_many_new_errors_as_are_expected(apart: float) -> None:
    """Also where all heads are wrong together, which their disagreement does not show."""
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(8000, 1)) + apart * rng.normal(size=(8000, 3))
    heads, target, votes = torch.from_numpy(shared), torch.zeros(8000).double(), torch.zeros(8000, 3)
    factor, floor = spread_of(heads[:4000], target[:4000], votes[:4000])
    std = torch.hypot(factor * heads[4000:].std(dim=1), torch.tensor(floor))
    assert float((heads[4000:].mean(dim=1).abs() <= 2 * std).double().mean()) == pytest.approx(0.95, abs=0.015)


def test_calibration_reads_only_heads_that_were_not_given_the_label() -> None:
    predicted = torch.tensor([[1.0, 3.0, 99.0], [0.0, 2.0, -99.0]] * 4)
    votes, target = torch.tensor([[0.0, 0.0, 1.0]] * 8), torch.tensor([3.0, 0.0] * 4)
    # Means 2 and 1, variances 2: errors of 1 give sqrt(1 / 2), and lie within two of that.
    assert spread_of(predicted, target, votes) == pytest.approx((0.5**0.5, 0))
    # Of eight labels, 95 % of nine are all. The last one's error of 3 wants 9 = 4 * (variance * factor**2 + floor**2).
    target[-1] = -2
    factor = ((7 * 1 + 9) / 8 / 2) ** 0.5
    assert spread_of(predicted, target, votes) == pytest.approx((factor, (9 / 4 - factor**2 * 2) ** 0.5))
    assert calibration(predicted[:7], target[:7], votes[:7]) is None  # too few
    assert calibration(predicted, target, torch.ones(8, 3)) is None  # none was left out


def spread_of(predicted: torch.Tensor, target: torch.Tensor, votes: torch.Tensor) -> tuple[float, float]:
    """Factor and floor, where there are any."""
    both = calibration(predicted, target, votes)
    assert both is not None
    return both
