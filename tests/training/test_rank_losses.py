import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from rmgym.errors import FitError
from rmgym.metrics.ranking import spearman
from rmgym.training import FitOptions, fit
from rmgym.training.rank_losses import LONGEST, RANK_LOSSES, rank_loss
from tests.training.small import SmallReward, both, make_preferences, make_ratings, make_texts, true_reward


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


PREDICTED, RATED = [0.5, -1.0, 2.0, 0.25], [3.0, 1.0, 3.0, 2.0]


def ranknet(predicted: list[float], rated: list[float]) -> float:
    given = list(zip(predicted, rated, strict=True))
    pairs = [(p, q) for p, y in given for q, z in given if y > z]
    return sum(math.log1p(math.exp(q - p)) for p, q in pairs) / len(pairs)


def rank_mse(predicted: list[float], rated: list[float]) -> float:
    soft = [sum(sigmoid(p - q) for q in predicted) / len(predicted) for p in predicted]
    ranks = (stats.rankdata(rated) - 0.5) / len(rated)
    return 12 * float(sum((s - r) ** 2 for s, r in zip(soft, ranks, strict=True))) / len(rated)


def listmle(predicted: list[float], rated: list[float]) -> float:
    among = [[q for q, z in zip(predicted, rated, strict=True) if z <= y] for y in rated]
    return sum(math.log(sum(map(math.exp, qs))) - p for p, qs in zip(predicted, among, strict=True)) / len(predicted)


BY_HAND = {"ranknet": ranknet, "rank-mse": rank_mse, "listmle": listmle}


@pytest.mark.parametrize("kind", RANK_LOSSES)
def test_rank_losses_by_hand_summed_over_heads(kind: str) -> None:
    predicted = torch.tensor([PREDICTED, PREDICTED[::-1]]).T
    expected = BY_HAND[kind](PREDICTED, RATED) + BY_HAND[kind](PREDICTED[::-1], RATED)
    assert rank_loss(predicted, torch.tensor(RATED), kind).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", RANK_LOSSES)
def test_a_head_goes_without_what_it_was_not_given(kind: str) -> None:
    votes = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    predicted = torch.tensor([PREDICTED, PREDICTED]).T.clone().requires_grad_()
    rated = [3.0, 1.0, 2.0, 2.5]
    loss = rank_loss(predicted, torch.tensor(rated), kind, votes)
    assert loss.item() == pytest.approx(BY_HAND[kind](PREDICTED, rated) + BY_HAND[kind](PREDICTED[::2], rated[::2]))
    loss.backward()
    assert predicted.grad is not None
    assert predicted.grad[[1, 3], 1].tolist() == [0, 0]
    assert torch.isfinite(predicted.grad).all()


@pytest.mark.parametrize("kind", RANK_LOSSES)
def test_the_order_alone_counts(kind: str) -> None:
    predicted, rated = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20.0)
    loss = rank_loss(predicted, rated, kind)
    assert torch.equal(rank_loss(predicted, torch.exp(rated), kind), loss)
    assert rank_loss(predicted + 5, rated, kind).item() == pytest.approx(loss.item(), rel=1e-4), "it knows no offset"
    right, wrong = rated[:, None] / 4, -rated[:, None] / 4
    assert rank_loss(right, rated, kind) < rank_loss(wrong, rated, kind)


def test_listmle_is_the_surprise_at_an_order_drawn_one_after_the_other() -> None:
    """Probabilities of all orders of three add up to one."""
    predicted = torch.tensor([[0.3], [-1.0], [2.0]])
    losses = [rank_loss(predicted, torch.tensor(order), "listmle").item() for order in permutations([1.0, 2.0, 3.0])]
    assert sum(math.exp(-3 * loss) for loss in losses) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("kind", RANK_LOSSES)
def test_ratings_that_tell_no_order_cost_nothing_to_learn(kind: str) -> None:
    predicted = torch.zeros(4, 2, requires_grad=True)
    rank_loss(predicted, torch.full((4,), 2.0), kind).backward()
    assert predicted.grad is not None
    assert torch.allclose(predicted.grad, torch.zeros(4, 2), atol=1e-7)
    none = torch.randn(4, 2)
    assert rank_loss(none, torch.arange(4.0), kind, torch.zeros(4, 2)).item() == 0


def test_long_lists_are_cut() -> None:
    predicted, rated = torch.randn(2 * LONGEST + 50, 1), torch.randn(2 * LONGEST + 50)
    parts = [rank_loss(predicted[a : a + LONGEST], rated[a : a + LONGEST], "ranknet") for a in (0, LONGEST)]
    rest = rank_loss(predicted[-50:], rated[-50:], "ranknet")
    expected = (LONGEST * parts[0] + LONGEST * parts[1] + 50 * rest) / len(rated)
    assert rank_loss(predicted, rated, "ranknet").item() == pytest.approx(expected.item(), rel=1e-5)


def test_an_unknown_one_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(FitError, match="did you mean 'ranknet'"):
        rank_loss(torch.zeros(1, 1), torch.zeros(1), "ranknett")


@pytest.mark.parametrize("kind", RANK_LOSSES)
@pytest.mark.parametrize("heads", [1, 5])
def test_a_fit_on_an_order_predicts_in_the_units_of_the_ratings(kind: str, heads: int) -> None:
    labels = make_ratings(120)
    how = FitOptions(max_steps=200, loss=kind, learning_rate=1e-2)  # type: ignore[arg-type]
    result = fit(SmallReward.create(heads=heads, dropout=0.0), labels, how, progress=False)
    assert labels.ratings is not None
    predicted, given = result.model.predict(labels.ratings.texts).mean.astype(float), labels.ratings.values
    assert spearman(predicted, given) > 0.9
    assert predicted.mean() == pytest.approx(given.mean(), abs=0.1 * float(given.std()))
    held_out = result.metrics["validation"]
    assert held_out["r2"] > 0.7
    assert 0 < held_out["rmse"] < given.std()
    assert result.model.predict(make_texts(20, 5)).std.max() > 0


def test_least_squares_leaves_no_slope_on_the_labels_it_was_fitted_on() -> None:
    labels = make_ratings(80)
    model = fit(
        SmallReward.create(dropout=0.0),
        labels,
        FitOptions(max_steps=100, loss="rank-mse", validation=0),
        progress=False,
    ).model
    assert labels.ratings is not None
    predicted, given = model.predict(labels.ratings.texts).mean.astype(float), labels.ratings.values
    slope, intercept = np.polyfit(predicted, given, 1)
    assert slope == pytest.approx(1, abs=1e-3)
    assert intercept == pytest.approx(0, abs=1e-2)


def test_what_learned_nothing_of_an_order_predicts_its_mean() -> None:
    """The slope of a model that was taken the wrong way round is 0, not negative."""
    labels = make_ratings(60)
    how = FitOptions(max_steps=1, loss="ranknet", validation=0, learning_rate=1e-9)
    assert labels.ratings is not None
    for seed in range(4):
        model = fit(SmallReward.create(seed=seed, dropout=0.0), labels, how, progress=False).model
        predicted, given = model.predict(labels.ratings.texts).mean, labels.ratings.values
        assert spearman(predicted, given) > -1e-6 or np.ptp(predicted) < 1e-3 * np.ptp(given)
        assert predicted.mean() == pytest.approx(given.mean(), abs=1e-2)


def test_comparisons_count_beside_the_order_of_ratings() -> None:
    labels = both(make_ratings(40), make_preferences(60))
    how = FitOptions(max_steps=200, loss="listmle", validation=0, learning_rate=1e-2)
    result = fit(SmallReward.create(dropout=0.0), labels, how, progress=False)
    assert result.metrics["train"]["accuracy"] > 0.85
    texts = make_texts(100, 7)
    assert spearman(result.model.predict(texts).mean, true_reward(texts)) > 0.85


def test_looks_say_nothing_in_units_that_are_not_known_yet(tmp_path: Path) -> None:
    how = FitOptions(max_steps=20, eval_every=10, loss="ranknet")
    fit(SmallReward.create(), make_ratings(100), how, out=tmp_path / "m", progress=False)
    record = (tmp_path / "m" / "fit.json").read_text()
    assert "eval_spearman" in record
    assert "eval_r2" not in record
    assert "eval_rmse" not in record
