import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.errors import FitError
from rmgym.training.losses import bradley_terry_loss, rating_loss, segment_sums


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # residuals 0.5, -3 in the first head and 0, 1 in the second
        ("mse", (0.25 + 9) / 2 + (0 + 1) / 2),
        ("huber", (0.5 * 0.25 + (3 - 0.5)) / 2 + (0 + 0.5) / 2),
    ],
)
def test_rating_loss_is_a_mean_over_labels_and_a_sum_over_heads(kind: str, expected: float) -> None:
    predicted = torch.tensor([[1.5, 1.0], [-1.0, 3.0]])
    assert rating_loss(predicted, torch.tensor([1.0, 2.0]), kind).item() == pytest.approx(expected)


def test_an_unknown_loss_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(FitError, match="did you mean 'huber'"):
        rating_loss(torch.zeros(1, 1), torch.zeros(1), "hubber")


def minus_log_sigmoid(x: float) -> float:
    return math.log1p(math.exp(-x))


@pytest.mark.parametrize(
    ("left", "right", "choice", "margin", "expected"),
    [
        (0.0, 0.0, 1.0, 0.0, math.log(2)),
        (3.0, 1.0, 1.0, 0.0, minus_log_sigmoid(2)),
        (3.0, 1.0, 0.0, 0.0, minus_log_sigmoid(-2)),
        (3.0, 1.0, 0.5, 0.0, (minus_log_sigmoid(2) + minus_log_sigmoid(-2)) / 2),
        (3.0, 1.0, 0.8, 0.0, 0.8 * minus_log_sigmoid(2) + 0.2 * minus_log_sigmoid(-2)),
        (3.0, 1.0, 1.0, 0.5, minus_log_sigmoid(1.5)),
        (1.0, 3.0, 0.0, 0.5, minus_log_sigmoid(1.5)),
    ],
)
def test_bradley_terry_by_hand(left: float, right: float, choice: float, margin: float, expected: float) -> None:
    arguments = (torch.tensor([[left]]), torch.tensor([[right]]), torch.tensor([choice]), torch.tensor([margin]))
    assert bradley_terry_loss(*arguments).item() == pytest.approx(expected, rel=1e-5)


def test_bradley_terry_is_a_mean_over_pairs_and_a_sum_over_heads() -> None:
    left, right = torch.tensor([[1.0, 2.0], [0.0, 5.0]]), torch.zeros(2, 2)
    loss = bradley_terry_loss(left, right, torch.tensor([1.0, 0.0]), torch.zeros(2))
    first = (minus_log_sigmoid(1) + minus_log_sigmoid(0)) / 2
    second = (minus_log_sigmoid(2) + minus_log_sigmoid(-5)) / 2
    assert loss.item() == pytest.approx(first + second, rel=1e-5)


reward = st.floats(-20, 20, width=32)


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(reward, reward, st.floats(0, 1, width=32), st.floats(0, 3, width=32)), min_size=1))
def test_swapping_sides_and_choice_changes_nothing(pairs: list[tuple[float, float, float, float]]) -> None:
    left, right, choice, margin = torch.tensor(pairs).T
    one = bradley_terry_loss(left[:, None], right[:, None], choice, margin)
    other = bradley_terry_loss(right[:, None], left[:, None], 1 - choice, margin)
    assert one.item() == pytest.approx(other.item(), rel=1e-5, abs=1e-6)


def test_segment_sums_weigh_each_step() -> None:
    rewards = torch.tensor([[1.0], [2.0], [4.0]])
    sums = segment_sums(rewards, torch.tensor([2, 0, 2]), torch.tensor([1.0, 1.0, 2.5]), 3)
    assert sums.tolist() == [[2.0], [0.0], [11.0]]
