"""Cycles: one segment over another, that over a third, and the third over the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsqr

from rmgym.feedback.cleaning.audit import Finding
from rmgym.feedback.cleaning.twice import leaning
from rmgym.feedback.given import Given, answer_id


@dataclass(frozen=True)
class _Edge:
    """One segment is better than another: by how many votes, in which answers."""

    better: int
    worse: int
    votes: float
    answers: tuple[int, ...]


def cycles(given: Given) -> list[Finding]:
    """Answers without which no strict preferences run in a circle; as few as a greedy rule finds.

    All that was answered about two segments is one vote first, an answer counting as much as its confidence. Among
    segments that lie on cycles (strongly connected components), values are fitted to the votes by least squares
    (HodgeRank: Jiang, Lim, Yao & Ye 2011, https://doi.org/10.1007/s10107-010-0419-x). Preferences are taken in, those
    that agree with the values best, the more votes, the older first; what would close a cycle then is set aside, with
    all answers to that question.
    """
    edges = _edges(given)
    number = {segment: i for i, segment in enumerate(dict.fromkeys(s for e in edges for s in (e.better, e.worse)))}
    ends = np.array([(number[e.better], number[e.worse]) for e in edges], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (ends[:, 0], ends[:, 1])), shape=(len(number), len(number)))
    part: npt.NDArray[np.int32] = connected_components(graph, directed=True, connection="strong")[1]
    inside = dict[int, list[_Edge]]()
    for edge, (better, worse) in zip(edges, part[ends].tolist(), strict=True):
        if better == worse:
            inside.setdefault(better, []).append(edge)
    closing = [edge for edges in inside.values() for edge in _closing(edges)]
    if not closing:
        return []
    ids = tuple(sorted(i for edge in closing for i in edge.answers))
    why = f"{len(closing)} preferences close a cycle with others that fit together better"
    return [Finding(what="cycle", annotator=None, answers=ids, why=why)]


def _edges(given: Given) -> list[_Edge]:
    """Strict preferences, one for each two segments that are not tied."""
    votes = dict[tuple[int, int], list[tuple[float, int]]]()
    for answer in given.of("preference").answers:
        left, right = given.sides(answer)
        assert right is not None
        weight = 1.0 if answer.confidence is None else answer.confidence
        vote = (leaning(given, answer) - 0.5) * weight
        votes.setdefault((min(left, right), max(left, right)), []).append((vote, answer_id(answer)))
    edges = list[_Edge]()
    for (first, second), cast in votes.items():
        total, ids = sum(vote for vote, _ in cast), tuple(i for _, i in cast)
        if total and first != second:
            edges.append(_Edge(*((first, second) if total > 0 else (second, first)), abs(total), ids))
    return edges


def _closing(edges: Sequence[_Edge]) -> Iterator[_Edge]:
    """Those of a strongly connected component that close a cycle with the ones taken in before."""
    value = _values(edges)
    below = dict[int, list[int]]()
    by_fit = sorted(edges, key=lambda e: (round(value[e.worse] - value[e.better], 6), -e.votes, max(e.answers)))
    for edge in by_fit:
        if _reaches(below, edge.worse, edge.better):
            yield edge
        else:
            below.setdefault(edge.better, []).append(edge.worse)


def _values(edges: Sequence[_Edge]) -> dict[int, float]:
    """Values whose differences are 1 for each preference, as nearly as votes allow."""
    number = {segment: i for i, segment in enumerate(dict.fromkeys(s for e in edges for s in (e.better, e.worse)))}
    row = np.repeat(np.arange(len(edges)), 2)
    column = np.array([number[s] for e in edges for s in (e.better, e.worse)], np.int64)
    weight = np.sqrt([e.votes for e in edges])
    matrix = coo_array((np.repeat(weight, 2) * np.tile([1.0, -1.0], len(edges)), (row, column)))
    values: npt.NDArray[np.float64] = lsqr(matrix.tocsr(), weight, atol=1e-10, btol=1e-10)[0]
    return dict(zip(number, values.tolist(), strict=True))


def _reaches(below: dict[int, list[int]], start: int, end: int) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        here = waiting.pop()
        if here == end:
            return True
        further = [segment for segment in below.get(here, ()) if segment not in seen]
        seen.update(further)
        waiting += further
    return False
