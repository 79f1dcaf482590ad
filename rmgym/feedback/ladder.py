"""The ladder: steps in order, among which each further one is placed. It is kept as comparisons in the label store.

A placement is stored as comparisons of the new step with the rungs next to it and with some farther off. No other kind
of label is needed: the order is read off the answers again, and how far rungs are apart is for the fit to find out
(:mod:`rmgym.training.implied`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rmgym.errors import FeedbackError
from rmgym.feedback.questions import keys_of
from rmgym.feedback.store import LabelStore
from rmgym.feedback.tables import Answer
from rmgym.feedback.teachers.base import Teacher
from rmgym.feedback.teachers.placing import Placed, PlacementQuestion, Placing, comparisons_for, search
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions

_FARTHER = 3
"""A new step is compared with the rung next to it on either side, and with those 3, 9, ... from it."""


@dataclass(frozen=True)
class Place:
    """Where a step was placed: between two neighbours, or beside one that it is as good as.

    Attributes:
        low: digest of the rung below; empty at the foot of the ladder.
        high: of the rung above, empty at its top; where both are one, the step is as good as that.
    """

    low: str
    high: str


def places_of(
    compared: Iterable[tuple[str, str, float]], rungs: Sequence[str] = ()
) -> tuple[list[str], dict[str, Place]]:
    """Read a ladder off the comparisons that placements were stored as.

    Args:
        compared: digests of each left and right step and the choice, in the order of answering; comparisons with a step
            that is on no rung yet are left out.
        rungs: what stood on the ladder before, worst first; by default the right step of the first comparison.

    Returns:
        Digests of the steps in order, worst first, of some that are tied the first one; and where each was placed then.
    """
    answers = dict[str, list[tuple[str, float]]]()  # of each step, with those that were placed before it
    for left, right, choice in compared:
        answers.setdefault(left, []).append((right, choice))
        rungs = rungs or [right]
    order, places = [*rungs], dict[str, Place]()
    for digest, given in answers.items():
        near = [(order.index(other), choice) for other, choice in given if other in order]
        if digest in order or not near:
            continue
        tied = [rung for rung, choice in near if choice == 0.5]
        above = max((rung + 1 for rung, choice in near if choice > 0.5), default=0)
        if tied:
            places[digest] = Place(order[tied[0]], order[tied[0]])
        else:
            places[digest] = Place(order[above - 1] if above else "", order[above] if above < len(order) else "")
            order.insert(above, digest)
    return order, places


def ladder_of(store: LabelStore, annotator: str) -> list[str]:
    """Digests of the steps that an annotator has put in order, worst first; of some that are tied, the first one."""
    of = {question.id: question.key for question in store.asked() if question.kind == "preference"}
    given = [answer for answer in store.answers(annotator) if answer.choice is not None]
    return places_of((of[a.query][0], str(of[a.query][1]), a.choice) for a in given if a.choice is not None)[0]


def costs_within(budget: int, rungs: int, teacher: Teacher) -> list[int]:
    """What each further placement costs, as many as a budget of answers allows.

    A teacher who can place (:class:`Placing`) gives one answer; one who only compares gives as many as the search for
    the place may take.
    """
    costs = list[int]()
    while True:
        cost = 1 if isinstance(teacher, Placing) else max(1, comparisons_for(rungs + len(costs)))
        if sum(costs) + cost > budget:
            return costs
        costs.append(cost)


def climb(store: LabelStore, teacher: Teacher, transitions: Transitions, texts: TextBatch) -> None:
    """Have steps placed, one after the other; those that were placed before stay where they are.

    All answers are stored at once: a process that is killed has placed all of them, or none.

    Args:
        store: where the ladder is kept.
        teacher: who places them, or compares.
        transitions: those that were placed before, in any order, and those to place, in the order of placing.
        texts: one per step.

    Raises:
        FeedbackError: a rung is not among the steps, the teacher compares and is not sure, or see
            :func:`rmgym.feedback.ask.ask`.
    """
    name = teacher.source
    digests = [left for left, _ in keys_of(texts, np.arange(len(texts))[:, None], 1)]
    row = {digest: i for i, digest in reversed([*enumerate(digests)])}
    rungs, before = ladder_of(store, name), {side for key in store.keys("preference", name) for side in key}
    if missing := sum(rung not in row for rung in rungs):
        raise FeedbackError("every rung is among the steps", got=f"{missing} are not", fix="pass all that were placed")
    pairs, choices = list[tuple[int, int]](), list[float]()
    for digest in [digest for digest in dict.fromkeys(digests) if digest not in before]:
        rows = np.array([row[rung] for rung in rungs], np.int64)
        asked = PlacementQuestion(transitions=transitions, texts=texts, item=row[digest], rungs=rows)
        placed = teacher.place(asked) if isinstance(teacher, Placing) else search(teacher, asked)
        if placed is None:
            continue
        for rung, choice in beside(placed, len(rungs)):
            pairs.append((row[digest], int(rows[rung])))
            choices.append(choice)
        if not placed.tied:
            rungs.insert(placed.above, digest)
    queries = store.add_preference_queries(transitions, texts, np.array(pairs, np.int64).reshape(-1, 2), 1)
    if queries:
        each = zip(queries, choices, strict=True)
        store.record([Answer(query=query, annotator=name, source=name, choice=choice) for query, choice in each])


def beside(placed: Placed, rungs: int) -> list[tuple[int, float]]:
    """The rungs that a new step is compared with where it was placed, those next to it first, and the answers."""
    answers = [(placed.above, 0.5)] if placed.tied else []
    first, apart = placed.above + placed.tied, 1
    while apart <= rungs:
        answers += [(placed.above - apart, 1.0)] if placed.above >= apart else []
        answers += [(first + apart - 1, 0.0)] if first + apart - 1 < rungs else []
        apart *= _FARTHER
    return answers
