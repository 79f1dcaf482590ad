"""What the desk says to who sits at it: their next question, and how far they are."""

from __future__ import annotations

from dataclasses import dataclass

from rmgym.feedback.questions import Question


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What an annotator sees.

    Attributes:
        code: of the question; empty where nothing is left for them.
        question: the question.
        last: code of the question that they answered last, which can be taken back; empty where there is none.
        done: how many they have answered or skipped.
        left: how many questions are open to them.
        minutes: that these will take, with the others at work too; None before there is anything to go by.
        levels: they rate from 1 to so many.
        low: code of the step that they gave the lowest rating; empty where their ratings are all one.
        high: the same of the highest.
        rungs: codes of the steps on their ladder, worst first; empty where nothing is placed.
    """

    code: str
    question: Question | None
    last: str
    done: int
    left: int
    minutes: float | None
    levels: int
    low: str
    high: str
    rungs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far somebody is: how many questions they have answered, could not tell or skipped, and have left."""

    annotator: str
    answered: int
    unsure: int
    skipped: int
    left: int
