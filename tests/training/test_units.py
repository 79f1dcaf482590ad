"""Units from one fit to the next."""

from __future__ import annotations

import numpy as np
import pytest

from rmgym.training.units import match_units
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
