"""Put questions to a scripted teacher and store its answers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rmgym.feedback.schema import Answer
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers import ScriptedTeacher
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions


def ask_script(
    store: LabelStore,
    teacher: ScriptedTeacher,
    transitions: Transitions,
    texts: TextBatch,
    *,
    rows: npt.NDArray[np.int64],
    pairs: npt.NDArray[np.int64],
    length: int,
    annotator: str | None = None,
) -> None:
    """Have steps rated and segments compared at once; asking again changes nothing.

    All are answered anew, because levels depend on all rated steps. The teacher speaks before any question is stored:
    what it cannot label leaves none behind.

    Args:
        store: where questions and answers go.
        teacher: who answers.
        transitions: all collected steps.
        texts: one text per step.
        rows: the steps to rate, ``int64 [N]``, possibly none.
        pairs: first rows of the segments to compare, ``int64 [M, 2]``, possibly none.
        length: steps per segment.
        annotator: name stored with the answers; by default the teacher's.

    Raises:
        FeedbackError: the teacher cannot tell these steps apart, or the store cannot take the answers.
    """
    name, source = annotator or teacher.source, teacher.source
    values = teacher.rate(transitions, rows).tolist() if len(rows) else []
    spans = pairs[:, :, None] + np.array([0, length])
    choices = teacher.prefer(transitions, spans[:, 0], spans[:, 1]).tolist() if len(pairs) else []
    rated = store.add_rating_queries(transitions, texts, rows) if len(rows) else []
    compared = store.add_preference_queries(transitions, texts, pairs, length) if len(pairs) else []
    answers = [
        Answer(query=query, annotator=name, source=source, value=value, levels=teacher.levels)
        for query, value in zip(rated, values, strict=True)
    ]
    answers += [
        Answer(query=query, annotator=name, source=source, choice=choice)
        for query, choice in zip(compared, choices, strict=True)
    ]
    store.record(answers)
