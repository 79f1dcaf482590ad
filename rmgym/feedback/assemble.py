"""From answers in the database to labels that a model is fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rmgym.errors import FeedbackError
from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.feedback.questions import texts_of
from rmgym.feedback.scales import Scale, are_mixed, check_answer
from rmgym.feedback.tables import Answer, DamagedRowError, Query, Segment
from rmgym.feedback.teachers.panel import PANEL
from rmgym.text.batch import TextBatch


def assemble(
    answers: Sequence[Answer],
    queries: Mapping[int, Query],
    segments: Mapping[int, Segment],
    *,
    source: Mapping[str, object],
) -> Labels:
    """Turn answers into labels, one for each question.

    What several annotators answered to one question becomes one label: the mean of their ratings; of a comparison the
    share of their answers for the left side, a soft label that says how far they agree (Peterson et al. 2019, "Human
    uncertainty makes classification more robust", https://arxiv.org/abs/1908.07086), with the mean of their margins,
    where those for the other side count as negative. It stands where the first of them answered, so that a later answer
    moves no other label.

    Ratings and preferences share their groups: episodes that any comparison links are one group, so that a split by
    group never puts steps of one episode on both sides. An episode is known again among more steps of the same seed.
    Ratings of a panel's members (:class:`rmgym.feedback.teachers.panel.Panel`) are standardised for each of them.

    Args:
        answers: answers that were not skipped.
        queries: questions by id.
        segments: segments by id.
        source: facts about where the labels come from.

    Raises:
        FeedbackError: answers that mean different things would be mixed.
        DamagedRowError: an answer does not fit its question, or a question is about nothing.
    """
    for answer in answers:
        _check_row(answer, queries.get(answer.query), segments)
    rated = [a for a in answers if a.value is not None]
    compared = [a for a in answers if a.choice is not None]
    _check_scales(answers)
    sides = [(queries[query].left, _right(queries[query])) for query in _questions(compared)]
    group = _groups(segments, sides)
    return Labels(
        ratings=_ratings(rated, queries, segments, group) if rated else None,
        preferences=_preferences(compared, sides, segments, group) if compared else None,
        source=dict(source),
    )


def _ratings(
    rated: Sequence[Answer], queries: Mapping[int, Query], segments: Mapping[int, Segment], group: Mapping[int, int]
) -> Ratings:
    asked = [queries[query].left for query in _questions(rated)]
    return Ratings(
        texts=TextBatch.concatenate(texts_of(segments[s]) for s in asked),
        values=_by_question(rated, _on_one_scale(rated).astype(np.float64)).astype(np.float32),
        groups=np.array([group[s] for s in asked], np.int64),
    )


def _on_one_scale(rated: Sequence[Answer]) -> npt.NDArray[np.float32]:
    """The ratings, ``[R]``; those of a panel's members are of mean 0 and variance 1 for each, on whatever scale."""
    values = np.array([a.value for a in rated], np.float32)
    if not rated[0].source.startswith(PANEL):
        return values
    names = np.array([a.annotator for a in rated])
    for name in set(names):
        own = values[names == name]
        spread = own.std()
        values[names == name] = (own - own.mean()) / (spread if spread > 0 else 1)
    return values


def _preferences(
    compared: Sequence[Answer],
    sides: Sequence[tuple[int, int]],
    segments: Mapping[int, Segment],
    group: Mapping[int, int],
) -> Preferences:
    choice = np.array([a.choice for a in compared], np.float64)
    margin = np.array([a.margin for a in compared], np.float64)
    used = list(dict.fromkeys(segment for pair in sides for segment in pair))
    ends = np.cumsum([segments[s].length for s in used]).tolist()
    span = {s: (end - segments[s].length, end) for s, end in zip(used, ends, strict=True)}
    return Preferences(
        steps=TextBatch.concatenate(texts_of(segments[s]) for s in used),
        left=np.array([span[left] for left, _ in sides], np.int64),
        right=np.array([span[right] for _, right in sides], np.int64),
        choice=_by_question(compared, choice).astype(np.float32),
        margin=np.abs(_by_question(compared, np.where(choice >= 0.5, margin, -margin))).astype(np.float32),
        groups=np.array([group[left] for left, _ in sides], np.int64),
    )


def _questions(answers: Sequence[Answer]) -> dict[int, int]:
    """The questions that were answered, in the order of their first answers, and their places in it."""
    return {query: place for place, query in enumerate(dict.fromkeys(answer.query for answer in answers))}


def _by_question(answers: Sequence[Answer], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean of what was answered to each question, in that order."""
    place = _questions(answers)
    which = np.array([place[answer.query] for answer in answers], np.int64)
    means: npt.NDArray[np.float64] = np.bincount(which, values) / np.bincount(which)
    return means


def _groups(segments: Mapping[int, Segment], pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Group of each segment: connected components of episodes, with an edge per comparison."""
    number = dict[tuple[str, int], int]()
    node = {i: number.setdefault((s.opening, s.episode), len(number)) for i, s in segments.items()}
    edges = np.array([(node[left], node[right]) for left, right in pairs], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(number), len(number)))
    component: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return {i: int(component[n]) for i, n in node.items()}


def _check_scales(answers: Sequence[Answer]) -> None:
    scales = {(a.annotator, Scale.of(a.source, a.value is None, a.levels, a.cuts)) for a in answers}
    sources = {scale.source for _, scale in scales}
    if len(sources) == 1 and next(iter(sources)).startswith(PANEL):
        return
    if are_mixed(scale for _, scale in scales):
        raise FeedbackError(
            "answers that mean different things are not mixed",
            got="; ".join(f"{annotator}: {scale}" for annotator, scale in sorted(scales)),
            fix="choose one annotator: annotator=NAME",
        )


def _check_row(answer: Answer, query: Query | None, segments: Mapping[int, Segment]) -> None:
    """Refuse what was checked before it was written, and is something else now.

    Raises:
        DamagedRowError: it is.
    """
    try:
        check_answer(answer, query)
    except FeedbackError as error:
        raise DamagedRowError(f"answer {answer.id}: {error.rule}, not {error.got}") from error
    assert query is not None
    sides = (query.left,) if query.kind == "rating" else (query.left, query.right)
    if missing := [side for side in sides if side not in segments]:
        raise DamagedRowError(f"query {query.id}: there is no segment {missing[0]}")
    if query.kind == "rating" and segments[query.left].length != 1:
        raise DamagedRowError(f"query {query.id}: a rating is of one step, not of {segments[query.left].length}")


def _right(query: Query) -> int:
    assert query.right is not None, "_check_row has seen to it"
    return query.right
