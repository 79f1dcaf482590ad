"""The rules of :class:`rmgym.feedback.teachers.base.Teacher` as tests that your own teacher's tests inherit.

.. code-block:: python

    from rmgym.feedback.teachers.contract import TeacherContract

    class TestMyTeacher(TeacherContract):
        def make_teacher(self):
            return MyTeacher()

pytest then runs every rule on it. A broken rule is named in the failure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions
from rmgym.feedback.teachers.base import Teacher
from rmgym.models.contract import rule
from rmgym.text.batch import TextBatch
from rmgym.transitions import ARRAY_FIELDS, Transitions
from rmgym.trees import leaves

Questions = RatingQuestions | PreferenceQuestions


class TeacherContract:
    """Inherit, and say how the teacher is made.

    Attributes:
        rates: whether it rates steps; where not, it says so with a FeedbackError.
        compares: whether it compares segments; likewise.
        deterministic: whether the same questions have the same answers at every call, in any order; a model that
            samples its answers need not.
        tolerance: how far two answers to one question may be apart where they are the same.
    """

    rates: bool = True
    compares: bool = True
    deterministic: bool = True
    tolerance: float = 1e-5

    def make_teacher(self) -> Teacher:
        """Make the teacher under test, the same at every call."""
        raise NotImplementedError

    def transitions(self) -> Transitions:
        """Steps that the teacher can judge, whole episodes in order; by default 3 of them, 24 steps."""
        lengths, rewards = (6, 8, 10), np.random.default_rng(0).normal(size=24)
        last = np.cumsum(lengths) - 1
        positions = np.cumsum(rewards)[:, None]
        return Transitions.from_arrays(
            positions,
            np.arange(24) % 2,
            positions + 0.5,
            np.isin(np.arange(24), last[:2]),
            np.isin(np.arange(24), last[2:]),
            true_reward=rewards,
            episode=np.repeat(np.arange(3), lengths),
            step=np.concatenate([np.arange(n) for n in lengths]),
        )

    def texts(self) -> TextBatch:
        """One text per step; by default a position before and after, and an action."""
        steps = self.transitions()
        actions = ("to the left", "to the right")
        return TextBatch.from_strings(
            [
                f"State: position in m: {before:.3f}. Action: push {actions[action]}. Next position: {after:.3f}."
                for before, action, after in zip(
                    steps.obs[:, 0].tolist(), steps.action.tolist(), steps.next_obs[:, 0].tolist(), strict=True
                )
            ]
        )

    def rating_questions(self) -> RatingQuestions:
        """Steps to rate, at least two; by default every third."""
        steps = self.transitions()
        return RatingQuestions(transitions=steps, texts=self.texts(), rows=np.arange(0, len(steps), 3))

    def preference_questions(self) -> PreferenceQuestions:
        """Segments to compare, at least two pairs; by default pairs of three steps."""
        pairs = np.array([[0, 6], [9, 3], [14, 17], [20, 9]])
        return PreferenceQuestions(transitions=self.transitions(), texts=self.texts(), pairs=pairs, length=3)

    def test_source(self) -> None:
        """A teacher says how its answers come about, the same at every making."""
        source = self.make_teacher().source
        rule(source != "", "source is a name", source)
        rule(self.make_teacher().source == source, "the same teacher has the same source", source)

    def test_ratings(self) -> None:
        """One rating per step, float32; 1, 2, ... where there are levels."""
        teacher, questions = self.make_teacher(), self.rating_questions()
        if not self.rates:
            _refuses(lambda: teacher.rate(questions), "a teacher that does not rate says so with a FeedbackError")
            return
        answers = teacher.rate(questions)
        given = self._given(answers, len(questions))
        if answers.levels is not None:
            whole = (given == np.round(given)) & (given >= 1) & (given <= answers.levels)
            rule(bool(whole.all()), f"ratings on levels are whole numbers from 1 to {answers.levels}", given)

    def test_choices(self) -> None:
        """One choice per pair, float32, a probability."""
        teacher, questions = self.make_teacher(), self.preference_questions()
        if not self.compares:
            _refuses(lambda: teacher.compare(questions), "a teacher that does not compare says so with a FeedbackError")
            return
        answers = teacher.compare(questions)
        given = self._given(answers, len(questions))
        rule(bool(((given >= 0) & (given <= 1)).all()), "a choice is a probability: 1 left, 0 right", given)
        rule(answers.levels is None, "comparisons have no levels", answers.levels)

    def test_deterministic(self) -> None:
        """The same questions have the same answers, whatever was asked in between."""
        for questions in self._asked() if self.deterministic else []:
            teacher = self.make_teacher()
            first = _answer(teacher, questions)
            for other in self._asked():
                _answer(teacher, _take(other, slice(1, None)))
            self._same(_answer(teacher, questions), first, "answers do not depend on earlier questions")
            self._same(_answer(self.make_teacher(), questions), first, "the same teacher gives the same answers")

    def test_order(self) -> None:
        """An answer does not depend on the order of the questions."""
        for questions in self._asked() if self.deterministic else []:
            teacher = self.make_teacher()
            forwards = _answer(teacher, questions)
            backwards = _answer(teacher, _take(questions, slice(None, None, -1)))
            self._same(
                backwards, forwards, "answers do not depend on the order of the questions", slice(None, None, -1)
            )

    def test_pure(self) -> None:
        """Nothing that was given is changed."""
        for questions in self._asked():
            before = deepcopy(questions)
            _answer(self.make_teacher(), questions)
            for (name, old), (_, new) in zip(_arrays(before), _arrays(questions), strict=True):
                same = np.array_equal(old, new, equal_nan=old.dtype.kind == "f")
                rule(same, f"a teacher leaves {name} as it is", new)

    def test_random_state(self) -> None:
        """Answering draws nothing from the global generators of Python, NumPy and torch: agents explore by them."""
        import torch

        for questions in self._asked():
            teacher = self.make_teacher()
            python, numpy, state = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
            _answer(teacher, questions)
            rule(random.getstate() == python, "Python's random state is left alone")
            rule(str(np.random.get_state(legacy=False)) == str(numpy), "NumPy's random state is left alone")
            rule(torch.equal(torch.get_rng_state(), state), "torch's random state is left alone")

    def test_asked(self, tmp_path: Path) -> None:
        """Every question is answered, skipped, or waits in the label store; asking again changes nothing there."""
        from rmgym.feedback.ask import ask
        from rmgym.feedback.plan import QuestionPlan
        from rmgym.feedback.store import LabelStore

        teacher, store = self.make_teacher(), LabelStore(tmp_path / "labels.sqlite")
        plan = QuestionPlan(ratings=6 if self.rates else 0, preferences=2 if self.compares else 0, length=3)
        pending = ask(store, teacher, self.transitions(), self.texts(), plan, annotator="ann")
        rule([question.id for question in store.pending("ann")] == pending, "what has no answer is pending", pending)
        answered, asked = store.progress("ann")
        rule(asked == plan.ratings + plan.preferences, "every question is stored", asked)
        rule(answered == asked - len(pending), "every answer is stored", answered)
        if self.deterministic:
            again = ask(store, teacher, self.transitions(), self.texts(), plan, annotator="ann")
            rule((again, store.progress("ann")) == (pending, (answered, asked)), "asking again changes nothing", again)

    def _asked(self) -> list[Questions]:
        return [
            *([self.rating_questions()] if self.rates else []),
            *([self.preference_questions()] if self.compares else []),
        ]

    def _given(self, answers: Answers, count: int) -> npt.NDArray[np.float32]:
        """The answers that were given, their form checked."""
        rule(answers.values.shape == (count,), "there is one answer per question", answers.values.shape)
        rule(answers.values.dtype == np.float32, "answers are float32", answers.values.dtype)
        given = answers.values[answers.answered]
        rule(bool(np.isfinite(given).all()), "an answer is a finite number, or NaN where there is none", given)
        if answers.skipped is not None:
            rule(not (answers.skipped & answers.answered).any(), "what is skipped has no value", answers.skipped)
        return given

    def _same(self, got: Answers, expected: Answers, message: str, order: slice = slice(None)) -> None:
        """Fail unless the answers, put into an order, are the expected ones."""
        for name in ("values", "skipped", "margins", "confidence"):
            one, other = getattr(got, name), getattr(expected, name)
            same = one is other
            if one is not None and other is not None:
                same = np.allclose(one[order], other, rtol=0, atol=self.tolerance, equal_nan=True)
            rule(same, message, f"{name} {one}, expected {other}")
        rule(got.levels == expected.levels, message, f"levels {got.levels}, expected {expected.levels}")
        same = len(got.cuts) == len(expected.cuts) and np.allclose(got.cuts, expected.cuts, rtol=0, atol=self.tolerance)
        rule(same, message, f"cuts {got.cuts}, expected {expected.cuts}")


def _answer(teacher: Teacher, questions: Questions) -> Answers:
    return teacher.rate(questions) if isinstance(questions, RatingQuestions) else teacher.compare(questions)


def _take(questions: Questions, which: slice) -> Questions:
    """Some of the questions."""
    if isinstance(questions, RatingQuestions):
        return replace(questions, rows=questions.rows[which])
    return replace(questions, pairs=questions.pairs[which])


def _arrays(questions: Questions) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    """Every array that questions hold, by name."""
    for name in ARRAY_FIELDS:
        for path, leaf in leaves(getattr(questions.transitions, name)).items():
            yield f"transitions.{name}{path}", leaf
    for name in ("template_index", "numbers", "offsets", "words"):
        yield f"texts.{name}", getattr(questions.texts, name)
    yield "the rows asked about", questions.rows if isinstance(questions, RatingQuestions) else questions.pairs


def _refuses(answer: Callable[[], Answers], message: str) -> None:
    try:
        answers = answer()
    except FeedbackError:
        return
    rule(False, message, answers)
