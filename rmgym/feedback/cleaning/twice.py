"""Answers that one annotator gave twice: to texts that read the same, asked in one order or the other."""

from __future__ import annotations

from collections.abc import Iterator

from rmgym.feedback.cleaning.audit import Finding, What
from rmgym.feedback.given import Given, answer_id, value_of
from rmgym.feedback.tables import Answer

_WHY: dict[What, str] = {
    "duplicate": "the same answer to the same texts; the last one counts",
    "contradiction": "other answers to the same texts: of ratings the last one counts, of opposite choices none",
}


def given_twice(given: Given) -> list[Finding]:
    """Duplicates and contradictions.

    Of equal answers, and of ratings that differ, the last one stands, as when an answer is changed in the database.
    Opposite choices cancel out: which of them was meant is not known, and one who always takes the left side gives as
    many of them as pairs are asked both ways. So does a choice between two sides that read the same.
    """
    asked = dict[tuple[str, str, int, int | None], list[Answer]]()
    for answer in given.answers:
        left, right = given.sides(answer)
        if right is not None and left > right:
            left, right = right, left
        asked.setdefault((answer.annotator, given.queries[answer.query].kind, left, right), []).append(answer)
    aside = dict[tuple[What, str], list[int]]()
    for (annotator, _, left, right), answers in asked.items():
        for what, answer in _repeated(given, answers, alike=left == right):
            aside.setdefault((what, annotator), []).append(answer_id(answer))
    return [
        Finding(what=what, annotator=annotator, answers=tuple(sorted(ids)), why=_WHY[what])
        for (what, annotator), ids in sorted(aside.items())
    ]


def _repeated(given: Given, answers: list[Answer], *, alike: bool) -> Iterator[tuple[What, Answer]]:
    """Which of the answers to one question do not count, and why."""
    values = [leaning(given, answer) for answer in answers]
    opposite = answers[0].choice is not None and min(values) < 0.5 < max(values)
    if opposite or (alike and set(values) != {0.5}):
        for answer in answers:
            yield "contradiction", answer
        return
    for answer, value in zip(answers[:-1], values[:-1], strict=True):
        what: What = "duplicate" if value == values[-1] else "contradiction"
        yield what, answer


def leaning(given: Given, answer: Answer) -> float:
    """A rating; or the probability that, of the two sides, the one is better that is in the database for longer."""
    left, right = given.sides(answer)
    turned = right is not None and left > right
    return 1 - value_of(answer) if turned else value_of(answer)
