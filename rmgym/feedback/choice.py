"""What to ask about the steps of an agent that is learning: where it goes, what it takes for good, what is unsure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.queries import Rows, features_of
from rmgym.prediction import Prediction
from rmgym.text.batch import TextBatch
from rmgym.text.distinct import distinct
from rmgym.transitions import Transitions

_TOP = 400
"""Steps with the largest predictions among which some are drawn."""
_SAME, _FAR = 1e-9, 1e6  # squared distances: of two texts that are nearly one, and where nothing was rated


@dataclass(frozen=True, kw_only=True)
class QuestionMix:
    """Why steps are asked about, as shares of a round's questions; what is left over is ``unsure``.

    Attributes:
        terminated: steps that ended the task. They are few, and what they are worth decides (a lander's crash); the
            other shares are of what is left.
        uniform: any steps of the agent: where it goes, the reward has to be right.
        largest: steps with the largest predicted reward: what the agent will go for, right or wrong (exploits).

    Raises:
        FeedbackError: they are no shares.
    """

    terminated: float = 0.12
    uniform: float = 0.5
    largest: float = 0.25

    def __post_init__(self) -> None:
        if (
            min(self.terminated, self.uniform, self.largest) < 0
            or max(self.terminated, self.uniform + self.largest) > 1
        ):
            raise FeedbackError("shares of questions add up to 1 at most", got=self, fix="leave them as they are")


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """Questions that were chosen: steps to rate, and segments to compare.

    Attributes:
        ratings: rows of the steps, ``int64 [R]``.
        preferences: first rows of the left and the right segments, ``int64 [N, 2]``.
        length: steps per segment.
        reasons: why each was chosen, ratings first.
    """

    ratings: Rows
    preferences: Rows
    length: int
    reasons: tuple[str, ...]
    whole_episodes = False

    def __len__(self) -> int:
        return len(self.reasons)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values by name; :meth:`from_json` takes them back."""
        rows = {"ratings": self.ratings.tolist(), "preferences": self.preferences.tolist()}
        return {**rows, "length": self.length, "reasons": list(self.reasons)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        return cls(
            ratings=np.array(values["ratings"], np.int64),
            preferences=np.array(values["preferences"], np.int64).reshape(-1, 2),
            length=values["length"],
            reasons=tuple(values["reasons"]),
        )

    def rows(self, transitions: Transitions, texts: TextBatch) -> Rows:
        """See :meth:`rmgym.feedback.plan.QuestionPlan.rows`."""
        del transitions, texts
        return self.ratings

    def pairs(self, transitions: Transitions, texts: TextBatch) -> Rows:
        """See :meth:`rmgym.feedback.plan.QuestionPlan.pairs`."""
        del transitions, texts
        return self.preferences


def choose_steps(
    steps: Transitions,
    texts: TextBatch,
    n: int,
    *,
    rated: TextBatch | None,
    predicted: Prediction | None,
    mix: QuestionMix,
    rng: np.random.Generator,
) -> Chosen:
    """Choose up to ``n`` steps to rate, none with a text that was rated before.

    Before there is a model, steps are chosen by coverage alone (k-center, as :func:`select_steps`), those that ended
    the task apart. Afterwards a share each is drawn evenly, among those with the largest predictions, and where
    disagreement times novelty is largest (each next step is the one with the largest product of its standard deviation
    and its squared distance to what was rated).

    Args:
        steps: what agents did lately, ``B``.
        texts: their texts.
        n: how many; fewer are chosen where there are no more different texts.
        rated: texts that were rated before.
        predicted: what the model says of the steps; None before there is one.
        mix: shares.
        rng: draws.
    """
    rows = _new(texts, rated)
    ended = rng.permutation(rows[steps.terminated[rows]])[: int(np.ceil(mix.terminated * n))]
    chosen = {"terminated": ended}
    left, n = np.setdiff1d(rows, ended), n - len(ended)
    if predicted is not None:
        chosen["uniform"] = rng.permutation(left)[: round(mix.uniform * n)]
        left = np.setdiff1d(left, chosen["uniform"])
        top = left[np.argsort(-predicted.mean[left], kind="stable")][:_TOP]
        chosen["largest"] = rng.permutation(top)[: round(mix.largest * n)]
        left = np.setdiff1d(left, chosen["largest"])
        n -= len(chosen["uniform"]) + len(chosen["largest"])
    weight = np.ones(len(left)) if predicted is None else predicted.std[left].astype(np.float64) + _SAME
    before = [part for part in (rated, texts[np.concatenate(list(chosen.values()))]) if part is not None and len(part)]
    reason = "coverage" if predicted is None else "unsure"
    chosen[reason] = left[_farthest(texts[left], TextBatch.concatenate(before) if before else None, n, weight)]
    return Chosen(
        ratings=np.concatenate(list(chosen.values())),
        preferences=np.zeros((0, 2), np.int64),
        length=1,
        reasons=tuple(reason for reason, rows in chosen.items() for _ in rows),
    )


def choose_segments(steps: Transitions, n: int, length: int, *, rng: np.random.Generator) -> Chosen:
    """Choose up to ``n`` pairs of segments of what an agent did lately, drawn evenly; they do not overlap.

    Args:
        steps: each episode in order.
        n: how many.
        length: steps per segment.
        rng: draws.
    """
    starts = rng.permutation(_starts(steps, rng, length))[: 2 * n]
    pairs = starts[: len(starts) // 2 * 2].reshape(-1, 2)
    return Chosen(ratings=np.zeros(0, np.int64), preferences=pairs, length=length, reasons=("uniform",) * len(pairs))


def _starts(steps: Transitions, rng: np.random.Generator, length: int) -> Rows:
    """First rows of segments laid end to end, in each episode from a start that is drawn."""
    bounds = np.flatnonzero((np.diff(steps.episode) != 0) | (np.diff(steps.step) != 1)) + 1
    starts = [
        np.arange(first + rng.integers(0, (last - first) % length + 1), last - length + 1, length)
        for first, last in zip([0, *bounds], [*bounds, len(steps)], strict=True)
        if last - first >= length
    ]
    return np.concatenate(starts) if starts else np.zeros(0, np.int64)


def _new(texts: TextBatch, rated: TextBatch | None) -> Rows:
    """Rows with distinct texts, none of them rated before."""
    before = 0 if rated is None else len(rated)
    first, _ = distinct(texts if rated is None else TextBatch.concatenate([rated, texts]))
    return np.sort(first[first >= before]) - before


def _farthest(texts: TextBatch, rated: TextBatch | None, n: int, weight: npt.NDArray[np.float64]) -> Rows:
    """Greedy k-center over texts, weighted, away from what was rated; ``int64``, ``n`` at most."""
    before = 0 if rated is None else len(rated)
    features, words = features_of(texts if rated is None else TextBatch.concatenate([rated, texts]))
    candidates, kinds = features[before:], words[before:]
    gap = np.full(len(texts), _FAR)
    for i in range(before):
        gap = np.minimum(gap, ((candidates - features[i]) ** 2).sum(1) + (kinds != words[i]))
    chosen = list[int]()
    while len(chosen) < min(n, len(texts)):
        i = int((gap * weight).argmax())
        if gap[i] <= _SAME:
            break
        chosen.append(i)
        gap = np.minimum(gap, ((candidates - candidates[i]) ** 2).sum(1) + (kinds != kinds[i]))
        gap[i] = 0.0
    return np.array(chosen, np.int64)
