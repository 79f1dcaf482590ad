"""What unlabelled steps, which cost nobody an answer, teach a model before labels do.

Steps tell what follows from a state and an action. Binding heads learn to foresee it: the numbers of the next state
are hidden, and each head predicts, from what is left, how much they will have changed. What it reads that off are the
layers that rewards are read off later, which so know beforehand what sets steps apart (Metcalf et al. 2024, REED,
https://arxiv.org/abs/2402.17975; there a part of the network, and its loss, stay while labels are learned). What
numbers are of the next state is told by the text: they are those that were there before
(:mod:`rmgym.models.readers.changes`).

Free steps can also say how numbers and words are spread, by which a reader standardises them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rmgym.errors import FitError
from rmgym.models.encoding import Encoded
from rmgym.models.heads.binding import BindingHeads
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.readers.changes import number_names, repeated
from rmgym.models.readers.hashing import Name
from rmgym.models.readers.late import LateReader
from rmgym.text.batch import TextBatch
from rmgym.training.fit_options import FitOptions

DRAWN = 128
"""Steps that an optimiser step draws."""
WEIGHT_DECAY, MAX_NORM = 0.01, 1.0


def check_unlabelled(labelled: TextBatch, unlabelled: TextBatch | None, options: FitOptions) -> None:
    """Refuse options that nothing would come of, and steps of something else.

    Raises:
        FitError: there are no unlabelled texts, or they are of another card.
    """
    if not options.takes_unlabelled:
        return
    if unlabelled is None or not len(unlabelled):
        asked = {"free_steps": options.free_steps, "free_statistics": options.free_statistics, "pseudo_labels": True}
        name = next(name for name, value in asked.items() if value)
        raise FitError(f"{name!r} is about unlabelled texts", got="none", fix="pass unlabelled=, or leave it out")
    if unlabelled.card_hash != labelled.card_hash:
        raise FitError(
            "unlabelled texts are of the card of the labelled ones",
            got=f"{unlabelled.card_hash}, and labels of {labelled.card_hash}",
            fix="describe them with the same textualizer",
        )


def check_foreseeable(model: NeuralRewardModel, texts: TextBatch) -> None:
    """Refuse what :func:`foresee` cannot teach or learn from, before anybody is asked for labels.

    Raises:
        FitError: the model has other heads, or no text says a state and the next one.
    """
    _binding(model)
    if not any(repeated(template) for template in texts.templates):
        got, fix = texts.templates[0][:80], "leave free_steps= out"
        raise FitError("free steps say a state and the next one", got=got, fix=fix)


def _binding(model: NeuralRewardModel) -> tuple[BindingHeads, LateReader]:
    """The heads of a model that free steps teach, and what reads for them."""
    heads, reader = getattr(model, "heads", None), getattr(model, "reader", None)
    if not isinstance(heads, BindingHeads) or not isinstance(reader, LateReader):
        raise FitError("free steps teach binding heads", got=model.name, fix="take 'minilm' or 'no-lm'")
    return heads, reader


def prepare(
    model: NeuralRewardModel, labelled: TextBatch, unlabelled: TextBatch | None, options: FitOptions, *, begun: bool
) -> None:
    """Get a model ready for being fitted.

    Args:
        model: one that was not fitted, changed in place.
        labelled: what it is fitted on: what is held out has to be as new as anything that comes.
        unlabelled: what it learns from before, as far as the options say so.
        options: of the fit.
        begun: whether a checkpoint has what it learned from them.
    """
    if unlabelled is None or not options.free_statistics:
        model.prepare(labelled)
    else:
        model.prepare(TextBatch.concatenate([labelled, unlabelled]))
    if unlabelled is not None and options.free_steps and not begun:
        foresee(model, unlabelled, options.free_steps, options.seed)


def foresee(model: NeuralRewardModel, texts: TextBatch, steps: int, seed: int) -> list[float]:
    """Let the heads of a prepared model learn what follows from states and actions.

    Args:
        model: one with binding heads and late fusion; changed in place.
        texts: of steps.
        steps: optimiser steps.
        seed: of what is drawn; global random states stay as they are.

    Returns:
        The loss at each step: mean squared error in standard deviations of the changes.

    Raises:
        FitError: the model has other heads, or no text says a state and the next one.
    """
    check_foreseeable(model, texts)
    heads, reader = _binding(model)
    data, tower = model.encode(texts), getattr(model, "tower", None)
    with torch.no_grad():
        reading = reader.read(tower, data.templates, ())
    what = _Changes.of(heads, data, reading.mean.cpu(), reading.spread.cpu())
    drawn = torch.Generator().manual_seed(seed)
    count = what.values.shape[1]
    start = (2 * torch.rand(heads.heads, heads.width, count, generator=drawn) - 1) / heads.width**0.5
    decoder = nn.Parameter(start.to(model.device))
    learning = [*(p for p in heads.parameters() if p.requires_grad), decoder]
    optimiser = torch.optim.AdamW(learning, lr=model.learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = list[float]()
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(data), (min(DRAWN, len(data)),), generator=drawn)
        seen = data.take(rows)
        seen = replace(seen, mask=seen.mask & ~what.hidden[rows, : seen.mask.shape[1]]).to(model.device)
        with torch.no_grad():
            reading = reader.read(tower, seen.templates, seen.phrases)
        foreseen = heads.body(heads.first(reading, seen)[0]) @ decoder
        there, values = what.there[rows].to(model.device), what.values[rows].to(model.device)
        loss = ((foreseen - values).square() * there).sum() / (heads.heads * there.sum().clamp_min(1))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, MAX_NORM)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses


@dataclass(frozen=True, eq=False)
class _Changes:
    """What is hidden of some texts, and what is to be foreseen of them.

    Attributes:
        hidden: which of their numbers are of the next state, or say how it differs, ``bool [B, S]``.
        values: how much each number that any of them says twice has changed, standardised, ``float32 [B, K]``.
        there: where a text does say it, ``bool [B, K]``.
    """

    hidden: Tensor
    values: Tensor
    there: Tensor

    @classmethod
    def of(cls, heads: BindingHeads, data: Encoded, mean: Tensor, spread: Tensor) -> _Changes:
        """Those of encoded texts, whose numbers have such means and standard deviations, ``[T, S]`` each."""
        named = [number_names(template) for template in data.templates]
        columns = dict[Name, int]()
        for template, names in zip(data.templates, named, strict=True):
            for name in names[len(names) - len(repeated(template)) :]:
                columns.setdefault(name, len(columns))
        index = data.template_index
        features = heads.number_features(mean[index], spread[index], data.numbers, data.mask)[..., 0].float()
        hidden = torch.zeros_like(data.mask)
        values, there = torch.zeros(len(data), len(columns)), torch.zeros(len(data), len(columns), dtype=torch.bool)
        for t, (template, names) in enumerate(zip(data.templates, named, strict=True)):
            pairs, rows = repeated(template), (index == t).nonzero()
            changes = torch.arange(len(names) - len(pairs), len(names))
            hidden[rows, torch.tensor([later for later, _ in pairs], dtype=torch.long)] = True
            hidden[rows, changes] = True
            into = torch.tensor([columns[names[i]] for i in changes.tolist()], dtype=torch.long)
            values[rows, into], there[rows, into] = features[rows, changes], True
        return cls(hidden, values, there)
