"""A scripted teacher: labels from the true reward, exact, so that a failure is the model's and not the labels'."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError, nearest
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions, RatingQuestions
from rmgym.feedback.teachers.levels import EDGES, Edges, cut_points, levels_of
from rmgym.feedback.teachers.placing import Placed, PlacementQuestion, search
from rmgym.feedback.teachers.ties import compared
from rmgym.feedback.teachers.values import StateValue, outcome, progress, prospect
from rmgym.text.distinct import distinct
from rmgym.transitions import Transitions

Target = Literal["reward", "outcome", "progress", "prospect"]
TARGETS = ("reward", "outcome", "progress", "prospect")


@dataclass(frozen=True, kw_only=True)
class ScriptedTeacher:
    """Rates steps and compares segments by the environment's true reward, without noise.

    Attributes:
        target: ``"reward"`` is the step's true reward. ``"outcome"`` is what follows from the step, for environments
            whose true reward is constant (see :func:`outcome`). ``"progress"`` is how much the step improved what an
            expert expects, for sparse rewards (see :func:`progress`). ``"prospect"`` is what an expert would have of
            the step and go on to get (see :func:`prospect`), for potentials of sparse rewards.
        levels: number of rating levels 1, 2, ..., as a human would give them; None keeps the exact value.
        edges: where levels end: ``"width"`` cuts the range of the rated steps into equal widths, ``"quantile"`` puts
            about as many of the rated steps in each level, which keeps rare good steps apart.
        cuts: where levels end, given: the ``levels - 1`` values of an earlier :attr:`Answers.cuts`. Without them, they
            are those of the annotator's earlier ratings; the first call of :meth:`rate` cuts by its own steps.
        gamma: discount of ``"outcome"``, in [0, 1); its horizon is about ``1 / (1 - gamma)`` steps.
        value: the expert's value of observations ``[B, ...] -> [B]``, needed for ``"progress"`` and ``"prospect"``; its
            discount is ``value_gamma``. It comes from above, for example from
            :func:`rmgym.environments.tabular.tabular_value`.
        value_gamma: discount of ``value``.
        tie_tolerance: two segments whose summed values differ by at most this much are tied.
    """

    target: Target = "reward"
    levels: int | None = None
    edges: Edges = "width"
    cuts: tuple[float, ...] = ()
    gamma: float = 0.95
    value: StateValue | None = None
    value_gamma: float = 0.99
    tie_tolerance: float = 1e-6

    def __post_init__(self) -> None:
        for name, value, valid in (("target", self.target, TARGETS), ("edges", self.edges, EDGES)):
            if value not in valid:
                raise FeedbackError(f"{name} is one of {', '.join(valid)}", got=value, fix=nearest(value, valid))
        if self.levels is not None and self.levels < 2:
            raise FeedbackError("a rating has at least 2 levels", got=self.levels, fix="pass levels=10 or levels=None")
        if self.cuts and len(self.cuts) + 1 != self.levels:
            got = f"{len(self.cuts)} cuts with levels={self.levels}"
            raise FeedbackError("levels are told apart by one cut fewer", got=got, fix="pass levels=len(cuts) + 1")
        if self.target in ("progress", "prospect") and self.value is None:
            raise FeedbackError(
                f"{self.target} is judged by an expert's value function",
                got=None,
                fix="pass value=tabular_value(env_id)",
            )
        if not 0 <= self.gamma < 1:
            raise FeedbackError("gamma is in [0, 1)", got=self.gamma, fix="pass gamma=0.95")

    @property
    def source(self) -> str:
        """What the label store calls this teacher, such as ``scripted:outcome``; it says what its values mean."""
        usual = type(self)
        by_expert = (self.value_gamma, usual.value_gamma)
        discounts = {"outcome": (self.gamma, usual.gamma), "progress": by_expert, "prospect": by_expert}
        given, default = discounts.get(self.target, (0.0, 0.0))
        return f"scripted:{self.target}" + (f"(gamma={given:g})" if given != default else "")

    def values(self, transitions: Transitions) -> npt.NDArray[np.float64]:
        """Exact worth of every step, ``float64 [B]``.

        Raises:
            FeedbackError: the true reward is unknown, or outcomes are asked of pieces of episodes.
        """
        if not np.isfinite(transitions.true_reward).all():
            raise FeedbackError(
                "a scripted teacher reads the true reward",
                got=transitions.true_reward,
                fix="collect steps with 'rmgym collect', or label them by hand",
            )
        if self.target == "outcome":
            return outcome(transitions, gamma=self.gamma)
        if self.target in ("progress", "prospect"):
            assert self.value is not None  # __post_init__ has seen to it
            judge = progress if self.target == "progress" else prospect
            return judge(transitions, self.value, gamma=self.value_gamma)
        return transitions.true_reward.astype(np.float64)

    def worth(self, questions: RatingQuestions) -> npt.NDArray[np.float64]:
        """Exact worth of each step that is asked about, ``float64 [N]``.

        By ``"outcome"`` steps of one text are worth the same, the mean of what followed from each of them.

        Raises:
            FeedbackError: there is nothing to rate, or as in :meth:`values`.
        """
        values = self.values(questions.transitions)
        if self.target == "outcome":  # of a text that was met often, what followed in the mean
            _, same = distinct(questions.texts)
            values = (np.bincount(same, values) / np.bincount(same))[same]
        if not len(questions):
            raise FeedbackError("a teacher rates at least one step", got="none", fix="collect or select steps first")
        return values[questions.rows]

    def span(self, questions: RatingQuestions) -> npt.NDArray[np.float64]:
        """Values that a scale is made for: those of the steps asked about or, where these are all equal, of all."""
        values = self.worth(questions)
        if np.ptp(values) > 0:
            return values
        return self.worth(replace(questions, rows=np.arange(len(questions.transitions))))

    def rate(self, questions: RatingQuestions) -> Answers:
        """Rate steps by their :meth:`worth`: 1 to ``levels``, or the exact value where ``levels`` is None.

        Args:
            questions: the steps; for ``"outcome"`` among whole episodes in order.

        Raises:
            FeedbackError: there is nothing to rate, all ratings are equal, or as in :meth:`values`.
        """
        values = self.worth(questions)
        cuts = self.cuts or questions.cuts
        if self.levels == len(cuts) + 1:  # a scale that was set before: a level alone says something
            return Answers(values=levels_of(values, cuts), levels=self.levels, cuts=cuts)
        if np.ptp(values) == 0 and questions.alone:
            raise self.teaches_nothing("ratings differ between steps", f"{len(values)} times {values[0]:g}")
        if self.levels is None:
            return Answers(values=values.astype(np.float32))
        cuts = cut_points(self.span(questions), self.levels, self.edges)
        ratings = levels_of(values, cuts)
        if np.ptp(ratings) == 0 and questions.alone:  # quantiles of values that are nearly all equal
            got = f"{len(values)} steps, all in one of {self.levels} levels"
            raise FeedbackError("ratings differ between steps", got=got, fix="use edges='width'")
        return Answers(values=ratings, levels=self.levels, cuts=cuts)

    def compare(self, questions: PreferenceQuestions) -> Answers:
        """Compare segments by the sum of their steps' values: 1, 0, or 0.5 for a tie.

        Raises:
            FeedbackError: every comparison is a tie, or as in :meth:`values`.

        Warns:
            TiedPreferencesWarning: more than half of the comparisons are ties.
        """
        sums = questions.sums(self.values(questions.transitions))
        advice = "ScriptedTeacher(target='outcome'), other segment lengths, or ratings"
        return compared(questions, sums, self.tie_tolerance, refusal=self.teaches_nothing, advice=advice)

    def place(self, question: PlacementQuestion) -> Placed | None:
        """Place a step among others by its value.

        Raises:
            FeedbackError: as in :meth:`values`.
        """
        return search(self, question)

    def teaches_nothing(self, rule: str, got: str) -> FeedbackError:
        """The error where all answers are equal."""
        if self.target == "reward":
            fix = "this environment's reward is constant here: use target='outcome'"
        else:
            fix = "collect whole episodes that end differently: more steps, a better policy, --reset-every 0"
        return FeedbackError(rule, got=got, fix=fix)
