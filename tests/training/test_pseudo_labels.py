import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rmgym.errors import FitError, JobError
from rmgym.text import TextBatch
from rmgym.training import FitOptions, fit
from rmgym.training.dataset import Collator, LabelData
from rmgym.training.losses import bradley_terry_loss, rating_loss
from rmgym.training.objective import Objective
from rmgym.training.pseudo_labels import answer, draw_pairs
from rmgym.training.trainer import RewardTrainer
from tests.training.small import SmallReward, both, make_preferences, make_ratings, make_texts


def data_of(labels: Any, steps: int = 50) -> LabelData:
    return LabelData.of(labels, offset=5.0, scale=4.0, unlabelled=make_texts(steps, 8))


def test_pairs_are_as_long_as_the_shorter_side_and_of_unlabelled_steps_alone() -> None:
    like = np.array([[[0, 3], [3, 5]], [[5, 9], [9, 13]], [[0, 90], [90, 180]]])
    pairs = np.concatenate([draw_pairs(like, 100, 20, np.random.default_rng(seed)) for seed in range(200)])
    assert pairs[..., 0].min() == 100
    assert pairs[..., 1].max() == 120
    lengths = (pairs[..., 1] - pairs[..., 0]).reshape(200, 3, 2)
    assert (lengths == np.array([2, 4, 20])[:, None]).all(), "no longer than there are steps"
    assert len(np.unique(pairs[::3, 0, 0])) == 19, "each beginning is drawn"


def test_an_answer_counts_where_the_mean_of_the_heads_is_sure() -> None:
    odds = torch.tensor([[2.0, 4.0], [0.0, -6.0], [-9.0, -9.0], [7.0, 7.0]])
    sums = torch.cat([odds, torch.zeros(4, 2)])
    chances = [(1 / (1 + math.exp(-a)) + 1 / (1 + math.exp(-b))) / 2 for a, b in odds.tolist()]
    assert chances[0] > 0.93 > 0.9
    assert 0.1 < chances[1] < 0.5
    choice, votes = torch.tensor([math.nan, math.nan, math.nan, 0.3]), torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    choices, counts = answer(sums, choice, votes, 0.9, 0.5)
    assert choices.tolist() == [1, 0, 0, pytest.approx(0.3)], "what somebody answered stays, however sure the model is"
    assert counts.tolist() == [[0.5, 0.5], [0, 0], [0.5, 0.5], [1, 0]]


def test_a_batch_has_a_pair_that_nobody_answered_for_each_that_somebody_did() -> None:
    data = data_of(both(make_ratings(12), make_preferences(6, lengths=(4,))))
    drawn = [(5, 0), (6, 13), (7, 14), (8, 1)]
    batch = Collator(data, crop=0.5, pseudo=True)(drawn)
    plain = Collator(data, crop=0.5)(drawn)
    assert batch["choice"].isnan().tolist() == [False, False, True, True]
    assert torch.equal(batch["choice"][:2], plain["choice"])
    assert batch["votes"].shape == (6, 1)
    sizes = torch.bincount(batch["segment"], minlength=8).tolist()
    assert sizes[2:4] == sizes[6:] == [4, 4], "whole segments are scored, so that they can be answered"
    whole = torch.zeros(8).index_add(0, batch["segment"], batch["whole"])
    weight = torch.zeros(8).index_add(0, batch["segment"], batch["weight"])
    assert torch.equal(weight[[0, 1, 4, 5]], torch.bincount(plain["segment"]).float()), "as without them"
    assert whole[[2, 3, 6, 7]].tolist() == [4] * 4
    assert (weight >= 2).all()
    assert torch.equal(weight[2:4], weight[6:]), "both sides are cut to one length"
    again = Collator(data, crop=0.5, pseudo=True)(drawn)
    assert all(torch.equal(batch[key], again[key]) for key in ("step", "weight"))
    other = Collator(data, crop=0.5, pseudo=True)([(9, item) for _, item in drawn])
    assert len(other["step"]) != len(batch["step"]) or not torch.equal(other["step"], batch["step"])


def test_the_loss_counts_them_beside_labels_and_whole_segments_decide() -> None:
    data = data_of(both(make_ratings(12), make_preferences(6, lengths=(4,))))
    model = SmallReward.create(heads=2, dropout=0.0)
    batch = Collator(data, crop=0.5, pseudo=True)([(5, 0), (6, 13), (7, 14)])
    with torch.no_grad():
        rewards = model(batch["inputs"])
        sums = {
            key: torch.zeros(8, 2).index_add(0, batch["segment"], rewards[batch["step"]] * batch[key][:, None])
            for key in ("weight", "whole")
        }
        chance = torch.sigmoid(sums["whole"][2:4] - sums["whole"][6:]).mean(1)
    confidence = float(torch.maximum(chance, 1 - chance).mean())  # one of the two is surer
    sure = (torch.maximum(chance, 1 - chance) > confidence).float()
    assert sure.sum() == 1
    expected = rating_loss(rewards[batch["rated"]], batch["target"]) + 2 * bradley_terry_loss(
        sums["weight"][:2], sums["weight"][4:6], batch["choice"][:2], torch.zeros(2)
    )
    free = bradley_terry_loss(
        sums["weight"][2:4], sums["weight"][6:], (chance > 0.5).float(), torch.zeros(2), sure[:, None].expand(2, 2)
    )
    loss = Objective(model, pseudo=(confidence, 0.25))(**batch)["loss"]
    assert loss.item() == pytest.approx((expected + 0.25 * 2 * free).item() / 3, rel=1e-5)


def test_steps_of_a_long_segment_are_drawn_as_of_a_labelled_one() -> None:
    data = data_of(make_preferences(6, lengths=(8,)))
    batch = Collator(data, steps_per_segment=3, crop=0.5, pseudo=True)([(0, 0), (1, 1)])
    assert torch.bincount(batch["segment"]).tolist() == [3] * 8
    assert torch.zeros(8).index_add(0, batch["segment"], batch["whole"])[[2, 3, 6, 7]].tolist() == pytest.approx(
        [8] * 4
    )


def test_what_nobody_is_sure_of_changes_nothing_of_the_weights() -> None:
    labels, texts = make_preferences(60), make_texts(80, 3)
    never = FitOptions(max_steps=30, validation=0, pseudo_labels=1 - 1e-12)
    with_them = fit(SmallReward.create(dropout=0.0), labels, never, unlabelled=texts, progress=False).model
    without = fit(SmallReward.create(dropout=0.0), labels, FitOptions(max_steps=30, validation=0), progress=False).model
    unseen = make_texts(50, 9)
    a, b = with_them.predict(unseen).mean, without.predict(unseen).mean
    assert np.corrcoef(a, b)[0, 1] > 0.99, "the pull to the mean of all steps is all that differs"


def test_its_own_answers_set_rewards_further_apart() -> None:
    labels, texts = make_preferences(40, lengths=(1,)), make_texts(300, 3)

    def apart(options: FitOptions, unlabelled: TextBatch | None) -> float:
        model = fit(SmallReward.create(dropout=0.0), labels, options, unlabelled=unlabelled, progress=False).model
        return float(model.predict(texts).mean.std()) / model.scale.item()

    plain = FitOptions(max_steps=200, validation=0, learning_rate=1e-2)
    assert apart(replace(plain, pseudo_labels=0.6, pseudo_weight=4.0), texts) > 1.1 * apart(plain, None)


def test_an_interrupted_fit_goes_on_with_the_same_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, texts = make_preferences(60), make_texts(80, 3)
    how = FitOptions(max_steps=30, checkpoint_every=10, validation=0, pseudo_labels=0.6)
    whole = fit(SmallReward.create(), labels, how, unlabelled=texts, progress=False)
    step = RewardTrainer.training_step

    def interrupted(trainer: RewardTrainer, *args: Any) -> Any:
        if trainer.state.global_step == 25:
            raise KeyboardInterrupt
        return step(trainer, *args)

    monkeypatch.setattr(RewardTrainer, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(SmallReward.create(), labels, how, unlabelled=texts, out=tmp_path / "m", progress=False)
    monkeypatch.undo()
    for other in (texts[:79], None):
        with pytest.raises((JobError, FitError)):
            fit(SmallReward.create(), labels, how, unlabelled=other, out=tmp_path / "m", resume=True, progress=False)
    again = fit(SmallReward.create(), labels, how, unlabelled=texts, out=tmp_path / "m", resume=True, progress=False)
    assert again.model.digest == whole.model.digest


@pytest.mark.parametrize(
    ("labels", "options", "unlabelled", "message"),
    [
        (make_preferences(10), {"pseudo_labels": 0.9}, None, "'pseudo_labels' is about unlabelled texts"),
        (make_preferences(10), {"pseudo_labels": 0.9}, make_texts(5)[:0], "'pseudo_labels' is about unlabelled texts"),
        (make_preferences(10), {"pseudo_labels": 0.9}, TextBatch.from_strings(["x is 1.0"]), "of the card of the"),
        (make_ratings(10), {"pseudo_labels": 0.9}, make_texts(5), "answers to comparisons"),
    ],
)
def test_what_they_cannot_be_of_is_refused(labels: Any, options: Any, unlabelled: Any, message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit(SmallReward.create(), labels, FitOptions(**options), unlabelled=unlabelled, progress=False)
