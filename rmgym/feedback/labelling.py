"""Labels in one call: steps, and who says what they are worth."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path

from rmgym.environments.build import build_env
from rmgym.environments.collect import collected_in
from rmgym.errors import FeedbackError
from rmgym.feedback.ask import ask
from rmgym.feedback.labels import Labels
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.base import Teacher
from rmgym.feedback.teachers.program import Function, as_teacher
from rmgym.text.batch import TextBatch
from rmgym.text.textualizer import textualizer
from rmgym.transitions import Transitions


def label(
    transitions: Transitions,
    teacher: Teacher | Function,
    *,
    ratings: int | None = None,
    preferences: int = 0,
    length: int = 25,
    seed: int = 0,
    texts: TextBatch | None = None,
    db: str | os.PathLike[str] | None = None,
    annotator: str | None = None,
) -> Labels:
    """Have some of the collected steps labelled: what ``rmgym label`` does, from Python.

    Args:
        transitions: steps, as :func:`rmgym.collect` gives them.
        teacher: a function that says what a step is worth (:class:`rmgym.ProgramTeacher`), or any :class:`Teacher`
            that answers at once.
        ratings: steps to have rated; by default 100, or none where segments are compared.
        preferences: pairs of segments to have compared.
        length: steps per segment.
        seed: of choosing; the same seed and steps give the same questions.
        texts: what the steps say; by default in the words of the environment's card.
        db: a label database to keep the answers in, beside those that this annotator has given there before.
        annotator: name stored with the answers; by default the teacher's source.

    Raises:
        FeedbackError: there are not enough steps, the teacher cannot tell them apart, or the database is about
            something else.
    """
    who = as_teacher(teacher)
    plan = QuestionPlan(
        ratings=ratings if ratings is not None else 0 if preferences else 100,
        preferences=preferences,
        length=length,
        seed=seed,
    )
    texts = _texts(transitions) if texts is None else texts
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore(Path(folder) / "labels.sqlite" if db is None else db)
        ask(store, who, transitions, texts, plan, annotator=annotator)
        return store.labels(annotator or who.source)


def _texts(transitions: Transitions) -> TextBatch:
    """What steps say, in the words of the environment that they were collected in."""
    env = collected_in(transitions)
    if env is None:
        raise FeedbackError(
            "steps are put into words by their environment",
            got="steps that do not tell where they were collected",
            fix="pass texts=rmgym.textualizer(env).batch(steps)",
        )
    with closing(build_env(env)) as live:
        return textualizer(live, card=env.card, language=env.language).batch(transitions)
