"""From answers in the database to labels that a model is fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rmgym.feedback.cleaning.cleaned import Cleaned
from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.feedback.questions import texts_of
from rmgym.feedback.tables import Answer, Query, Segment
from rmgym.text.batch import TextBatch

Floats = npt.NDArray[np.float64]


def assemble(cleaned: Cleaned, *, source: Mapping[str, object]) -> Labels:
    """Turn answers into labels, one for each question.

    What several annotators answered to one question becomes one label: the mean of their ratings; of a comparison the
    share of their answers for the left side, a soft label that says how far they agree (Peterson et al. 2019, "Human
    uncertainty makes classification more robust", https://arxiv.org/abs/1908.07086), with the mean of their margins,
    where those for the other side count as negative. Answers count by their weights. It stands where the first of them
    answered, so that a later answer moves no other label.

    Ratings and preferences share their groups: episodes that any comparison links are one group, so that a split by
    group never puts steps of one episode on both sides. An episode is known again among more steps of the same seed.

    Args:
        cleaned: answers, what they say on one scale, and how much each counts.
        source: facts about where the labels come from; what cleaning did is added (``cleaning``).
    """
    given, queries, segments = cleaned.given, cleaned.given.queries, cleaned.given.segments
    is_rating = np.array([a.choice is None for a in given.answers], np.bool_)
    rated, compared = given.of("rating").answers, given.of("preference").answers
    sides = [(queries[query].left, _right(queries[query])) for query in _questions(compared)]
    group = _groups(segments, sides)
    audit = {} if cleaned.audit is None else {"cleaning": cleaned.audit.to_json()}
    return Labels(
        ratings=_ratings(cleaned, is_rating, group) if rated else None,
        preferences=_preferences(cleaned, ~is_rating, sides, group) if compared else None,
        source={**source, **audit},
    )


def _ratings(cleaned: Cleaned, rows: npt.NDArray[np.bool_], group: Mapping[int, int]) -> Ratings:
    given = cleaned.given
    rated = given.of("rating").answers
    asked = [given.queries[query].left for query in _questions(rated)]
    return Ratings(
        texts=TextBatch.concatenate(texts_of(given.segments[s]) for s in asked),
        values=_by_question(rated, cleaned.values[rows], cleaned.weights[rows]).astype(np.float32),
        groups=np.array([group[s] for s in asked], np.int64),
    )


def _preferences(
    cleaned: Cleaned, rows: npt.NDArray[np.bool_], sides: Sequence[tuple[int, int]], group: Mapping[int, int]
) -> Preferences:
    compared, segments = cleaned.given.of("preference").answers, cleaned.given.segments
    choice, weights = cleaned.values[rows], cleaned.weights[rows]
    margin = np.array([a.margin for a in compared], np.float64)
    margin = np.where(choice >= 0.5, margin, -margin)
    used = list(dict.fromkeys(segment for pair in sides for segment in pair))
    ends = np.cumsum([segments[s].length for s in used]).tolist()
    span = {s: (end - segments[s].length, end) for s, end in zip(used, ends, strict=True)}
    return Preferences(
        steps=TextBatch.concatenate(texts_of(segments[s]) for s in used),
        left=np.array([span[left] for left, _ in sides], np.int64),
        right=np.array([span[right] for _, right in sides], np.int64),
        choice=_by_question(compared, choice, weights).astype(np.float32),
        margin=np.abs(_by_question(compared, margin, weights)).astype(np.float32),
        groups=np.array([group[left] for left, _ in sides], np.int64),
    )


def _questions(answers: Sequence[Answer]) -> dict[int, int]:
    """The questions that were answered, in the order of their first answers, and their places in it."""
    return {query: place for place, query in enumerate(dict.fromkeys(answer.query for answer in answers))}


def _by_question(answers: Sequence[Answer], values: Floats, weights: Floats) -> Floats:
    """Weighted mean of what was answered to each question, in that order."""
    place = _questions(answers)
    which = np.array([place[answer.query] for answer in answers], np.int64)
    means: Floats = np.bincount(which, weights * values) / np.bincount(which, weights)
    return means


def _groups(segments: Mapping[int, Segment], pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Group of each segment: connected components of episodes, with an edge per comparison."""
    number = dict[tuple[str, int], int]()
    node = {i: number.setdefault((s.opening, s.episode), len(number)) for i, s in segments.items()}
    edges = np.array([(node[left], node[right]) for left, right in pairs], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(number), len(number)))
    component: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return {i: int(component[n]) for i, n in node.items()}


def _right(query: Query) -> int:
    assert query.right is not None, "Given has seen to it"
    return query.right
