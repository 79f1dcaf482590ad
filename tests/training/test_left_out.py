"""Labels that heads go without: how many, and that they calibrate the heads' disagreement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rmgym.training.left_out import calibration, draw_votes


def test_each_head_goes_without_a_share_of_its_own() -> None:
    train = np.arange(100, 2100)
    votes = draw_votes(train, 2200, 5, 0.2, seed=3)
    assert votes.shape == (2200, 5)
    assert votes[:100].sum() == votes[2100:].sum() == 0  # held out
    assert set(votes.unique().tolist()) == {0, 1}
    np.testing.assert_allclose(votes[train].mean(dim=0), 0.8, atol=0.04)  # 4.5 standard errors
    both = (votes[train, 0] * votes[train, 1]).mean()
    assert both == pytest.approx(0.64, abs=0.05)  # drawn apart from each other
    assert torch.equal(votes, draw_votes(train, 2200, 5, 0.2, seed=3))
    assert not torch.equal(votes, draw_votes(train, 2200, 5, 0.2, seed=4))


def test_a_single_head_and_a_head_that_was_given_nothing_are_given_all() -> None:
    assert draw_votes(np.arange(6), 6, 1, 0.9, seed=0).tolist() == [[1]] * 6
    votes = draw_votes(np.arange(2), 2, 50, 0.9, seed=0)
    assert (votes.sum(dim=0) > 0).all()


@pytest.mark.parametrize("true_factor", [0.5, 3.0])
def test_calibration_finds_how_much_wider_the_error_is_than_the_disagreement(true_factor: float) -> None:
    rng = np.random.default_rng(0)
    heads = rng.normal(size=(4000, 4))
    # The mean of four heads of variance 1 has an error with the standard deviation that is asked for.
    target = torch.from_numpy(heads.mean(axis=1) + true_factor * rng.normal(size=4000))
    votes = torch.zeros(4000, 4)
    assert calibration(torch.from_numpy(heads), target, votes) == pytest.approx(true_factor, rel=0.05)


def test_calibration_reads_only_heads_that_were_not_given_the_label() -> None:
    predicted = torch.tensor([[1.0, 3.0, 99.0], [0.0, 2.0, -99.0]] * 4)
    votes = torch.tensor([[0.0, 0.0, 1.0]] * 8)
    # Means 2 and 1, variances 2: errors of 1 give sqrt(1 / 2).
    assert calibration(predicted, torch.tensor([3.0, 0.0] * 4), votes) == pytest.approx(0.5**0.5)
    assert calibration(predicted[:7], torch.tensor([3.0, 0.0] * 4)[:7], votes[:7]) == 1.0  # too few
    assert calibration(predicted, torch.tensor([3.0, 0.0] * 4), torch.ones(8, 3)) == 1.0  # none was left out
