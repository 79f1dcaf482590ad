"""Agreement as it is computed by hand, and nothing where there is nothing to tell."""

from __future__ import annotations

import numpy as np
import pytest

from rmgym.feedback.agreement import agreement, agreement_of_each


def by_hand(first: list[float], second: list[float]) -> float:
    """Alpha of two who answered all: one less the squared differences within questions over those of all pairs."""
    pooled = np.array([*first, *second])
    within = np.mean(np.subtract(first, second) ** 2)
    of_all = [(a - b) ** 2 for i, a in enumerate(pooled) for j, b in enumerate(pooled) if i != j]
    return float(1 - within / np.mean(of_all))


def named(*answers: float) -> dict[str, float]:
    return {f"r{i}": value for i, value in enumerate(answers)}


def test_of_two_it_is_the_one_by_hand_and_what_one_alone_answered_does_not_count() -> None:
    ann, bob = [0.0, 0.5, 1.0, 0.25], [0.0, 1.0, 1.0, 0.5]
    values = {"ann": named(*ann, 0.9), "bob": {**named(*bob), "r9": 0.1}, "cid": {}}
    both = agreement(values)
    assert both.questions == 4
    assert both.alpha == pytest.approx(by_hand(ann, bob))
    each = agreement_of_each(values)
    assert each["ann"].alpha == each["bob"].alpha == pytest.approx(both.alpha)
    assert (each["cid"].alpha, each["cid"].questions) == (None, 0)


def test_the_same_is_1_chance_is_about_0_and_the_reverse_is_below() -> None:
    rng = np.random.default_rng(0)
    ann, bob = rng.random(2000), rng.random(2000)
    assert agreement({"ann": named(*ann), "bob": named(*ann)}).alpha == 1
    assert agreement({"ann": named(*ann), "bob": named(*bob)}).alpha == pytest.approx(0, abs=0.07)
    assert agreement({"ann": named(*ann), "bob": named(*(1 - ann))}).alpha == pytest.approx(-1, abs=0.01)
    some = slice(0, 60)
    rounded = agreement({"ann": named(*ann[some]), "bob": named(*bob[some])}).alpha
    assert rounded == pytest.approx(by_hand(ann[some].tolist(), bob[some].tolist()), abs=0.01)


def test_who_errs_agrees_least_with_the_others() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(300) < 0.5).astype(float)
    wrong = {"ann": 0.05, "bob": 0.05, "eve": 0.4}
    values = {name: named(*np.abs(truth - (rng.random(300) < share))) for name, share in wrong.items()}
    each = {name: of.alpha or 0.0 for name, of in agreement_of_each(values).items()}
    assert each["eve"] < 0.3 < 0.5 < min(each["ann"], each["bob"])
    with_her = agreement(values).alpha
    without = agreement({name: values[name] for name in ("ann", "bob")}).alpha
    assert with_her is not None
    assert without is not None
    assert with_her < without


@pytest.mark.parametrize("values", [{}, {"ann": {}}, {"ann": {"r1": 1.0}}, {"ann": {"r1": 1.0}, "bob": {"r2": 0.0}}])
def test_where_nobody_shares_a_question_there_is_no_agreement(values: dict[str, dict[str, float]]) -> None:
    assert (agreement(values).alpha, agreement(values).questions) == (None, 0)


def test_where_all_answers_are_one_nothing_can_be_told() -> None:
    same = agreement({"ann": named(1.0, 1.0, 1.0), "bob": named(1.0, 1.0, 1.0)})
    assert (same.alpha, same.questions) == (None, 3)
