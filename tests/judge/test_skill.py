"""A judge's skill is measured, and one that has none is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from rmgym.errors import JudgeError
from rmgym.judge.skill import OrderedPairs, Reliability, fitted_slope, measured
from rmgym.metrics.statistics import wilson_ci
from tests.judge.fakes import by_height, step
from tests.judge.test_opinions import judge_of


def pairs(count: int, seed: int = 0) -> OrderedPairs:
    values = np.sort(np.random.default_rng(seed).random((count, 2)), axis=1)
    return OrderedPairs(
        better=tuple((step(high),) for high in values[:, 1].tolist()),
        worse=tuple((step(low),) for low in values[:, 0].tolist()),
        by="height",
    )


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, table I, method 3 (without continuity correction)
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    interval = wilson_ci(successes, trials)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    assert np.isnan(wilson_ci(0, 0).low)


@pytest.mark.parametrize("kind", ["preference", "rating"])
def test_a_good_judge_is_taken_with_its_numbers(tmp_path: Path, kind: str) -> None:
    skill = measured(judge_of(tmp_path, by_height(1.0)), kind, pairs(60))  # type: ignore[arg-type]
    assert (skill.right, skill.pairs) == (60, 60)
    skill.check(accept_unreliable=False)
    assert str(skill).endswith("100% of 60 pairs in order (95 % interval 94% to 100%; order by height)")


def test_confidence_is_the_accuracy_of_a_judge_that_is_always_as_sure(tmp_path: Path) -> None:
    """Log-odds of 2 or -2, right in 70 % of cases: the fitted slope takes it for 70 % sure, not for 88 %."""
    judge = judge_of(tmp_path, by_height(0.7))
    skill = measured(judge, "preference", pairs(300))
    share = skill.right / skill.pairs
    assert 0.6 < share < 0.8
    assert skill.probability(np.array([2.0]))[0] == pytest.approx(share, abs=0.01)
    assert skill.probability(np.array([-2.0, 0.0])) == pytest.approx([1 - share, 0.5], abs=0.01)


def test_the_slope_is_that_of_the_answers() -> None:
    """Of 20,000 answers that are right with probability expit(0.7 x): 0.7 comes back."""
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=20_000))
    apart = np.where(rng.random(len(x)) < expit(0.7 * x), x, -x)
    assert fitted_slope(apart) == pytest.approx(0.7, abs=0.05)
    assert fitted_slope(-apart) == 0.0
    assert fitted_slope(np.zeros(30)) == 0.0
    assert fitted_slope(np.zeros(0)) == 0.0
    assert np.isfinite(fitted_slope(x))


USELESS = 400


def test_a_useless_judge_is_refused_in_95_of_100_cases() -> None:
    """400 judges on 100 pairs each, who toss a coin: 2.5 % have an interval above one half by luck, here at most 5 %.

    Were 5 % the true share, this would fail half of the time; at 2.8 %, which Wilson's interval has at 100 pairs, of
    1,000 times hardly ever (and the seed is fixed).
    """
    rng = np.random.default_rng(0)
    taken = [
        Reliability.of("preference", "truth", rng.choice([-1.0, 1.0], size=100)).is_reliable for _ in range(USELESS)
    ]
    assert np.mean(taken) <= 0.05


def test_a_useless_judge_is_refused_through_its_answers(tmp_path: Path) -> None:
    """40 judges that read prompts, on 40 pairs each: at least 95 % are refused, and each is told why."""
    refusals = list[str]()
    for seed in range(40):
        judge = judge_of(tmp_path, by_height(0.5, seed=seed), f"judge {seed}")
        try:
            measured(judge, "preference", pairs(40, seed), seed=seed).check(accept_unreliable=False)
        except JudgeError as error:
            refusals.append(str(error))
    assert len(refusals) >= 38
    assert all("of 40 pairs in order (95 % interval" in text for text in refusals)


@pytest.mark.parametrize("kind", ["preference", "rating"])
def test_a_judge_that_always_says_the_same_is_at_chance(tmp_path: Path, kind: str) -> None:
    judge = judge_of(tmp_path, lambda prompt: {"A": 1.0, "3": 1.0}, both_orders=False, content_free=False)
    skill = measured(judge, kind, pairs(100))  # type: ignore[arg-type]
    assert not skill.is_reliable
    with pytest.raises(JudgeError, match=r"better than chance[\s\S]*of 100 pairs"):
        skill.check(accept_unreliable=False)
    skill.check(accept_unreliable=True)


def test_a_judge_that_never_answers_is_refused_whatever_is_accepted(tmp_path: Path) -> None:
    for kind in ("preference", "rating"):
        skill = measured(judge_of(tmp_path, lambda prompt: {}), kind, pairs(20))  # type: ignore[arg-type]
        with pytest.raises(JudgeError, match="no answer to 20 pairs"):
            skill.check(accept_unreliable=True)


def test_few_pairs_are_refused() -> None:
    with pytest.raises(JudgeError, match="at least 20 pairs"):
        pairs(19)


def test_a_rating_far_from_others_is_surer() -> None:
    apart, ratings = np.linspace(0.5, 3, 40), np.linspace(2, 8, 80)
    skill = Reliability.of("rating", "truth", apart, ratings)
    sure = skill.confidence(np.array([5.0, 8.0, 12.0]))
    assert 0.5 < sure[0] < sure[1] < sure[2] <= 1
