"""The ladder: steps in order, among which each further one is placed. It is kept as comparisons in the label store.

A placement is stored as comparisons of the new step with the rungs next to it and with some farther off. No other kind
of label is needed: the order is read off the answers again, and how far rungs are apart is for the fit to find out
(:mod:`rmgym.training.implied`).
"""

from __future__ import annotations

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


def ladder_of(store: LabelStore, annotator: str) -> list[str]:
    """Digests of the steps that an annotator has put in order, worst first; of some that are tied, the first one."""
    of = {question.id: question.key for question in store.asked() if question.kind == "preference"}
    answers = dict[str, list[tuple[str, float]]]()  # of each step, with those that were placed before it
    for answer in store.answers(annotator):
        if answer.choice is not None:
            left, right = of[answer.query]
            answers.setdefault(left, []).append((str(right), answer.choice))
    rungs = list[str]()
    for digest, given in answers.items():
        if not rungs:
            rungs.append(given[0][0])
        if all(choice != 0.5 for _, choice in given):
            worse = [rungs.index(other) for other, choice in given if choice > 0.5]
            rungs.insert(max(worse, default=-1) + 1, digest)
    return rungs


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
        FeedbackError: a rung is not among the steps, or see :func:`rmgym.feedback.ask.ask`.
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
        for rung, choice in _beside(placed, len(rungs)):
            pairs.append((row[digest], int(rows[rung])))
            choices.append(choice)
        if not placed.tied:
            rungs.insert(placed.above, digest)
    queries = store.add_preference_queries(transitions, texts, np.array(pairs, np.int64).reshape(-1, 2), 1)
    if queries:
        each = zip(queries, choices, strict=True)
        store.record([Answer(query=query, annotator=name, source=name, choice=choice) for query, choice in each])


def _beside(placed: Placed, rungs: int) -> list[tuple[int, float]]:
    """The rungs that a new step is compared with, and the answers."""
    answers = [(placed.above, 0.5)] if placed.tied else []
    first, apart = placed.above + placed.tied, 1
    while apart <= rungs:
        answers += [(placed.above - apart, 1.0)] if placed.above >= apart else []
        answers += [(first + apart - 1, 0.0)] if first + apart - 1 < rungs else []
        apart *= _FARTHER
    return answers
