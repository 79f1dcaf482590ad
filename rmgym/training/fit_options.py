"""How a reward model is fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from rmgym.errors import FitError, nearest
from rmgym.models.neural import NeuralRewardModel
from rmgym.options import read_options

LossKind = Literal["huber", "mse", "ranknet", "rank-mse", "listmle"]
Schedule = Literal["cosine", "linear", "constant"]
Precision = Literal["float32", "bfloat16"]
FEWEST_DRAWN = 32
"""Labels that a step draws at least."""


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Options of :func:`rmgym.fit`.

    Attributes:
        max_steps: optimiser steps, unless early stopping ends the run before.
        batch_size: labels per step; every label is drawn once before any is drawn again. By default 32, and where a
            step costs little (binding heads) an eighth of the labels, up to 128, so that many are seen often enough.
        learning_rate: of everything but a tuned language model; by default the model's own for 32 labels a step, 2e-3
            for binding heads and 1e-3 for others. AdamW (Loshchilov & Hutter 2019).
        lm_learning_rate: of parameters whose name starts with ``tower.``, a tuned pretrained language model; LoRA
            learns at ten times this rate.
        weight_decay: of matrices; biases, norms and single scales have none.
        warmup_ratio: share of ``max_steps`` over which the learning rate rises from zero.
        schedule: what follows: ``cosine`` or ``linear`` decay to zero, or ``constant``.
        max_grad_norm: gradients are scaled down to this norm; 0 switches clipping off.
        validation: share of the labels held out, by whole episodes; 0 trains on all of them.
        eval_every: steps between two looks at the held-out labels.
        patience: looks without improvement after which fitting stops; None never stops early.
        loss: of ratings: ``huber`` or ``mse`` of standardised values; ``ranknet`` (pairs), ``rank-mse`` (soft ranks) or
            ``listmle`` (the whole list) of the order of a batch (:mod:`rmgym.training.rank_losses`).
        steps_per_segment: how many steps of a longer segment are scored per draw, an unbiased estimate of its sum
            (through the log-sigmoid it is biased, so None, all steps, is the exact way).
        crop: smallest share of a compared segment that is scored per draw. Both sides are cut to one length that is
            drawn, each somewhere: further pairs with the same answer, nearly always rightly (Park et al. 2022, SURF,
            https://arxiv.org/abs/2203.10050); 1 scores whole segments.
        implied: fit on the ratings too that all comparisons together imply for their steps, see
            :mod:`rmgym.training.implied`; of comparisons alone, 1,000 at most.
        free_steps: optimiser steps by which binding heads learn, before any label, to foresee what follows from the
            states and actions of unlabelled texts (:mod:`rmgym.training.free_steps`); 0 for none. A suite has those of
            all steps that it has collected.
        free_statistics: standardise numbers and words over unlabelled texts too, not over labelled ones alone.
        pseudo_labels: chance above which the model's own answer to a comparison of unlabelled steps is taken for a
            label (:mod:`rmgym.training.pseudo_labels`), such as 0.99; None takes none. A suite has the texts of all
            steps that it has collected.
        pseudo_weight: how often such an answer counts, where one that somebody gave counts once.
        leave_out: share of the labels that each of three heads or more goes without, so that their disagreement tells
            what the labels leave open, and that these labels tell how far off it is; 0 gives all heads all labels. Two
            heads go without each such label, so that it is ``2 / heads`` at most.
        shuffle_labels: permute the labels among the texts first: the control ``shuffled``.
        precision: of matrix products while fitting: ``bfloat16`` is cheaper on processors that know it, where a
            language model runs at every step; weights, optimiser and the finished model stay in float32.
        checkpoint_every: steps between two checkpoints, where the model is fitted into a folder.
        seed: order of labels, held-out episodes, dropout.

    Raises:
        FitError: a value is impossible.
    """

    max_steps: int = 1500
    batch_size: int | None = None
    learning_rate: float | None = None
    lm_learning_rate: float = 5e-5
    weight_decay: float = 0.01
    warmup_ratio: float = 0.05
    schedule: Schedule = "cosine"
    max_grad_norm: float = 1.0
    validation: float = 0.1
    eval_every: int = 100
    patience: int | None = 10
    loss: LossKind = "huber"
    steps_per_segment: int | None = None
    crop: float = 1.0
    implied: bool = False
    free_steps: int = 0
    free_statistics: bool = False
    pseudo_labels: float | None = None
    pseudo_weight: float = 1.0
    leave_out: float = 0.1
    shuffle_labels: bool = False
    precision: Precision = "float32"
    checkpoint_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "eval_every", "checkpoint_every", "patience", "steps_per_segment"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise FitError(f"{name} is at least 1", got=count, fix=f"pass {name}=1 or more")
        for name in ("learning_rate", "lm_learning_rate"):
            if (rate := getattr(self, name)) is not None and not 0 < rate < float("inf"):
                raise FitError(f"{name} is a positive number", got=getattr(self, name), fix="try 1e-3")
        for name in ("weight_decay", "max_grad_norm", "free_steps", "pseudo_weight", "seed"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise FitError(f"{name} is not negative", got=getattr(self, name), fix="pass 0 or more")
        for name in ("validation", "warmup_ratio", "leave_out"):
            if not 0 <= getattr(self, name) < 1:
                raise FitError(f"{name} is a share in [0, 1)", got=getattr(self, name), fix="try 0.1")
        if self.pseudo_labels is not None and not 0.5 <= self.pseudo_labels < 1:
            raise FitError("pseudo_labels is a chance from 0.5 to 1", got=self.pseudo_labels, fix="try 0.99")
        if not 0 < self.crop <= 1:
            raise FitError("crop is a share of a segment above 0", got=self.crop, fix="try 0.6, or 1 for none")
        for name, kind in (("loss", LossKind), ("schedule", Schedule), ("precision", Precision)):
            if (value := getattr(self, name)) not in get_args(kind):
                raise FitError(f"{name} is known", got=value, fix=nearest(value, get_args(kind)))

    @property
    def takes_unlabelled(self) -> bool:
        """Whether anything is learned from unlabelled texts."""
        return self.free_steps > 0 or self.free_statistics or self.pseudo_labels is not None

    def settled(self, model: NeuralRewardModel, labels: int) -> Self:
        """These options with what they leave to a model and a number of labels.

        A step of more labels than usual may be longer: for Adam, with the square root of their number (Malladi et al.
        2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", https://arxiv.org/abs/2205.10287).
        """
        batch = self.batch_size or min(max(labels // 8, FEWEST_DRAWN), model.most_drawn)
        longer = max(min(batch, model.most_drawn) / FEWEST_DRAWN, 1)
        rate = model.learning_rate * math.sqrt(longer)
        return replace(self, batch_size=batch, learning_rate=self.learning_rate or rate)

    @classmethod
    def of(cls, values: Mapping[str, object], owner: str = "options of a fit") -> Self:
        """Options from named values, as a suite's file holds them.

        Args:
            values: by name.
            owner: whose they are, such as the file and the reward; every error begins with it.

        Raises:
            FitError: a key is unknown, a value has the wrong type, or as the class says.
        """
        return read_options(cls, values, owner, FitError)
