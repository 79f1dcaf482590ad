"""What drove a score: planted fields come first, and terms of their own are told exactly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

import rmgym
from rmgym.errors import TextError
from rmgym.evaluation.attribution import attribute
from rmgym.models.base import as_texts
from rmgym.prediction import Prediction
from rmgym.text.batch import TextBatch
from tests.doubles import ToyReward

STEPS = rmgym.collect("LunarLander-v3", 400, seed=3, progress=False)
TEXTS = rmgym.textualizer("LunarLander-v3").batch(STEPS)


@dataclass(frozen=True)
class Planted(ToyReward):
    """Adds up a height and what the engines do, and reads nothing else."""

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        strings = as_texts(texts).strings()
        return Prediction(np.array([worth(text) for text in strings], np.float32), np.zeros(len(strings), np.float32))


def worth(text: str) -> float:
    height = float(re.findall(r"height[^:]*: (-?\d+\.\d+)", text)[-1])
    return 3 * height + 10 * ("main engine" in text.partition("Action:")[2])


def test_a_planted_field_comes_first_and_its_share_is_its_term_less_the_mean() -> None:
    explained = attribute(Planted(), TEXTS[:20], TEXTS, samples=200, seed=1)
    strings = TEXTS.strings()
    for i, each in enumerate(explained):
        assert each.score == pytest.approx(worth(strings[i]), rel=1e-5)
        by_field = {share.field: share for share in each.shares}
        height = next(share for field, share in by_field.items() if "height" in field)
        others = np.flatnonzero([text != strings[i] for text in strings])
        drawn = np.random.default_rng(1 + i).choice(others, 200)
        heights = [float(re.findall(r"height[^:]*: (-?\d+\.\d+)", strings[j])[-1]) for j in drawn]
        own = float(re.findall(r"height[^:]*: (-?\d+\.\d+)", strings[i])[-1])
        assert height.amount == pytest.approx(3 * (own - np.mean(heights)), abs=1e-3)
        assert height.value.split(", ")[-1] in strings[i]
        nothing = [s for s in each.shares if "height" not in s.field and abs(s.amount) > 1e-5]
        assert len(nothing) == 1, "the engines alone"
        assert {each.shares[0].field, each.shares[1].field} == {height.field, nothing[0].field}
        assert all(share.error == 0 for share in each.shares if share not in (height, nothing[0]))


def test_a_fitted_model_is_explained_by_what_its_labels_were_about() -> None:
    height = STEPS.next_obs[:, 1]
    ratings = rmgym.Ratings(texts=TEXTS, values=(height * 5).astype(np.float32), groups=STEPS.episode)
    how = rmgym.FitOptions(max_steps=150, validation=0, patience=None)
    model = rmgym.fit("no-lm", rmgym.Labels(ratings=ratings), how, progress=False).model
    rows = np.argsort(-np.abs(height - height.mean()))[:10]
    first = [each.shares[0].field for each in attribute(model, TEXTS[rows], TEXTS)]
    assert sum("height" in field for field in first) >= 9


def test_without_other_texts_of_its_template_nothing_stands_in() -> None:
    with pytest.raises(TextError, match="same template"):
        attribute(Planted(), TEXTS[:1], TextBatch.from_strings(["speed: 1.0"]), samples=3)
    assert attribute(Planted(), TEXTS[:0], TEXTS) == []
    (alone,) = attribute(Planted(), TEXTS[:1], TEXTS[:1])
    assert (alone.score, alone.shares) == (pytest.approx(worth(TEXTS[:1].strings()[0]), rel=1e-5), ())
