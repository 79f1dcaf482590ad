"""What a person says on the page, as one word, and as a row of the label database."""

from __future__ import annotations

from rmgym.errors import FeedbackError
from rmgym.feedback.tables import Answer
from rmgym.feedback.teachers.person import HUMAN

SKIP, UNSURE = "skip", "unsure"
"""Ask somebody else; and: I looked, and cannot tell. Neither is a label."""
SIDES = {"left": 1.0, "right": 0.0, "tie": 0.5}
"""The probability that the left segment is better."""


def word_of(answer: Answer) -> str:
    """The word that a row of the database stands for."""
    if answer.skipped:
        return SKIP if answer.confidence is None else UNSURE
    if answer.choice is not None:
        return next((word for word, choice in SIDES.items() if choice == answer.choice), f"{answer.choice:g}")
    return f"{answer.value:g}"


def row_of(word: str, kind: str, query: int, annotator: str, levels: int) -> Answer:
    """A word as a row of the database.

    Args:
        word: ``skip``, ``unsure``, a level of a rating, or ``left``, ``right``, ``tie`` of a comparison.
        kind: of the question: ``rating`` or ``preference``.
        query: the question's id.
        annotator: who says so.
        levels: ratings are 1 to ``levels``.

    Raises:
        FeedbackError: it is no answer to such a question.
    """
    if word in (SKIP, UNSURE):
        # That nobody can tell is known with no confidence at all; of a skip nothing is known.
        confidence = 0.0 if word == UNSURE else None
        return Answer(query=query, annotator=annotator, source=HUMAN, skipped=True, confidence=confidence)
    if kind == "preference" and word in SIDES:
        return Answer(query=query, annotator=annotator, source=HUMAN, choice=SIDES[word])
    if kind == "rating" and word in map(str, range(1, levels + 1)):
        return Answer(query=query, annotator=annotator, source=HUMAN, value=float(word), levels=levels)
    wanted = f"1 to {levels}" if kind == "rating" else ", ".join(SIDES)
    fix = f"answer {wanted}, {UNSURE} or {SKIP}"
    raise FeedbackError(f"a {kind} is answered by a word that fits it", got=f"{word!r:.40}", fix=fix)
