"""The model and its loss as one module, and what the fitted model is worth on some labels."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from rmgym.metrics.ranking import r_squared, spearman
from rmgym.models.encoding import Encoded
from rmgym.models.neural import NeuralRewardModel
from rmgym.training.dataset import Batch, Collator, LabelData, Rows
from rmgym.training.losses import bradley_terry_loss, rating_loss, segment_sums
from rmgym.training.pseudo_labels import answer
from rmgym.training.rank_losses import RANK_LOSSES

CENTERING = 0.01
"""Pull of each head's mean reward towards zero where several heads learn from an order alone, that of preferences or of
ratings. It leaves the offset of every head free; apart, the heads would seem to disagree (the
``center_rewards_coefficient`` of TRL, after Eisenstein et al. 2023)."""

Metrics: TypeAlias = dict[str, Any]
"""Measures by name, some in tables of their own; JSON-able. What is not defined is None."""

BEST = "best."
"""Prefix of the best weights in the state."""


class Objective(nn.Module):
    """A batch of labels in, its loss out.

    Where ratings fix the units, how sharply preferences follow from summed rewards (the annotator's rationality,
    beta of B-Pref, Lee et al. 2021) is fitted too: held at 1, exact preferences would stretch the rewards.
    Without ratings beta and the scale of the reward are one and the same, and beta is 1.

    Its state holds the weights now and the best ones so far, so that a checkpoint has both.

    Args:
        model: the model that is fitted.
        kind: loss of ratings.
        rated: whether the labels have ratings; if not, or if their order alone is read, each head's mean is pulled to
            zero, see :data:`CENTERING`.
        pseudo: confidence and weight of the model's own answers, see :func:`rmgym.training.pseudo_labels.answer`; None
            where every pair has an answer.
    """

    def __init__(
        self,
        model: NeuralRewardModel,
        *,
        kind: str = "huber",
        rated: bool = True,
        pseudo: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.pseudo = pseudo
        self.model, self.kind, self.centred = model, kind, not rated or kind in RANK_LOSSES
        self.log_beta = nn.Parameter(torch.zeros((), device=model.device), requires_grad=rated)
        self.best: dict[str, Tensor] = {}
        self.register_state_dict_post_hook(_add_best)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_take_best)  # type: ignore[no-untyped-call]

    def forward(
        self,
        inputs: Encoded,
        rated: Tensor,
        target: Tensor,
        step: Tensor,
        segment: Tensor,
        weight: Tensor,
        whole: Tensor,
        choice: Tensor,
        margin: Tensor,
        votes: Tensor,
    ) -> dict[str, Tensor]:
        """The loss of a :class:`rmgym.training.dataset.Batch`, per label that somebody gave."""
        rewards: Tensor = self.model(inputs).float()  # whatever the precision of the products
        sums = segment_sums(rewards[step], segment, weight, 2 * len(choice))
        share = 1.0
        if self.pseudo is not None:
            share = 1 - float(choice.isnan().sum()) / len(votes)
            odds = self.log_beta.exp() * segment_sums(rewards[step], segment, whole, 2 * len(choice))
            choice, of_pairs = answer(odds, choice, votes[len(target) :], *self.pseudo)
            votes = torch.cat([votes[: len(target)], of_pairs])
        loss = self.loss(rewards[rated], target, sums, choice, margin, votes) / share
        if self.centred:
            loss = loss + CENTERING * rewards.mean(0).square().sum()
        return {"loss": loss}

    def loss(
        self, rated: Tensor, target: Tensor, sums: Tensor, choice: Tensor, margin: Tensor, votes: Tensor
    ) -> Tensor:
        """Mean loss per label, over ratings and preferences together, from ``[R, heads]`` and ``[2 N, heads]``."""
        of_ratings, of_pairs = torch.split(votes, [len(target), len(choice)])
        total = sums.new_zeros(())
        if len(target):
            total = total + len(target) * rating_loss(rated, target, self.kind, of_ratings)
        if len(choice):
            beta = self.log_beta.exp().to(sums.device)
            left, right = (beta * sums).chunk(2)
            total = total + len(choice) * bradley_terry_loss(left, right, choice, beta * margin, of_pairs)
        return total / (len(target) + len(choice))

    def remember(self) -> None:
        """Keep the present weights as the best so far."""
        self.best = {}
        self.best = {name: value.detach().clone() for name, value in self.state_dict().items()}

    def recall(self) -> None:
        """Return to the best weights, if any were kept."""
        if self.best:
            self.load_state_dict(self.best)


def _add_best(module: nn.Module, state: MutableMapping[str, Tensor], prefix: str, metadata: object) -> None:
    del metadata
    assert isinstance(module, Objective)
    state.update({f"{prefix}{BEST}{name}": value for name, value in module.best.items()})


def _take_best(module: nn.Module, state: MutableMapping[str, Tensor], prefix: str, *rest: object) -> None:
    del rest
    assert isinstance(module, Objective)
    start = prefix + BEST
    names = [name for name in state if name.startswith(start)]
    module.best = {name.removeprefix(start): state.pop(name) for name in names}


@torch.inference_mode()
def rewards_of(model: NeuralRewardModel, data: LabelData, rows: Rows) -> Tensor:
    """Standardised rewards of some rows, ``float32 [len(rows), heads]`` on the CPU, without dropout."""
    was_training = model.training
    model.eval()
    try:
        pieces: list[Tensor] = [
            model(data.encoded.take(part).to(model.device)).float().cpu()
            for part in torch.split(torch.from_numpy(rows), model.micro_batch)
        ]
    finally:
        model.train(was_training)
    return torch.cat(pieces)


@torch.no_grad()
def judge(objective: Objective, data: LabelData, items: Rows) -> dict[str, float | int | None]:
    """Measure what a model predicts on some labels, whole segments always.

    Returns:
        ``labels`` (their number), ``loss`` (as fitted), of ratings ``r2``, ``spearman`` and ``rmse`` (in label units),
        of preferences ``accuracy`` (share ordered rightly; where the model ties, half; where the annotator tied, left
        out); None where undefined or not applicable.
    """
    model = objective.model
    rows = data.rows(items)
    batch: Batch = Collator(data)([(0, int(item)) for item in items])
    rewards = rewards_of(model, data, rows)
    every = model.combined(rewards, model.disagreement(data.encoded.take(torch.from_numpy(rows)), rewards))
    sums, combined_sums = (
        segment_sums(of[batch["step"]], batch["segment"], batch["weight"], 2 * len(batch["choice"]))
        for of in (rewards, every[:, None])
    )
    rated, target, choice = rewards[batch["rated"]], batch["target"], batch["choice"]
    predicted = every[batch["rated"]]
    measures: dict[str, float | int | None] = {
        "labels": len(items),
        "loss": float(objective.loss(rated, target, sums, choice, batch["margin"], torch.ones(len(items), 1))),
        "r2": _finite(r_squared(predicted, target)),
        "spearman": _finite(spearman(predicted, target)),
        "rmse": None,
        "accuracy": None,
    }
    if len(target):
        measures["rmse"] = _finite(float((predicted - target).square().mean().sqrt() * model.scale.cpu()))
    decided = choice != 0.5
    if decided.any():
        left, right = combined_sums[:, 0].chunk(2)
        agreement = torch.sign(left - right) * torch.sign(choice - 0.5)
        measures["accuracy"] = float((agreement[decided] + 1).mean() / 2)
    return measures


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
