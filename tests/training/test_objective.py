import numpy as np
import pytest
import torch
from scipy import stats

from rmgym.training.dataset import Collator, LabelData
from rmgym.training.losses import bradley_terry_loss, rating_loss
from rmgym.training.objective import CENTERING, Objective, judge, rewards_of
from tests.training.small import SmallReward, both, make_preferences, make_ratings


def setting(heads: int = 1) -> tuple[Objective, LabelData]:
    labels = both(make_ratings(12), make_preferences(6, lengths=(2, 4)))
    data = LabelData.of(labels, offset=5.0, scale=4.0)
    model = SmallReward.create(heads=heads, dropout=0.0)
    model.scale.fill_(4.0)
    model.offset.fill_(5.0)
    return Objective(model), data


def test_the_loss_of_a_batch_is_the_mean_over_its_labels() -> None:
    objective, data = setting(heads=2)
    with torch.no_grad():
        objective.log_beta.fill_(0.7)
    batch = Collator(data)([(i, item) for i, item in enumerate([0, 1, 2, 13])])
    rewards = objective.model(data.encoded)
    first, last = data.segments[1][0]
    left = rewards[first:last].sum(0, keepdim=True)
    first, last = data.segments[1][1]
    right = rewards[first:last].sum(0, keepdim=True)
    beta = np.exp(0.7)
    expected = 3 * rating_loss(rewards[:3], data.target[:3]) + bradley_terry_loss(
        beta * left, beta * right, data.choice[1:2], beta * data.margin[1:2]
    )
    assert objective(**batch)["loss"].item() == pytest.approx(expected.item() / 4, rel=1e-5)


def test_preferences_alone_pull_the_mean_reward_of_every_head_to_zero() -> None:
    data = LabelData.of(make_preferences(4, lengths=(3,)), offset=0.0, scale=1.0)
    model = SmallReward.create(heads=3, dropout=0.0)
    batch = Collator(data)([(0, 0), (1, 3)])
    means = model(batch["inputs"]).mean(0)
    difference = Objective(model, rated=False)(**batch)["loss"] - Objective(model)(**batch)["loss"]
    assert difference.item() == pytest.approx(CENTERING * means.square().sum().item(), rel=1e-4)


def test_how_sharp_preferences_are_is_fitted_only_beside_ratings() -> None:
    model = SmallReward.create()
    assert Objective(model).log_beta.requires_grad
    assert not Objective(model, rated=False).log_beta.requires_grad


def test_judging_by_hand() -> None:
    objective, data = setting(heads=2)
    objective.model.train()
    said = judge(objective, data, np.arange(18))
    assert objective.model.training
    with torch.no_grad():
        rewards = objective.model.eval()(data.encoded).double().numpy()
    apart = rewards.std(axis=1, ddof=1)
    mean, target = rewards.mean(1) / (1 + (apart / 3) ** 2), data.target.double().numpy()  # as it predicts
    residual = mean[:12] - target
    assert said["labels"] == 18
    assert said["rmse"] == pytest.approx(4 * np.sqrt(np.mean(residual**2)), rel=1e-5)
    assert said["r2"] == pytest.approx(1 - np.sum(residual**2) / np.sum((target - target.mean()) ** 2), rel=1e-5)
    assert said["spearman"] == pytest.approx(stats.spearmanr(mean[:12], target).statistic)
    sums = [[mean[a:b].sum() for a, b in pair] for pair in data.segments]
    right = [(left > other) == (choice > 0.5) for (left, other), choice in zip(sums, data.choice, strict=True)]
    assert said["accuracy"] == pytest.approx(np.mean(right))


def test_ties_of_the_annotator_are_left_out_and_ties_of_the_model_count_half() -> None:
    _, data = setting()
    model = SmallReward.create(dropout=0.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    data.choice[:] = torch.tensor([0.5, 0.5, 1.0, 0.0, 1.0, 1.0])
    assert judge(Objective(model), data, np.arange(12, 18))["accuracy"] == 0.5
    assert judge(Objective(model), data, np.arange(12, 14))["accuracy"] is None


def test_what_is_undefined_is_none() -> None:
    objective, data = setting()
    assert judge(objective, data, np.array([0]))["r2"] is None
    pairs = judge(objective, data, np.array([12, 13]))
    assert pairs["r2"] is pairs["rmse"] is pairs["spearman"] is None


def test_rewards_do_not_depend_on_micro_batches_or_dropout() -> None:
    labels = make_ratings(50)
    data = LabelData.of(labels, offset=0.0, scale=1.0)
    model = SmallReward.create(dropout=0.5).train()
    whole = rewards_of(model, data, np.arange(50))
    model.micro_batch = 7
    assert torch.allclose(rewards_of(model, data, np.arange(50)), whole, atol=1e-6)


def test_the_state_carries_the_best_weights() -> None:
    objective, data = setting()
    before = rewards_of(objective.model, data, np.arange(12))
    objective.remember()
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(1.0)
    after = rewards_of(objective.model, data, np.arange(12))
    other = Objective(SmallReward.create(seed=9, dropout=0.0))
    other.load_state_dict(objective.state_dict())
    assert torch.equal(rewards_of(other.model, data, np.arange(12)), after)
    other.recall()
    assert torch.equal(rewards_of(other.model, data, np.arange(12)), before)
    assert other.log_beta.item() == 0.0
