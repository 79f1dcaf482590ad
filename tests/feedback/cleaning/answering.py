"""Scripted people who answer about drawn steps, without a database: statistical tests ask thousands of questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.feedback.given import Given
from rmgym.feedback.tables import Answer, Query, Segment
from rmgym.feedback.teachers import Answers, FallibleTeacher, PreferenceQuestions, RatingQuestions, Teacher
from rmgym.text import TextBatch
from rmgym.transitions import Transitions

LENGTH = 3
"""Steps of a compared segment."""


@dataclass(frozen=True)
class Always:
    """Gives one answer to everything."""

    value: float = 1.0
    source: str = "panel:fallible:reward"

    def rate(self, questions: RatingQuestions) -> Answers:
        return Answers(values=np.full(len(questions), self.value, np.float32))

    def compare(self, questions: PreferenceQuestions) -> Answers:
        return Answers(values=np.full(len(questions), self.value, np.float32))


@dataclass(frozen=True)
class Chance:
    """Draws its answers: levels 1 to 6, left or right."""

    seed: int = 0
    source: str = "panel:fallible:reward"

    def rate(self, questions: RatingQuestions) -> Answers:
        return Answers(values=np.random.default_rng(self.seed).integers(1, 7, len(questions)).astype(np.float32))

    def compare(self, questions: PreferenceQuestions) -> Answers:
        return Answers(values=np.random.default_rng(self.seed).integers(0, 2, len(questions)).astype(np.float32))


def drawn_steps(count: int, seed: int, *, rare: float = 1.0) -> tuple[Transitions, TextBatch]:
    """Steps whose text holds two numbers, and whose reward is a smooth function of them.

    Args:
        count: how many.
        seed: of the numbers.
        rare: share of the steps whose reward is not the least one.
    """
    numbers = np.random.default_rng(seed).normal(size=(count, 2)).round(4)
    reward = np.sin(1.5 * numbers[:, 0]) + numbers[:, 1]
    least = np.quantile(reward, 1 - rare)
    none = np.zeros(count, np.bool_)
    steps = Transitions.from_arrays(
        numbers,
        np.zeros(count),
        numbers,
        none,
        none,
        true_reward=np.maximum(reward, least),
        episode=np.arange(count) // LENGTH,
        step=np.arange(count) % LENGTH,
    )
    texts = TextBatch(
        templates=("At {:.4f}, {:.4f}.",),
        template_index=np.zeros(count, np.int32),
        numbers=numbers.reshape(-1),
        offsets=np.arange(count + 1, dtype=np.int64) * 2,
        card_hash="cafe",
    )
    return steps, texts


def rated_by(
    people: Mapping[str, Teacher],
    steps: Transitions,
    texts: TextBatch,
    rows: Mapping[str, npt.NDArray[np.int64]],
    source: str = "panel:fallible:reward",
) -> Given:
    """Ratings: each person's, of some of the steps."""
    answers = list[Answer]()
    for name, person in people.items():
        asked = RatingQuestions(transitions=steps, texts=texts, rows=rows[name])
        given = person.rate(asked)
        answers += [
            Answer(query=int(row), annotator=name, source=source, value=float(value))
            for row, value in zip(rows[name], given.values, strict=True)
        ]
    used = sorted({answer.query for answer in answers})
    return in_order(
        answers,
        {row: Query(id=row, kind="rating", left=row) for row in used},
        {row: segment(texts, row, 1) for row in used},
    )


def compared_by(
    people: Mapping[str, Teacher],
    steps: Transitions,
    texts: TextBatch,
    pairs: npt.NDArray[np.int64],
    asked: Mapping[str, Sequence[int]],
) -> Given:
    """Comparisons: each person's, of some of the pairs (first rows of segments of 3 steps, ``[N, 2]``)."""
    answers = list[Answer]()
    for name, person in people.items():
        which = np.asarray(asked[name], np.int64)
        questions = PreferenceQuestions(transitions=steps, texts=texts, pairs=pairs[which], length=LENGTH)
        answers += [
            Answer(query=int(query), annotator=name, source="panel:fallible:reward", choice=float(choice))
            for query, choice in zip(which, person.compare(questions).values, strict=True)
        ]
    queries = {
        i: Query(id=i, kind="preference", left=left, right=right) for i, (left, right) in enumerate(pairs.tolist())
    }
    return in_order(answers, queries, {row: segment(texts, row, LENGTH) for row in np.unique(pairs).tolist()})


def in_order(answers: Sequence[Answer], queries: Mapping[int, Query], segments: Mapping[int, Segment]) -> Given:
    """Answers as they come from a database, numbered from 1."""
    for number, answer in enumerate(answers, 1):
        answer.id = number
    return Given(answers=tuple(answers), queries=queries, segments=segments)


def segment(texts: TextBatch, row: int, length: int) -> Segment:
    content = texts[row : row + length]
    return Segment(id=row, digest=str(row), opening="", episode=row, start=0, length=length, texts=content.to_json())


def shared_out(count: int, names: Sequence[str], seed: int, *, by: int = 1) -> dict[str, npt.NDArray[np.int64]]:
    """Which of the questions each person is asked, drawn; every question goes to so many of them."""
    rng = np.random.default_rng([seed, 9])
    of = {name: list[int]() for name in names}
    for question in range(count):
        for i in rng.choice(len(names), by, replace=False):
            of[names[i]].append(question)
    return {name: np.array(each, np.int64) for name, each in of.items()}


def honest(count: int, seed: int, **habits: object) -> dict[str, Teacher]:
    """People with some habits, who know the truth."""
    from rmgym.feedback.teachers import Habits

    return {
        f"good {i}": FallibleTeacher(habits=Habits(**habits), seed=1000 * seed + i)  # type: ignore[arg-type]
        for i in range(count)
    }
