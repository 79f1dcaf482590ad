"""Labels as batches: texts are encoded once, a batch only picks rows.

A batch holds ratings and preferences side by side and every text it needs once, so that a training step is one forward
pass whatever the labels are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rmgym.feedback.labels import Labels
from rmgym.models.encoding import Encoded, encode
from rmgym.text.batch import TextBatch
from rmgym.training.pseudo_labels import draw_pairs

Rows = npt.NDArray[np.int64]
Encode = Callable[[TextBatch], Encoded]


class Batch(TypedDict):
    """Some labels, ready for :class:`rmgym.training.objective.Objective`.

    ``inputs`` holds every text once. ``rated [R]`` and ``step [K]`` are positions in it: of the rated steps, whose
    standardised ratings are ``target [R]``, and of the scored steps of all segments. Step ``k`` belongs to segment
    ``segment[k]`` (pair ``j`` has segments ``j`` and ``N + j``) and counts ``weight[k]`` times. For each head, a rating
    or pair counts ``votes[R + N, heads]`` times, ratings first. Pairs that nobody answered come last: their ``choice``
    is not a number, and of their whole segments a step counts ``whole[k]`` times.
    """

    inputs: Encoded
    rated: Tensor
    target: Tensor
    step: Tensor
    segment: Tensor
    weight: Tensor
    whole: Tensor
    choice: Tensor
    margin: Tensor
    votes: Tensor


@dataclass(frozen=True, eq=False)
class LabelData:
    """All labels of a run as tensors. Item ``i < len(target)`` is a rating, the others are preferences.

    Attributes:
        encoded: the texts: of the rated steps first, then of the steps of the segments, then of unlabelled steps.
        target: standardised ratings, ``float32 [R]``; the text of rating ``i`` is row ``i``.
        segments: first row and one past the last row of the left and the right segment, ``int64 [N, 2, 2]``.
        choice: ``float32 [N]``, see :class:`rmgym.feedback.labels.Preferences`.
        margin: ``float32 [N]``.
        votes: how often each item counts for each head, ``float32 [R + N, heads]``.
        unlabelled: how many unlabelled steps there are.
    """

    encoded: Encoded
    target: Tensor
    segments: npt.NDArray[np.int64]
    choice: Tensor
    margin: Tensor
    votes: Tensor
    unlabelled: int = 0

    @classmethod
    def of(
        cls,
        labels: Labels,
        encode: Encode = encode,
        *,
        offset: float,
        scale: float,
        votes: Tensor | None = None,
        unlabelled: TextBatch | None = None,
    ) -> LabelData:
        """Labels with encoded texts; a rating ``y`` becomes ``(y - offset) / scale``. By default each counts once."""
        ratings, preferences = labels.ratings, labels.preferences
        target, choice, margin = np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32)
        if ratings is not None:
            target = ((ratings.values.astype(np.float64) - offset) / scale).astype(np.float32)
        if preferences is not None:
            choice, margin = preferences.choice, preferences.margin
        choices, margins = (torch.as_tensor(np.asarray(a, np.float32)) for a in (choice, margin))
        votes = torch.ones(len(labels), 1) if votes is None else votes
        segments = _segments(labels, len(target))
        texts = labels.texts if unlabelled is None else TextBatch.concatenate([labels.texts, unlabelled])
        count = 0 if unlabelled is None else len(unlabelled)
        return cls(encode(texts), torch.from_numpy(target), segments, choices, margins, votes, count)

    def rows(self, items: Rows) -> Rows:
        """Rows of all texts that these items need, each once, in order."""
        return _rows(items, len(self.target), self.segments)


def rows_of(labels: Labels, items: Rows) -> Rows:
    """The same before anything is encoded: rows of ``labels.texts``."""
    rated = 0 if labels.ratings is None else len(labels.ratings)
    return _rows(items, rated, _segments(labels, rated))


def _segments(labels: Labels, rated: int) -> Rows:
    """See :attr:`LabelData.segments`; the compared steps come after the rated ones."""
    if labels.preferences is None:
        return np.zeros((0, 2, 2), np.int64)
    return np.stack([labels.preferences.left, labels.preferences.right], axis=1) + rated


def _rows(items: Rows, rated: int, segments: Rows) -> Rows:
    spans = [np.arange(*span) for span in segments[items[items >= rated] - rated].reshape(-1, 2)]
    return np.unique(np.concatenate([items[items < rated], *spans]))


class Collator:
    """Makes a :class:`Batch` of drawn labels.

    Args:
        data: all labels.
        steps_per_segment: score at most so many steps of a segment, drawn without replacement; None scores all.
        crop: smallest share of a segment that is kept; see :attr:`rmgym.FitOptions.crop`.
        pseudo: draw a pair of unlabelled segments for each pair.
        seed: seed of these draws, which depend on nothing but it and the position in the stream: a resumed run
            repeats them.
    """

    def __init__(
        self,
        data: LabelData,
        *,
        steps_per_segment: int | None = None,
        crop: float = 1.0,
        pseudo: bool = False,
        seed: int = 0,
    ) -> None:
        self.data, self.limit, self.crop, self.pseudo, self.seed = data, steps_per_segment, crop, pseudo, seed

    def __call__(self, drawn: Sequence[tuple[int, int]]) -> Batch:
        """Turn pairs of stream position and item into a batch."""
        data = self.data
        items = np.array([item for _, item in drawn], np.int64)
        rated, pairs = items[items < len(data.target)], items[items >= len(data.target)] - len(data.target)
        segments, kept = self._cropped(data.segments[pairs], position=drawn[0][0])
        free = self._unanswered(data.segments[pairs], position=drawn[0][0])
        within, _ = self._cropped(free, position=drawn[0][0])
        spans = _in_turn(np.concatenate([segments, free]))
        steps, whole = self._steps(spans, position=drawn[0][0])
        segment = np.repeat(np.arange(len(spans)), [len(s) for s in steps])
        needed = np.concatenate([rated, *steps])
        start, end = _in_turn(np.concatenate([segments, within]))[segment].T
        weight = whole * ((start <= needed[len(rated) :]) & (needed[len(rated) :] < end))
        rows, where = np.unique(needed, return_inverse=True)
        return Batch(
            inputs=data.encoded.take(torch.from_numpy(rows)),
            rated=torch.from_numpy(where[: len(rated)]),
            target=data.target[torch.from_numpy(rated)],
            step=torch.from_numpy(where[len(rated) :]),
            segment=torch.from_numpy(segment),
            weight=torch.from_numpy(weight),
            whole=torch.from_numpy(whole),
            choice=torch.cat([data.choice[torch.from_numpy(pairs)], torch.full((len(free),), torch.nan)]),
            margin=torch.cat([data.margin[torch.from_numpy(pairs)] * torch.from_numpy(kept), torch.zeros(len(free))]),
            votes=torch.cat(
                [
                    data.votes[torch.from_numpy(np.concatenate([rated, pairs + len(data.target)]))],
                    torch.ones(len(free), data.votes.shape[1]),
                ]
            ),
        )

    def _unanswered(self, like: Rows, *, position: int) -> Rows:
        """Pairs of unlabelled segments ``[N, 2, 2]``, one for each that is given; none where none are asked for."""
        if not self.pseudo:
            return like[:0]
        first = len(self.data.encoded) - self.data.unlabelled
        return draw_pairs(like, first, self.data.unlabelled, np.random.default_rng([self.seed, position, 2]))

    def _cropped(self, segments: Rows, *, position: int) -> tuple[Rows, npt.NDArray[np.float32]]:
        """Parts of pairs of segments ``[N, 2, 2]``, both of one length, each somewhere; the share that is kept."""
        if self.crop == 1 or not len(segments):
            return segments, np.ones(len(segments), np.float32)
        rng = np.random.default_rng([self.seed, position, 1])
        length = (segments[..., 1] - segments[..., 0]).min(axis=1)
        kept = rng.integers(np.maximum(1, np.ceil(self.crop * length)).astype(np.int64), length + 1)
        start = rng.integers(segments[..., 0], segments[..., 1] - kept[:, None] + 1)
        return np.stack([start, start + kept[:, None]], axis=2), (kept / length).astype(np.float32)

    def _steps(self, spans: Rows, *, position: int) -> tuple[list[Rows], npt.NDArray[np.float32]]:
        """Rows to score of each segment, and how many steps each of them stands for."""
        steps = [np.arange(start, end) for start, end in spans]
        if self.limit is not None:
            rng = np.random.default_rng([self.seed, position])
            steps = [s if len(s) <= self.limit else rng.choice(s, self.limit, replace=False) for s in steps]
        weights = [np.full(len(s), (b - a) / len(s), np.float32) for s, (a, b) in zip(steps, spans, strict=True)]
        return steps, np.concatenate(weights) if weights else np.zeros(0, np.float32)


def _in_turn(pairs: Rows) -> Rows:
    """The segments of pairs ``[N, 2, 2]``: all left ones, then all right ones, ``[2 N, 2]``."""
    return pairs.transpose(1, 0, 2).reshape(-1, 2)


class LabelStream(Dataset[tuple[int, int]]):
    """``length`` draws: all items once in random order, then all again in another order, and so on.

    The whole run is one pass over this stream. What step ``n`` sees follows from the seed and ``n`` alone, so a resumed
    run only has to skip to its place.

    Args:
        items: what is drawn from.
        length: how often.
        seed: seed of the order.
    """

    def __init__(self, items: Rows, *, length: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        passes = [rng.permutation(items) for _ in range(-(-length // len(items)))]
        self.order: list[int] = np.concatenate(passes)[:length].tolist()

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> tuple[int, int]:
        return position, self.order[position]


def split_groups(groups: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Hold out whole groups (:mod:`rmgym.training.groups`): steps of one episode are too alike to judge by.

    Groups are taken in random order until at least ``fraction`` of the rows are held out; a group that would bring the
    held-out part above twice that is passed over.

    Args:
        groups: group of each row, ``int64 [B]``.
        fraction: share of the rows to hold out, in [0, 1).
        seed: seed of the order.

    Returns:
        Training rows and held-out rows, both sorted; nothing is held out where no group is small enough.
    """
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    target, held, taken = fraction * len(groups), 0, np.zeros(len(names), bool)
    for group in np.random.default_rng(seed).permutation(len(names)):
        if held < target and held + sizes[group] <= 2 * target:
            taken[group] = True
            held += int(sizes[group])
    mask = taken[inverse.reshape(-1)]
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def shuffled(labels: Labels, seed: int) -> Labels:
    """The same texts with the labels permuted among them: what a model makes of that is worth nothing."""
    rng = np.random.default_rng(seed)
    ratings, preferences = labels.ratings, labels.preferences
    if ratings is not None:
        ratings = replace(ratings, values=rng.permutation(ratings.values))
    if preferences is not None:
        order = rng.permutation(len(preferences))
        preferences = replace(preferences, choice=preferences.choice[order], margin=preferences.margin[order])
    return replace(labels, ratings=ratings, preferences=preferences)
