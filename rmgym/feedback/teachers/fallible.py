"""A scripted teacher who answers as people do: one that knows the truth, and has habits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions
from rmgym.feedback.teachers.habits import Drawn, Habits, wrong_chances
from rmgym.feedback.teachers.levels import cut_points, levels_of
from rmgym.feedback.teachers.placing import Placed, PlacementQuestion, search
from rmgym.feedback.teachers.scripted import ScriptedTeacher
from rmgym.feedback.teachers.ties import compared

Floats = npt.NDArray[np.float64]
FEWEST_LEVELS, MOST_LEVELS = 4, 9
"""Of a scale of one's own."""
_BY, _WRONG, _OTHER, _SILENT = range(1, 5)  # of the numbers drawn: preference, mistake, its level, skipped or later


@dataclass(frozen=True, kw_only=True)
class FallibleTeacher:
    """Knows what a scripted teacher knows, and answers by its habits.

    What is left to chance is drawn anew for each question, by the question's text and ``seed`` alone: in whatever order
    questions come, and however often a loop is killed and asks again, a question has one answer.

    Attributes:
        teacher: who knows the truth; its levels are rated on, unless the scale is one's own.
        habits: what becomes of it.
        seed: of all that is drawn: another seed is another person.

    Raises:
        FeedbackError: the seed is negative.
    """

    teacher: ScriptedTeacher = field(default_factory=ScriptedTeacher)
    habits: Habits = field(default_factory=Habits)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise FeedbackError("a seed is not negative", got=self.seed, fix="pass seed=0 or more")

    @property
    def source(self) -> str:
        """The scripted teacher's, as its habits make it: ``fallible:reward``."""
        return self.teacher.source.replace("scripted:", "fallible:", 1)

    @property
    def levels(self) -> int | None:
        """Of its ratings: of a scale of its own, as many as that may grow to."""
        return MOST_LEVELS if self.habits.own_scale else self.teacher.levels

    def rate(self, questions: RatingQuestions) -> Answers:
        """Rate steps by what they are worth, and by habit.

        Raises:
            FeedbackError: as :meth:`ScriptedTeacher.rate`; or mistakes and drift have no levels to be off by.
        """
        habits, drawn = self.habits, Drawn.of(questions.texts, questions.rows[:, None], 1, self.seed)
        levels = self.levels
        if levels is None:
            if habits.mistakes or habits.drift:
                fix = "pass levels=10 to the scripted teacher, or own_scale=True"
                raise FeedbackError("mistakes and drift of ratings are of levels", got="exact ratings", fix=fix)
            exact = self.teacher.rate(questions).values
            return self._given(-exact if habits.adversarial else exact, drawn)
        values = self.teacher.worth(questions)
        if np.ptp(values) == 0 and questions.alone:
            raise self.teacher.teaches_nothing("ratings differ between steps", f"{len(values)} times {values[0]:g}")
        if habits.drift and levels < 3:
            fix = "pass levels=10 to the scripted teacher, or leave 'drift' out"
            raise FeedbackError("ratings drift by levels, whose width two do not tell", got=f"levels={levels}", fix=fix)
        kept = questions.cuts if self.habits.own_scale else self.teacher.cuts or questions.cuts
        cuts = kept if len(kept) == levels - 1 else self._cuts(self.teacher.span(questions))
        width = (cuts[-1] - cuts[0]) / max(len(cuts) - 1, 1)
        ratings = levels_of(values + habits.drift * width * (questions.earlier + drawn.place) / 100, cuts)
        used = self._used
        wrong = drawn.chances[:, _WRONG] < self._wrong(questions, [np.array([row]) for row in questions.rows])
        # Another of the levels that are used: those from 1, and that is left out.
        other = np.floor(1 + drawn.chances[:, _OTHER] * np.where(ratings <= used, used - 1, used))
        other += other >= ratings
        ratings = np.where(wrong, other, ratings)
        ratings = (levels + 1 - ratings if habits.adversarial else ratings).astype(np.float32)
        return self._given(ratings, drawn, levels, cuts)

    def compare(self, questions: PreferenceQuestions) -> Answers:
        """Compare segments by what their steps add up to, and by habit.

        Raises:
            FeedbackError: as :meth:`ScriptedTeacher.compare`.

        Warns:
            TiedPreferencesWarning: more than half of the comparisons are ties.
        """
        habits, drawn = self.habits, Drawn.of(questions.texts, questions.pairs, questions.length, self.seed)
        steps = questions.pairs[:, :, None] + np.arange(questions.length)  # [N, 2, length]
        counts = habits.myopia ** np.arange(questions.length)[::-1].astype(np.float64)
        sums = self.teacher.values(questions.transitions)[steps] @ counts
        better = (sums[:, 0] - sums[:, 1]) * np.where(drawn.turned, -1, 1)  # of the side that was drawn for
        advice, tolerance = "smaller 'ties', or ratings", max(habits.ties, self.teacher.tie_tolerance)
        refusal = self.teacher.teaches_nothing
        exact = compared(questions, (sums[:, 0], sums[:, 1]), tolerance, refusal=refusal, advice=advice).values
        with np.errstate(invalid="ignore"):  # infinitely rational about ties
            first = drawn.chances[:, _BY] < expit(habits.rationality * better)
        wrong = drawn.chances[:, _WRONG] < self._wrong(questions, list(steps.reshape(len(steps), -1)))
        first = first ^ wrong ^ drawn.turned ^ habits.adversarial
        return self._given(np.where(exact == 0.5, exact, first).astype(np.float32), drawn)

    def place(self, question: PlacementQuestion) -> Placed | None:
        """Place a step at one look: by what it is worth, and by habit; a mistake is a place drawn evenly.

        Raises:
            FeedbackError: as in :meth:`ScriptedTeacher.values`.
        """
        item = np.array([[question.item]], np.int64)
        drawn = Drawn.of(question.texts, item, 1, self.seed)
        if not self._given(np.zeros(1, np.float32), drawn).answered[0]:
            return None
        if drawn.chances[0, _WRONG] < wrong_chances(self.habits, question.texts, [item[0]], self.seed)[0]:
            return Placed(int(drawn.chances[0, _OTHER] * (len(question.rungs) + 1)))
        at_a_look = replace(self.habits, mistakes=0.0, skips=0.0, later=0.0)
        return search(replace(self, habits=at_a_look), question)

    @property
    def _used(self) -> int:
        """Levels that are used at first."""
        if not self.habits.own_scale:
            return self.teacher.levels or MOST_LEVELS
        return int(np.random.default_rng([self.seed, 1]).integers(FEWEST_LEVELS, MOST_LEVELS + 1))

    def _cuts(self, values: Floats) -> tuple[float, ...]:
        """Where levels end; of a scale of its own not where another's do, with room for what is better than all."""
        used = self._used
        cuts = np.array(cut_points(values, used, self.teacher.edges))
        if not self.habits.own_scale:
            return tuple(cuts.tolist())
        low, high = (values.min(), values.max()) if np.ptp(values) else values[0] + np.array([-0.5, 0.5]) * used
        widths = np.diff([low, *cuts, high])
        shifts = np.random.default_rng([self.seed, 2]).uniform(-0.4, 0.4, len(cuts))
        cuts = cuts + shifts * np.where(shifts < 0, widths[:-1], widths[1:])
        further = high + (high - low) / used * (0.5 + np.arange(MOST_LEVELS - used))
        return tuple(np.sort([*cuts, *further]).tolist())

    def _wrong(self, questions: RatingQuestions | PreferenceQuestions, spans: list[npt.NDArray[np.int64]]) -> Floats:
        return wrong_chances(self.habits, questions.texts, spans, self.seed)

    def _given(
        self, values: npt.NDArray[np.float32], drawn: Drawn, levels: int | None = None, cuts: tuple[float, ...] = ()
    ) -> Answers:
        """The answers, but for those that are skipped or given later."""
        chance, habits = drawn.chances[:, _SILENT], self.habits
        silent = chance < habits.skips + habits.later
        values = np.where(silent, np.nan, values).astype(np.float32)
        return Answers(values=values, skipped=chance < habits.skips, levels=levels, cuts=cuts)
