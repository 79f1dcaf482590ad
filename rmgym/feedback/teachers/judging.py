"""A language model as a teacher: measured first, then asked, and as sure as it was measured to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions
from rmgym.feedback.teachers.base import TOLD_BY_SOURCE, Teacher
from rmgym.feedback.teachers.known_order import by_labels, by_sources, by_teacher
from rmgym.judge.answer_file import AnswerFile, key_of
from rmgym.judge.judge_options import AskingOptions, JudgeOptions, inquiry, only
from rmgym.judge.opinions import Floats, Judge
from rmgym.judge.prompt_files import Kind
from rmgym.judge.skill import OrderedPairs, Reliability, measured
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions

SCRIPTED = "scripted"
_STORES = (".sqlite", ".db")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How a judge is measured before it labels anything.

    Attributes:
        check: who knows the order of the pairs: ``scripted`` (the true reward), ``module:function`` (a function of
            yours), a label database, such as ``people.sqlite`` (somebody's answers), or two policies that took the
            steps, ``random<runs/agent``.
        pairs: how many pairs, of each kind that is asked.
        accept_unreliable: take a judge that is no better than chance.
        seed: of the choice of pairs.
    """

    check: str = SCRIPTED
    pairs: int = 100
    accept_unreliable: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class JudgeTeacherOptions(JudgeOptions, AskingOptions, Trial):
    """All that can be said of a teacher that is a language model, by name and value."""

    def teacher(self, truth: Callable[[], Teacher]) -> JudgeTeacher:
        """The teacher.

        Args:
            truth: makes the teacher that knows the order, where ``check`` names one.
        """
        return JudgeTeacher(
            judge=JudgeOptions(**only(self, JudgeOptions)),
            trial=Trial(**only(self, Trial)),
            asking=AskingOptions(**only(self, AskingOptions)),
            truth=truth,
        )


@dataclass(frozen=True, kw_only=True)
class JudgeTeacher:
    """Rates steps and compares segments by what a language model says of their texts.

    Before the first answer of a kind it is measured on pairs of known order: its share of pairs in order has Wilson's
    95 % interval, and where that does not lie above one half, it is refused with its numbers. Its answers are kept, so
    that measuring it on the same pairs again asks nothing; other steps are other pairs, and measure it anew.

    A comparison is answered by the probability that was measured for log-odds of that size, a soft choice. A rating is
    the expected level, 1 to ``levels``, not rounded; its ``confidence`` is the measured probability that it orders a
    step and another one. Whatever the judge gives no answer to is skipped.

    Attributes:
        judge: who answers, and how it is asked.
        trial: how it is measured.
        asking: where it runs, and what may be spent; it changes no answer.
        truth: makes the teacher that knows the order, where ``trial.check`` names one.
        measures: file that keeps the first measure of each kind for whatever steps follow, as for the rounds of a loop.
    """

    judge: JudgeOptions
    trial: Trial = Trial()
    asking: AskingOptions = field(default=AskingOptions(), metadata={TOLD_BY_SOURCE: True})
    truth: Callable[[], Teacher] | None = field(default=None, metadata={TOLD_BY_SOURCE: True})
    measures: Path | None = field(default=None, metadata={TOLD_BY_SOURCE: True})

    @cached_property
    def opinions(self) -> Judge:
        """Who is asked."""
        return Judge(inquiry(self.judge, self.asking), self.judge)

    @property
    def source(self) -> str:
        """``llm:JUDGE@IDENTITY``: model, prompts and way of asking."""
        return f"llm:{Path(self.judge.judge).name if not self.judge.is_remote else self.judge.judge}@{self._identity}"

    @cached_property
    def _identity(self) -> str:
        return self.opinions.identity

    def rate(self, questions: RatingQuestions) -> Answers:
        """Rate steps by the expected level.

        Raises:
            JudgeError: the judge cannot be asked, is no better than chance, or the budget is spent.
            FeedbackError: it rates all steps alike.
        """
        skill = self.reliability("rating", questions.transitions, questions.texts, 1)
        ratings = self.opinions.rate([[text] for text in questions.step_texts.strings()]).mean
        given = ratings[~np.isnan(ratings)]
        if len(given) and np.ptp(given) == 0 and not questions.earlier:
            fix = "compare segments (preferences), or take another judge"
            raise FeedbackError("ratings differ between steps", got=f"{len(given)} times {given[0]:g}", fix=fix)
        return _answers(ratings, skill.confidence(ratings))

    def compare(self, questions: PreferenceQuestions) -> Answers:
        """Compare segments by the probability that the left one is better.

        Raises:
            JudgeError: as :meth:`rate`.
        """
        length = questions.length
        skill = self.reliability("preference", questions.transitions, questions.texts, length)
        strings = questions.texts.strings()
        left, right = ([strings[start : start + length] for start in own] for own in questions.pairs.T.tolist())
        chance = skill.probability(self.opinions.compare(left, right))
        return _answers(chance, np.maximum(chance, 1 - chance))

    def reliability(self, kind: Kind, transitions: Transitions, texts: TextBatch, length: int) -> Reliability:
        """What the judge's answers of a kind are worth, where it is better than chance; see :meth:`measure`.

        Raises:
            JudgeError: the judge is no better than chance, or there are too few pairs of known order.
        """
        skill = self.measure(kind, transitions, texts, length)
        skill.check(accept_unreliable=self.trial.accept_unreliable)
        return skill

    def measure(self, kind: Kind, transitions: Transitions, texts: TextBatch, length: int) -> Reliability:
        """What the judge's answers of a kind are worth: on pairs of these steps, or as ``measures`` has it.

        Args:
            kind: of question.
            transitions: collected steps.
            texts: one per step.
            length: steps per segment.

        Raises:
            JudgeError: there are too few pairs of known order, or the judge cannot be asked.
        """
        trial, file = self.trial, None if self.measures is None else AnswerFile(self.measures)
        key = key_of("measure", self._identity, kind, length, trial.check, trial.pairs, trial.seed)
        if file is not None and (before := file.get([key], Reliability)):
            return before[key]
        skill = measured(self.opinions, kind, self.pairs(transitions, texts, length), seed=trial.seed)
        if file is not None:
            with file.writing() as keep:
                keep(key, skill)
        return skill

    def pairs(self, transitions: Transitions, texts: TextBatch, length: int) -> OrderedPairs:
        """Pairs of known order.

        Raises:
            FeedbackError: nobody knows it, or a label database is about another card.
            JudgeError: there are too few.
        """
        trial = self.trial
        count, seed = trial.pairs, trial.seed
        if (place := Path(trial.check)).suffix in _STORES:
            from rmgym.feedback.store import LabelStore  # which itself has to do with teachers

            return by_labels(LabelStore(place).labels(), texts, pairs=count, length=length, seed=seed, by=place.name)
        if "<" in trial.check:
            worse, _, better = (part.strip() for part in trial.check.partition("<"))
            return by_sources(worse, better, transitions, texts, pairs=count, length=length, seed=seed)
        return by_teacher(self._truth(), transitions, texts, pairs=count, length=length, seed=seed)

    def _truth(self) -> Teacher:
        if self.truth is None:
            fix = "pass truth=, such as lambda: ScriptedTeacher(); or check='people.sqlite'"
            raise FeedbackError("somebody knows the order of the pairs", got=f"check={self.trial.check}", fix=fix)
        return self.truth()


def _answers(values: Floats, confidence: Floats) -> Answers:
    """Answers; what has no value is skipped."""
    return Answers(
        values=values.astype(np.float32),
        skipped=np.isnan(values),
        confidence=np.nan_to_num(confidence, nan=0.0).astype(np.float32),
    )
