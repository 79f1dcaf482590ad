"""Composition, recomputed by hand."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.errors import RunError
from rmgym.models import Prediction
from rmgym.wrappers import Composition

MEAN, STD, TRUE = [-3.0, 0.5, 4.0], [1.0, 0.0, 2.0], [10.0, 20.0, -30.0]

BY_HAND = [
    ({}, [-3.0, 0.5, 4.0]),
    ({"true_weight": 0.5}, [2.0, 10.5, -11.0]),
    ({"true_weight": 1.0, "learned_weight": 0.0}, TRUE),
    ({"clip": (-1.0, 1.0)}, [-1.0, 0.5, 1.0]),
    ({"clip": (-math.inf, 1.0)}, [-3.0, 0.5, 1.0]),
    ({"uncertainty_penalty": 2.0}, [-5.0, 0.5, 0.0]),
    ({"uncertainty_penalty": -2.0}, [-1.0, 0.5, 8.0]),
    ({"clip": (-1.0, 1.0), "uncertainty_penalty": 2.0, "learned_weight": 3.0}, [-3.0, 1.5, 0.0]),
    (
        {"true_weight": -1.0, "learned_weight": 2.0, "clip": (0.0, 2.0), "uncertainty_penalty": 1.0},
        [-10.0, -19.0, 34.0],
    ),
]


def predicted(mean: Any = MEAN, std: Any = STD) -> Prediction:
    return Prediction(np.array(mean, np.float32), np.array(std, np.float32))


@pytest.mark.parametrize(("options", "expected"), BY_HAND)
def test_by_hand(options: dict[str, Any], expected: list[float]) -> None:
    reward = Composition(**options).apply(predicted(), np.array(TRUE, np.float32))
    assert reward.tolist() == expected
    assert reward.dtype == np.float32


finite = st.floats(-1e3, 1e3, width=32)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(finite, st.floats(0, 10, width=32), finite), min_size=1, max_size=8),
    alpha=finite,
    beta=st.floats(0.125, 8, width=32),
    low=st.floats(-10, 0, width=32),
    width=st.floats(1, 10, width=32),
    kappa=st.floats(-4, 4, width=32),
)
def test_is_the_formula_and_stays_in_its_bounds(
    rows: list[tuple[float, float, float]], alpha: float, beta: float, low: float, width: float, kappa: float
) -> None:
    mean, std, true = zip(*rows, strict=True)
    composed = Composition(
        true_weight=alpha, learned_weight=beta, clip=(low, low + width), uncertainty_penalty=kappa
    ).apply(predicted(mean, std), true)
    one_by_one = [alpha * t + beta * min(max(m - kappa * s, low), low + width) for m, s, t in rows]
    np.testing.assert_allclose(composed, one_by_one, rtol=1e-6, atol=1e-4)
    learned = Composition(clip=(low, low + width), uncertainty_penalty=kappa).apply(predicted(mean, std), true)
    assert learned.min() >= np.float32(low)
    assert learned.max() <= np.float32(low + width)


def test_changes_none_of_its_inputs() -> None:
    prediction, true = predicted(), np.array(TRUE)
    Composition(true_weight=1.0).apply(prediction, true)[:] = 99.0
    Composition().apply(prediction, true)[:] = 99.0
    assert (prediction.mean.tolist(), prediction.std.tolist(), true.tolist()) == (MEAN, STD, TRUE)


def test_the_true_reward_is_not_read_unless_it_has_a_weight() -> None:
    unknown = np.full(3, np.nan)
    assert Composition().apply(predicted(), unknown).tolist() == MEAN
    with pytest.raises(RunError, match="3 of 3 true rewards are unknown"):
        Composition(true_weight=0.1).apply(predicted(), unknown)


def test_options_travel_as_json() -> None:
    composition = Composition(true_weight=0.5, clip=(-1, 2), uncertainty_penalty=1.0)
    assert Composition.of(json.loads(json.dumps(composition.to_dict()))) == composition
    assert Composition.of(composition) is composition
    assert Composition.of(None) == Composition()
    assert Composition.of(None).is_plain
    assert not composition.is_plain


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"true_weight": math.nan}, "'true_weight' of a composition is a finite number"),
        ({"learned_weight": math.inf}, "'learned_weight'"),
        ({"learned_weight": "1"}, "'learned_weight'"),
        ({"uncertainty_penalty": math.nan}, "'uncertainty_penalty'"),
        ({"learned_weight": 0.0}, "both weights 0"),
        ({"clip": (1.0, 1.0)}, "low < high"),
        ({"clip": (2.0, -2.0)}, "low < high"),
        ({"clip": (0.0, math.nan)}, "low < high"),
        ({"clip": 3.0}, "low < high"),
        ({"clip": (0.0, 1.0, 2.0)}, "low < high"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RunError) as caught:
        Composition(**options)
    assert said in str(caught.value)


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(RunError, match="did you mean 'true_weight'"):
        Composition.of({"true_wieght": 1.0})
