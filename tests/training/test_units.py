"""Units from one fit to the next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmgym.training.units import match_units, robust_units
from tests.training.small import SmallReward, make_ratings


def test_a_model_gets_the_mean_and_spread_of_the_one_before_and_keeps_its_order() -> None:
    texts = make_ratings(40).ratings.texts  # type: ignore[union-attr]
    model, earlier = (SmallReward.create(seed=seed).accept_random_weights().eval() for seed in (1, 2))
    earlier.scale.fill_(3.0)
    earlier.offset.fill_(-7.0)
    model.noise.fill_(0.5)
    before, wanted = model.predict(texts), earlier.predict(texts).mean
    match_units(model, earlier, texts)
    now = model.predict(texts)
    assert now.mean.mean() == pytest.approx(wanted.mean(), rel=1e-4)
    assert now.mean.std() == pytest.approx(wanted.std(), rel=1e-4)
    assert np.corrcoef(now.mean, before.mean)[0, 1] == pytest.approx(1, abs=1e-5)
    assert now.std / before.std == pytest.approx(wanted.std() / before.mean.std(), rel=1e-3)


def test_few_large_ratings_do_not_hide_what_the_others_tell() -> None:
    small = np.random.default_rng(0).normal(0, 2, 900)
    ratings = np.concatenate([small, np.full(100, -100.0)])
    offset, scale = robust_units(ratings)
    assert abs(offset) < 0.5
    assert 1.5 < scale < 2.5 < ratings.std() / 10


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=60).filter(lambda values: len(set(values)) > 1))
def test_units_follow_the_ratings_and_are_never_wider_than_a_standard_deviation(values: list[int]) -> None:
    ratings = np.array(values, np.float64)
    offset, scale = robust_units(ratings)
    assert ratings.min() <= offset <= ratings.max()
    assert ratings.std() / 16 <= scale * (1 + 1e-9)
    assert scale <= ratings.std() * (1 + 1e-9)
    assert robust_units(3 * ratings + 7) == pytest.approx((3 * offset + 7, 3 * scale))


def test_ratings_of_light_tails_are_standardised() -> None:
    levels = np.repeat(np.arange(1.0, 11.0), 10)
    assert robust_units(levels) == pytest.approx((5.5, levels.std()))
    rare = np.repeat([0.0, 1.0], [95, 5])  # the middle half is all the same
    assert robust_units(rare) == pytest.approx((0.0, rare.std()))
