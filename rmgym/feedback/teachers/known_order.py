"""Pairs whose order is known, to measure a judge on: by a teacher, by answers in a database, by who took the steps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from rmgym.environments.collect import sources_of
from rmgym.errors import FeedbackError, nearest
from rmgym.feedback.labels import Labels
from rmgym.feedback.queries import Rows, tiles
from rmgym.feedback.teachers.asking import PreferenceQuestions
from rmgym.feedback.teachers.base import Teacher
from rmgym.feedback.teachers.ties import TiedPreferencesWarning
from rmgym.judge.opinions import Steps
from rmgym.judge.skill import OrderedPairs
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions

_SPARE = 4
"""Times as many pairs are shown to whoever knows the order, since ties are left out."""
Sides = Sequence[tuple[int, int]]
"""First rows of the better and the worse segment of each pair."""


def by_teacher(
    truth: Teacher, transitions: Transitions, texts: TextBatch, *, pairs: int, length: int, seed: int
) -> OrderedPairs:
    """Pairs of segments of collected steps that a teacher tells apart; no segment is in two of them.

    Args:
        truth: who knows the order, such as the scripted teacher or a function of yours.
        transitions: the steps.
        texts: one per step.
        pairs: at most so many.
        length: steps per segment.
        seed: of the choice.

    Raises:
        FeedbackError: the teacher tells none of them apart.
        JudgeError: there are too few.
    """
    starts = _segments(transitions, texts, length, seed)[: 2 * _SPARE * pairs]
    starts = starts[: len(starts) // 2 * 2].reshape(-1, 2)
    sides = list[tuple[int, int]]()
    if len(starts):
        questions = PreferenceQuestions(transitions=transitions, texts=texts, pairs=starts, length=length)
        with warnings.catch_warnings(action="ignore", category=TiedPreferencesWarning):  # they are left out
            choice = truth.compare(questions).values
        better, worse = np.where(choice > 0.5, starts.T, starts.T[::-1])
        apart = ~np.isnan(choice) & (choice != 0.5)
        sides = list(zip(better[apart].tolist(), worse[apart].tolist(), strict=True))
    return _pairs(texts, sides[:pairs], length, truth.source)


def by_sources(
    worse: str, better: str, transitions: Transitions, texts: TextBatch, *, pairs: int, length: int, seed: int
) -> OrderedPairs:
    """Pairs of segments by two policies, such as a random one and an agent: those of the better policy are better.

    Args:
        worse: name of the worse source of the steps (:func:`rmgym.environments.collect.sources_of`).
        better: of the better one.
        transitions: the steps.
        texts: one per step.
        pairs: at most so many.
        length: steps per segment.
        seed: of the choice.

    Raises:
        FeedbackError: nobody of that name took steps.
        JudgeError: there are too few.
    """
    names = sources_of(transitions) or []
    for name in (worse, better):
        if name not in names:
            fix = f"{nearest(name, set(names))}; 'rmgym collect' remembers who took which step"
            raise FeedbackError("policies of graded skill took the steps", got=name, fix=fix)
    starts = _segments(transitions, texts, length, seed).tolist()
    of = {name: [start for start in starts if names[start] == name] for name in (worse, better)}
    sides = list(zip(of[better], of[worse], strict=False))
    return _pairs(texts, sides[:pairs], length, f"{worse} < {better}")


def by_labels(labels: Labels, texts: TextBatch, *, pairs: int, length: int, seed: int, by: str) -> OrderedPairs:
    """Pairs of segments that somebody has compared, and, of single steps, that somebody has rated differently.

    No segment is in two of them.

    Args:
        labels: comparisons, ratings or both, as :meth:`rmgym.LabelStore.labels` gives them.
        texts: of the steps that the judge is to label.
        pairs: at most so many.
        length: steps per segment; labels of others are left out.
        seed: of the choice.
        by: who says so.

    Raises:
        FeedbackError: the labels are about texts of another card.
        JudgeError: there are too few.
    """
    if labels.texts.card_hash != texts.card_hash:
        got = f"texts of card {texts.card_hash}; {by} is about card {labels.texts.card_hash}"
        fix = "name labels of this environment, card and language: check="
        raise FeedbackError("a judge is measured on texts of the kind that it labels", got=got, fix=fix)
    rng, used, sides = np.random.default_rng(seed), set[tuple[str, ...]](), list[tuple[Steps, Steps]]()

    def take(better: Steps, worse: Steps) -> None:
        segments = {tuple(better), tuple(worse)}
        if len(segments) == 2 and not segments & used:
            used.update(segments)
            sides.append((better, worse))

    if (compared := labels.preferences) is not None:
        strings = compared.steps.strings()
        for i in rng.permutation(len(compared)).tolist():
            one, other = (strings[slice(*side[i].tolist())] for side in (compared.left, compared.right))
            if compared.choice[i] != 0.5 and len(one) == len(other) == length:
                take(*((one, other) if compared.choice[i] > 0.5 else (other, one)))
    if length == 1 and (rated := labels.ratings) is not None:
        strings = rated.texts.strings()
        order = [i for i in rng.permutation(len(strings)).tolist() if (strings[i],) not in used]
        for i, j in zip(order[::2], order[1::2], strict=False):
            if rated.values[i] != rated.values[j]:
                first, second = (i, j) if rated.values[i] > rated.values[j] else (j, i)
                take([strings[first]], [strings[second]])
    better, worse = zip(*sides[:pairs], strict=True) if sides else ((), ())
    return OrderedPairs(better=better, worse=worse, by=by)


def _segments(transitions: Transitions, texts: TextBatch, length: int, seed: int) -> Rows:
    """First rows of segments that do not overlap and read differently, in an order that is drawn."""
    starts = tiles(transitions, length)
    strings = texts.strings()
    first = {tuple(strings[start : start + length]): start for start in starts[::-1].tolist()}
    return np.random.default_rng(seed).permutation(np.sort(np.array([*first.values()], np.int64)))


def _pairs(texts: TextBatch, sides: Sides, length: int, by: str) -> OrderedPairs:
    strings = texts.strings()
    segments = [[strings[start : start + length] for start in own] for own in zip(*sides, strict=True)] or [[], []]
    return OrderedPairs(better=tuple(segments[0]), worse=tuple(segments[1]), by=by)
