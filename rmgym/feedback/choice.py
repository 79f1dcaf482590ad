"""What to ask about the steps of an agent that is learning: where it goes, what it takes for good, what is unsure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.queries import Rows, features_of
from rmgym.feedback.questions import QuestionKey, keys_of
from rmgym.prediction import Prediction
from rmgym.text.batch import TextBatch
from rmgym.text.distinct import distinct
from rmgym.transitions import Transitions

COMPARED = "compared"
"""Why segments are asked about beside steps."""
_TOP = 400
"""Steps with the largest predictions among which some are drawn."""
_SAME, _FAR = 1e-9, 1e6  # squared distances: of two texts that are nearly one, and where nothing was rated


@dataclass(frozen=True, kw_only=True)
class QuestionMix:
    """Why steps are asked about once there is a model, as shares of the questions of all rounds so far.

    Attributes:
        terminated: steps that ended the task. They are few, and what they are worth decides (a lander's crash). Where
            there are none, the other shares grow.
        uniform: any steps of the agent: where it goes, the reward has to be right.
        largest: steps with the largest predicted reward: what the agent will go for, right or wrong (exploits).
        unsure: steps where the heads' disagreement times the distance to what was rated is largest.

    Raises:
        FeedbackError: they are no shares.
    """

    terminated: float = 0.12
    uniform: float = 0.44
    largest: float = 0.22
    unsure: float = 0.22

    def __post_init__(self) -> None:
        shares = (self.terminated, self.uniform, self.largest, self.unsure)
        if min(shares) < 0 or not sum(shares) > 0:
            raise FeedbackError("shares of questions are not negative", got=self, fix="leave them as they are")

    def counts(self, n: int, before: Mapping[str, int], ended: int) -> dict[str, int]:
        """How many of ``n`` questions are asked for each reason, so that those of all rounds come near the shares.

        Args:
            n: questions of this round.
            before: questions of earlier rounds by reason.
            ended: steps there are that ended the task.
        """
        shares = {name: share for name, share in asdict(self).items() if name != "terminated" or ended}
        given, all_shares = dict.fromkeys(shares, 0), sum(shares.values())
        total = n + sum(before.get(name, 0) for name in shares)
        for _ in range(n if all_shares else 0):
            open_ones = [name for name in shares if name != "terminated" or given[name] < ended]
            most = max(
                open_ones, key=lambda name: shares[name] / all_shares * total - before.get(name, 0) - given[name]
            )
            given[most] += 1
        return given


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
        """Inverse of :meth:`to_json`.

        Raises:
            FeedbackError: something is missing or of another type.
        """
        try:
            return cls(
                ratings=np.array(values["ratings"], np.int64),
                preferences=np.array(values["preferences"], np.int64).reshape(-1, 2),
                length=int(values["length"]),
                reasons=tuple(map(str, values["reasons"])),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            fix = "begin the work anew"
            raise FeedbackError("chosen questions are as rmgym wrote them", got=repr(error), fix=fix) from error

    def and_compared(self, others: Chosen) -> Chosen:
        """These ratings and those comparisons, as which they are asked for: a round has one reason for each."""
        return replace(
            self,
            preferences=others.preferences,
            length=others.length,
            reasons=(*self.reasons, *(COMPARED for _ in others.preferences)),
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
    asked: TextBatch | None,
    predicted: Prediction | None,
    mix: QuestionMix,
    before: Mapping[str, int],
    rng: np.random.Generator,
) -> Chosen:
    """Choose up to ``n`` steps to rate, none with a text that was asked about before.

    Before there is a model, steps are chosen by coverage (k-center, as :func:`select_steps`), beside the share of those
    that ended the task. Afterwards each reason has its share (:class:`QuestionMix`): of those that ended the task the
    most unsure ones are asked about (a first soft landing among many crashes), and of the unsure ones first a step for
    each phrase that was in no question (a first time limit).

    Args:
        steps: what agents did lately, ``B``.
        texts: their texts.
        n: how many; fewer are chosen where there are no more different texts.
        asked: texts that were asked about before.
        predicted: what the model says of the steps; None before there is one.
        mix: shares.
        before: questions of earlier rounds, by reason.
        rng: draws.
    """
    rows = _new(texts, asked)
    n = min(n, len(rows))
    ended = rng.permutation(rows[steps.terminated[rows]])
    if predicted is None:
        counts, weight = {"terminated": min(len(ended), round(mix.terminated * n))}, np.ones(len(texts))
    else:
        counts, weight = mix.counts(n, before, len(ended)), predicted.std.astype(np.float64) + _SAME
        ended = ended[farthest(texts[ended], asked, counts.get("terminated", 0), weight[ended])]
    chosen = {"terminated": ended[: counts.get("terminated", 0)]}
    left = np.setdiff1d(rows, chosen["terminated"])
    if predicted is not None:
        chosen["uniform"] = rng.permutation(left)[: counts["uniform"]]
        left = np.setdiff1d(left, chosen["uniform"])
        top = left[np.argsort(-predicted.mean[left], kind="stable")][:_TOP]
        chosen["largest"] = rng.permutation(top)[: counts["largest"]]
        left = np.setdiff1d(left, chosen["largest"])
    rest = n - sum(map(len, chosen.values()))
    others = [part for part in (asked, texts[np.concatenate(list(chosen.values()))]) if part is not None and len(part)]
    rated = TextBatch.concatenate(others) if others else None
    reason = "coverage" if predicted is None else "unsure"
    first = left[_of_new_words(texts[left], rated)][:rest] if predicted is not None else left[:0]
    left = np.setdiff1d(left, first)
    unsure = farthest(texts[left], rated, rest - len(first), weight[left])
    chosen[reason] = np.concatenate([first, left[unsure]])
    return Chosen(
        ratings=np.concatenate(list(chosen.values())),
        preferences=np.zeros((0, 2), np.int64),
        length=1,
        reasons=tuple(reason for reason, rows in chosen.items() for _ in rows),
    )


def choose_segments(
    steps: Transitions,
    texts: TextBatch,
    n: int,
    length: int,
    *,
    asked: Set[QuestionKey] = frozenset(),
    rng: np.random.Generator,
) -> Chosen:
    """Choose up to ``n`` pairs of segments of what an agent did lately, drawn evenly.

    They do not overlap, no two have the same texts, and none were compared before.

    Args:
        steps: each episode in order.
        texts: their texts.
        n: how many.
        length: steps per segment.
        asked: pairs that were asked about before.
        rng: draws.
    """
    starts, strings = rng.permutation(_starts(steps, rng, length)), texts.strings()
    distinct_starts = {tuple(strings[start : start + length]): start for start in starts[::-1].tolist()}
    starts = np.array(list(distinct_starts.values())[::-1][: 2 * n], np.int64)
    pairs = starts[: len(starts) // 2 * 2].reshape(-1, 2)
    keys = keys_of(texts, pairs, length)
    fresh = [i for i, (left, right) in enumerate(keys) if not asked & {(left, right), (right, left)}]
    pairs = pairs[fresh]
    return Chosen(ratings=np.zeros(0, np.int64), preferences=pairs, length=length, reasons=("uniform",) * len(pairs))


def _starts(steps: Transitions, rng: np.random.Generator, length: int) -> Rows:
    """First rows of segments laid end to end, in each episode from a start that is drawn."""
    bounds = np.flatnonzero((np.diff(steps.episode) != 0) | (np.diff(steps.step) != 1)) + 1
    starts = list[Rows]()
    for first, last in zip([0, *bounds.tolist()], [*bounds.tolist(), len(steps)], strict=True):
        if last - first >= length:
            begin = first + int(rng.integers(0, (last - first) % length + 1))
            starts.append(np.arange(begin, last - length + 1, length, dtype=np.int64))
    return np.concatenate(starts) if starts else np.zeros(0, np.int64)


def _new(texts: TextBatch, asked: TextBatch | None) -> Rows:
    """Rows with distinct texts, none of them asked about before."""
    before = 0 if asked is None else len(asked)
    first, _ = distinct(texts if asked is None else TextBatch.concatenate([asked, texts]))
    return np.sort(first[first >= before]) - before


def _of_new_words(texts: TextBatch, asked: TextBatch | None) -> Rows:
    """The first text of each phrase that is in none that was asked about: a model takes it for another one."""
    before = frozenset() if asked is None else frozenset(asked.used().phrases)
    words, place = np.unique(texts.words, return_index=True)
    new = [i for word, i in zip(words.tolist(), place.tolist(), strict=True) if texts.phrases[word] not in before]
    return np.unique(np.searchsorted(texts.word_offsets, new, side="right") - 1)


def farthest(texts: TextBatch, asked: TextBatch | None, n: int, weight: npt.NDArray[np.float64]) -> Rows:
    """Greedy k-center over texts, weighted, away from what was rated.

    Args:
        texts: among which it is chosen.
        asked: texts that were asked about before.
        n: how many.
        weight: of each text, by which its squared distance counts.

    Returns:
        Rows, ``int64``, ``n`` at most: none is as near to another as if they were one.
    """
    before = 0 if asked is None else len(asked)
    features, words = features_of(texts if asked is None else TextBatch.concatenate([asked, texts]))
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
