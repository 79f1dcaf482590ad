"""Which of the questions that are open to ask first, once there is a model: those that it is least sure about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

import numpy as np

from rmgym.feedback.choice import farthest
from rmgym.feedback.questions import Question
from rmgym.prediction import Prediction
from rmgym.text.batch import TextBatch


def in_turn(
    waiting: Sequence[Question], predict: Callable[[TextBatch], Prediction], answered: Sequence[Question]
) -> list[int]:
    """An order of open questions: by turns the one that tells most, and the next one as they were chosen.

    Of steps the one tells most that is far from those that were rated or placed and where the model's heads disagree,
    as in :func:`rmgym.feedback.choice.choose_steps`; of comparisons that whose answer the model is least sure of. The
    others keep a share of what is asked, so that what is held out stays like what there is. Ratings stand where ratings
    stood.

    Args:
        waiting: open questions, in the order in which they were chosen.
        predict: what the model says.
        answered: questions that have an answer.

    Returns:
        Ids of the open questions.
    """
    of = {kind: [question for question in waiting if question.kind == kind] for kind in ("rating", "preference")}
    rated = [side for question in answered for side in (question.left, question.right) if side and len(side) == 1]
    telling = {"rating": _unsure_steps(of["rating"], predict, rated), "preference": _unsure(of["preference"], predict)}
    turns = {kind: iter(_by_turns(telling[kind], [question.id for question in of[kind]])) for kind in of}
    return [next(turns[question.kind]) for question in waiting]


def _by_turns(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Every id once, from either list by turns."""
    merged = (each for pair in zip_longest(first, second) for each in pair if each is not None)
    return [*dict.fromkeys(merged)]


def _unsure_steps(
    questions: Sequence[Question], predict: Callable[[TextBatch], Prediction], rated: Sequence[TextBatch]
) -> list[int]:
    if not questions:
        return []
    texts = TextBatch.concatenate(question.left for question in questions)
    unsure = predict(texts).std.astype(np.float64)
    asked = TextBatch.concatenate(rated) if rated else None
    return [questions[i].id for i in farthest(texts, asked, len(questions), unsure).tolist()]


def _unsure(questions: Sequence[Question], predict: Callable[[TextBatch], Prediction]) -> list[int]:
    """By how many standard deviations the sides of a comparison are apart, least first."""
    apart = dict[int, float]()
    for question in questions:
        assert question.right is not None
        left, right = predict(question.left), predict(question.right)
        spread = float(np.sqrt((left.std**2).sum() + (right.std**2).sum()))
        gap = abs(float(left.mean.sum() - right.mean.sum()))
        apart[question.id] = gap / spread if spread > 0 else gap
    return sorted(apart, key=apart.__getitem__)
