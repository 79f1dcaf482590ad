"""What unlabelled steps teach before labels, recomputed by hand; and that a fit knows of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rmgym
from rmgym.errors import FitError, JobError
from rmgym.feedback.labels import Labels, Ratings
from rmgym.models import create_reward_model
from rmgym.models.no_language_model import NoLanguageModel
from rmgym.text import TextBatch
from rmgym.training import FitOptions, fit, free_steps
from rmgym.training.free_steps import foresee
from rmgym.training.trainer import RewardTrainer

NEXT = "speed: {:.1f}, push: {:s}. Next: speed: {:.1f}, height: {:.1f}."
OVER = "speed: {:.1f}, height: {:.1f}, push: {:s}. Next: speed: {:.1f}, height: {:.1f}. It is over."
OPTIONS = FitOptions(max_steps=12, validation=0, patience=None, checkpoint_every=5, free_steps=4)


def steps(count: int, seed: int = 0, *, pushed: float = 1.0) -> TextBatch:
    """Steps in which a push to the right adds to the speed, and one to the left takes it away."""
    rng = np.random.default_rng(seed)
    speed, right = rng.normal(size=count), rng.integers(0, 2, count)
    after = speed + pushed * (2 * right - 1) + 0.1 * speed
    numbers = np.stack([speed, after, rng.normal(size=count)], axis=1).round(1)
    return TextBatch(
        templates=(NEXT,),
        template_index=np.zeros(count, np.int32),
        numbers=numbers.reshape(-1),
        offsets=3 * np.arange(count + 1),
        phrases=("left", "right"),
        words=right.astype(np.int32),
        language="en",
        card_hash="steps",
    )


def rated(count: int = 30) -> Labels:
    texts = steps(count, seed=1)
    return Labels(ratings=Ratings(texts=texts, values=texts.numbers[::3].astype(np.float32), groups=np.arange(count)))


def small(seed: int = 0) -> NoLanguageModel:
    return NoLanguageModel.create(seed=seed, width=16, heads=3, roles=8)


def test_heads_learn_to_foresee_what_they_are_not_shown() -> None:
    model = small()
    model.prepare(steps(300))
    roles, weights = model.heads.role.weight.clone(), model.heads.hidden.clone()
    state = torch.get_rng_state()
    losses = foresee(model, steps(300), 200, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert losses[0] > 0.8  # nothing is known of a change of standard deviation 1
    assert np.mean(losses[-20:]) < 0.2
    assert torch.equal(model.heads.role.weight, roles)
    assert not torch.equal(model.heads.hidden, weights)
    again = small()
    again.prepare(steps(300))
    assert foresee(again, steps(300), 200, seed=3) == losses
    assert again.digest == model.digest


def test_nothing_is_foreseen_of_what_nothing_tells() -> None:
    texts = steps(2000)
    numbers = texts.numbers.reshape(-1, 3).copy()
    numbers[:, 1] = numbers[:, 0] + np.random.default_rng(5).normal(size=2000).round(1)
    model = small()
    model.prepare(texts)
    losses = foresee(model, replace(texts, numbers=numbers.reshape(-1)), 150, seed=0)
    assert np.mean(losses[-20:]) > 0.7  # the change itself is hidden, and the next speed, which would give it away


def test_what_is_hidden_and_foreseen_by_template() -> None:
    one = steps(2)
    two = TextBatch(
        templates=(OVER,),
        template_index=np.zeros(1, np.int32),
        numbers=np.array([1.0, 5.0, 1.5, 4.0]),
        offsets=np.array([0, 4]),
        phrases=("left",),
        words=np.zeros(1, np.int32),
        language="en",
        card_hash="steps",
    )
    model = small()
    model.prepare(TextBatch.concatenate([one, two]))
    data = model.encode(TextBatch.concatenate([one, two]))
    assert data.templates == (NEXT, OVER)
    reading = model.reader.read(None, data.templates, ())
    what = free_steps._Changes.of(model.heads, data, reading.mean, reading.spread)
    # Speed, next speed, height, change of speed; and speed, height, next speed, next height, changes of both.
    assert what.hidden.tolist() == [[False, True, False, True, False, False]] * 2 + [
        [False, False, True, True, True, True]
    ]
    assert what.there.tolist() == [[True, False], [True, False], [True, True]]
    changes = [*np.diff(one.numbers.reshape(2, 3)[:, :2], axis=1)[:, 0], 0.5]
    standardised = (np.array(changes) - np.mean(changes)) / np.std(changes)
    assert what.values[:, 0].numpy() == pytest.approx(standardised, abs=1e-5)


def test_a_fit_begins_with_what_free_steps_taught() -> None:
    labels, free = rated(), steps(200)
    plain = fit(small(), labels, replace(OPTIONS, free_steps=0), progress=False).model
    unused = fit(small(), labels, replace(OPTIONS, free_steps=0), unlabelled=free, progress=False).model
    assert unused.digest == plain.digest
    taught = fit(small(), labels, OPTIONS, unlabelled=free, progress=False).model
    others = fit(small(), labels, OPTIONS, unlabelled=steps(200, seed=7), progress=False).model
    assert len({plain.digest, taught.digest, others.digest}) == 3
    assert fit(small(), labels, OPTIONS, unlabelled=free, progress=False).model.digest == taught.digest
    # A model that goes on has learned from them.
    further = fit(taught, labels, OPTIONS, unlabelled=free, progress=False).model
    assert further.fitted_on["options"]["free_steps"] == 0


def test_statistics_are_of_labelled_and_unlabelled_texts_where_that_is_asked_for() -> None:
    labels, free = rated(), steps(200, pushed=3.0)
    for asked in (False, True):
        model = small()
        fit(model, labels, replace(OPTIONS, free_steps=0, free_statistics=asked), unlabelled=free, progress=False)
        texts = TextBatch.concatenate([labels.texts, free]) if asked else labels.texts
        changes = np.diff(texts.numbers.reshape(-1, 3)[:, :2], axis=1)
        reading = model.reader.read(None, (NEXT,), ())
        assert float(reading.spread[0, -1]) == pytest.approx(changes.std())


@pytest.mark.parametrize("moment", ["while it foresees", "after a checkpoint"])
def test_a_fit_that_was_stopped_goes_on_to_the_same_weights(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, free = rated(), steps(100)
    whole = fit(small(), labels, OPTIONS, unlabelled=free, out=tmp_path / "whole", progress=False).model
    step: Any = RewardTrainer.training_step

    def stopped(self: RewardTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 7:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if moment == "after a checkpoint":
            patched.setattr(RewardTrainer, "training_step", stopped)
        else:
            patched.setattr(free_steps, "foresee", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(small(), labels, OPTIONS, unlabelled=free, out=tmp_path / "fit", progress=False)
    with pytest.raises(JobError, match="unlabelled"):
        fit(small(), labels, OPTIONS, unlabelled=free[:50], out=tmp_path / "fit", resume=True, progress=False)
    if moment == "after a checkpoint":  # which has what was foreseen
        monkeypatch.setattr(free_steps, "foresee", interrupted)
    resumed = fit(small(), labels, OPTIONS, unlabelled=free, out=tmp_path / "fit", resume=True, progress=False)
    assert resumed.model.digest == whole.digest


def test_what_nothing_can_be_learned_from_is_refused() -> None:
    labels, free = rated(), steps(50)
    for option in ("free_steps", "free_statistics"):
        how = replace(OPTIONS, **{"free_steps": 0, option: 1})
        for nothing in (None, free[[]]):
            with pytest.raises(FitError, match=f"'{option}' is about unlabelled texts"):
                fit(small(), labels, how, unlabelled=nothing, progress=False)
        with pytest.raises(FitError, match="of the card of the labelled ones"):
            fit(small(), labels, how, unlabelled=replace(free, card_hash="another"), progress=False)
    with pytest.raises(FitError, match="teach binding heads"):
        fit(create_reward_model("seq2seq"), labels, OPTIONS, unlabelled=free, progress=False)
    states = rmgym.TextBatch.from_strings([f"speed: {i / 10}" for i in range(20)])
    model = small()
    model.prepare(states)
    with pytest.raises(FitError, match="a state and the next one"):
        foresee(model, states, 3, seed=0)
