"""Ask: choose questions, put them to a teacher, store the answers. The one road for scripts, people and models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.choice import Chosen
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.queries import Rows
from rmgym.feedback.questions import QuestionKey, keys_of
from rmgym.feedback.scales import Scale, check_scales
from rmgym.feedback.store import LabelStore
from rmgym.feedback.tables import Answer
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions
from rmgym.feedback.teachers.base import Teacher
from rmgym.feedback.teachers.panel import Panel
from rmgym.feedback.teachers.ties import TiedPreferencesWarning
from rmgym.feedback.teachers.values import in_whole_episode
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions

Kind = Literal["rating", "preference"]


def ask(
    store: LabelStore,
    teacher: Teacher | Panel,
    transitions: Transitions,
    texts: TextBatch,
    plan: QuestionPlan | Chosen | None = None,
    *,
    annotator: str | None = None,
) -> list[int]:
    """Have steps rated and segments compared; asking again changes nothing.

    A question is known by the texts that it asks about. What the annotator has answered or skipped before is neither
    asked again nor rewritten, and what is new is rated on the scale of the earlier ratings. The teacher speaks before
    any question is stored: what it cannot label leaves none behind.

    Args:
        store: where questions and answers go.
        teacher: who answers; of a panel, each member a share, under its own name.
        transitions: all collected steps, whole episodes in order.
        texts: one text per step.
        plan: what to ask, or the questions themselves; by default 100 ratings.
        annotator: name stored with the answers; by default the teacher's source.

    Returns:
        The ids of the questions that the teacher left pending.

    Raises:
        FeedbackError: there is not enough to ask about, the teacher cannot tell these steps apart, or the store cannot
            take the answers: another card, another source or scale than this annotator's earlier answers.
    """
    plan = plan or QuestionPlan()
    # How a cut episode would have ended is not known; without any that ended, the teacher says what is wrong.
    if plan.whole_episodes and (whole := in_whole_episode(transitions)).any():
        transitions, texts = transitions[whole], texts[whole]
    rows, pairs = plan.rows(transitions, texts)[:, None], plan.pairs(transitions, texts)
    asked = _Asked(store=store, transitions=transitions, texts=texts, length=plan.length, source=teacher.source)
    if isinstance(teacher, Panel):
        if annotator is not None:
            raise FeedbackError("members of a panel have names of their own", got=annotator, fix="leave it out")
        of_rows, of_pairs = teacher.share(texts, rows, 1), teacher.share(texts, pairs, plan.length)
        asked = replace(asked, shared=len(teacher.members) > 1)
        spoken = [
            asked.of(name, member, rows[of_rows == i], pairs[of_pairs == i])
            for i, (name, member) in enumerate(teacher.members.items())
        ]
        _check_differing(spoken)
    else:
        spoken = [asked.of(annotator or teacher.source, teacher, rows, pairs)]
    return [query for each in spoken for query in asked.stored(each)]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Spoken:
    """What one annotator was asked, and answered."""

    annotator: str
    ratings: RatingQuestions
    comparisons: PreferenceQuestions
    rated: Answers
    compared: Answers


@dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """Some steps that are asked about, for a store.

    Attributes:
        store: where the answers go.
        transitions: all collected steps.
        texts: one per step.
        length: of compared segments.
        source: how answers come about.
        shared: several teachers are asked, a share each.
    """

    store: LabelStore
    transitions: Transitions
    texts: TextBatch
    length: int
    source: str
    shared: bool = False

    def of(self, annotator: str, teacher: Teacher, rows: Rows, pairs: Rows) -> _Spoken:
        """Put to a teacher what is new to it.

        Raises:
            FeedbackError: see :func:`ask`.
        """
        scales, transitions, texts = self.store.scales(annotator), self.transitions, self.texts
        rows, rated_before = _new(self.store, "rating", annotator, texts, rows, 1)
        pairs, compared_before = _new(self.store, "preference", annotator, texts, pairs, self.length)
        ratings = RatingQuestions(
            transitions=transitions,
            texts=texts,
            rows=rows[:, 0],
            cuts=next((scale.cuts for scale in scales if scale.cuts), ()),
            earlier=rated_before,
            shared=self.shared,
        )
        comparisons = PreferenceQuestions(
            transitions=transitions,
            texts=texts,
            pairs=pairs,
            length=self.length,
            earlier=compared_before,
            shared=self.shared,
        )
        rated = _checked(teacher.rate(ratings), len(ratings)) if len(ratings) else Answers.pending(0)
        compared = _checked(teacher.compare(comparisons), len(comparisons)) if len(comparisons) else Answers.pending(0)
        if rated.answered.any():
            scales.add(Scale.of(self.source, False, rated.levels, rated.cuts))
        if compared.answered.any():
            scales.add(Scale.of(self.source, True, None, None))
        check_scales(annotator, scales)
        return _Spoken(annotator=annotator, ratings=ratings, comparisons=comparisons, rated=rated, compared=compared)

    def stored(self, spoken: _Spoken) -> list[int]:
        """Store questions and answers; the ids of the questions that are pending."""
        pairs = spoken.comparisons.pairs
        rated = self.store.add_rating_queries(self.transitions, self.texts, spoken.ratings.rows)
        compared = self.store.add_preference_queries(self.transitions, self.texts, pairs, self.length)
        given = [
            *_rows("rating", rated, spoken.rated, spoken.annotator, self.source),
            *_rows("preference", compared, spoken.compared, spoken.annotator, self.source),
        ]
        if given:
            self.store.record(given)
        answered = {row.query for row in given}
        return [query for query in (*rated, *compared) if query not in answered]


def _check_differing(spoken: Sequence[_Spoken]) -> None:
    """Refuse answers of a panel that teach nothing together, as those of one teacher are refused.

    Raises:
        FeedbackError: all ratings are equal, or all comparisons tied, and nobody has answered before or will later.

    Warns:
        TiedPreferencesWarning: more than half of the comparisons are ties.
    """
    rated, compared = _all_values([each.rated for each in spoken]), _all_values([each.compared for each in spoken])
    earlier = any(each.ratings.earlier or each.comparisons.earlier for each in spoken)
    for rule, values, equal in (
        ("ratings differ between steps", rated, len(set(rated.tolist())) == 1),
        ("some segments are better than others", compared, set(compared.tolist()) == {0.5}),
    ):
        if equal and not earlier:
            got = f"{len(values)} times {values[0]:g}, by all of a panel"
            fix = "collect more varied steps, or have outcomes judged: whole episodes that end differently"
            raise FeedbackError(rule, got=got, fix=fix)
    if len(compared) > 1 and (tied := compared == 0.5).mean() > 0.5:
        text = f"{tied.sum()} of {len(tied)} comparisons are ties, which teach little: use other segments, or ratings"
        warnings.warn(text, TiedPreferencesWarning, stacklevel=3)


def _all_values(answers: Sequence[Answers]) -> npt.NDArray[np.float32]:
    """What was answered, in one array; none where some of it is pending."""
    silent = sum(int((~each.answered).sum()) for each in answers)
    skipped = sum(int(each.skipped.sum()) for each in answers if each.skipped is not None)
    values = np.concatenate([each.values[each.answered] for each in answers])
    return values if silent == skipped else values[:0]


def _new(
    store: LabelStore, kind: Kind, annotator: str, texts: TextBatch, starts: Rows, length: int
) -> tuple[Rows, int]:
    """The questions that an annotator has not answered, each once, with sides as they were asked; how many it has."""
    answered, asked = store.keys(kind, annotator), store.keys(kind)
    fresh = dict[QuestionKey, list[int]]()
    for sides, (left, right) in zip(starts.tolist(), keys_of(texts, starts, length), strict=True):
        key: QuestionKey = (left, right)
        if right is not None and key not in asked and (right, left) in asked:
            key, sides = (right, left), sides[::-1]
        if key not in answered:
            fresh.setdefault(key, sides)
    return np.array(list(fresh.values()), np.int64).reshape(-1, starts.shape[1]), len(answered)


def _checked(answers: Answers, count: int) -> Answers:
    if len(answers) != count:
        got = f"{len(answers)} answers to {count} questions"
        raise FeedbackError("a teacher gives one answer per question", got=got, fix="give NaN where there is none")
    return answers


def _rows(kind: Kind, queries: Sequence[int], answers: Answers, annotator: str, source: str) -> list[Answer]:
    """Rows of the label database for what was answered or skipped."""
    skipped = answers.skipped if answers.skipped is not None else np.zeros(len(answers), np.bool_)
    rows = list[Answer]()
    for i in np.flatnonzero(answers.answered | skipped).tolist():
        value = None if skipped[i] else float(answers.values[i])
        given = value is not None
        rows.append(
            Answer(
                query=queries[i],
                annotator=annotator,
                source=source,
                value=value if kind == "rating" else None,
                levels=answers.levels if given else None,
                cuts=list(answers.cuts) or None if given else None,
                choice=value if kind == "preference" else None,
                margin=float(answers.margins[i]) if given and answers.margins is not None else 0.0,
                confidence=float(answers.confidence[i]) if answers.confidence is not None else None,
                skipped=not given,
            )
        )
    return rows
