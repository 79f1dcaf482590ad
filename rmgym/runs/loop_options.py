"""How the labels of a loop are spent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from rmgym.composition import Composition
from rmgym.environments.behaviours import BEHAVIOURS, Behaviour
from rmgym.errors import RunError, nearest
from rmgym.feedback.choice import QuestionMix
from rmgym.options import read_options
from rmgym.training import FitOptions
from rmgym.training.fit_options import FEWEST_DRAWN

Kind = Literal["rating", "preference", "both", "ladder"]
TIMES, MOST_STEPS = 100, 800
"""How often each label is drawn by a fit that begins anew, and the most optimiser steps of one."""


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """How labels are collected, in rounds, and what is fitted on them.

    Attributes:
        kind: what the teacher is asked: to rate steps (``rating``), to compare segments (``preference``), ``both``, or
            to place steps, each among all before it (``ladder``, :mod:`rmgym.feedback.ladder`). A placement is one
            label of the budget where the teacher can place, and else as many as it takes comparisons.
        compared: share of the labels that are comparisons where both are asked for.
        first: share of the labels that is asked for before training.
        least: labels that are asked for before training at least, or all there are: an agent that began under a reward
            of fewer may be lost before the others are asked for.
        at: shares of the training after which the others are asked for, in equal numbers, at the next rollout; at the
            last rollout at the latest. Early rounds decide where an agent goes; by the last one it has to be right.
        mix: why steps are asked about.
        behaviours: what is done to collect the first steps, each for as many of them.
        collect: how many first steps.
        reset_every: steps after which their episodes are cut, None for never; see :func:`rmgym.collect`.
        recent: of the agent's steps since the last round, those of the latest episodes are asked about that hold so
            many.
        length: steps of a compared segment.
        whole_episodes: ask only about episodes that ended, as teachers do who judge a step by what followed.
        model: name of the reward model that is fitted, see ``rmgym models``.
        model_options: of the model.
        fit_steps: optimiser steps of a fit that begins anew; by default as many as draw each label 100 times, up to
            800. A step draws all labels there are, up to what the model takes at once (128, of binding heads): more
            steps of fewer labels take longer, and fit the worse to what is between them.
        warm_steps: optimiser steps of a fit that goes on from the model of the round before, on all labels, as those
            after the first then do where no template or phrase is new; None lets each begin anew. What is new and rare
            (a first landing among crashes) is learned too late by a model that goes on.
        free_steps: optimiser steps of a fit that begins anew, before it sees a label, on what all policies did so far
            (:attr:`rmgym.FitOptions.free_steps`).
        free_statistics: standardise over these steps too (:attr:`rmgym.FitOptions.free_statistics`).
        crop: smallest share of a compared segment that a draw of the fit keeps (:attr:`rmgym.FitOptions.crop`).
        potential: ask what the states are worth that steps lead to, and reward a step by what it gained of that
            (:class:`rmgym.scoring.potential.Potential`), as is right where a step is judged by what followed.
        kappa: standard deviations of the reward that are added to its mean where the agent is rewarded: below 0 for an
            agent that keeps away from what the model is unsure of, above for one that is drawn to it. Questions, and
            which agent is kept, are decided by the mean alone.
        kappa_last: what that has become by the last round, in equal parts at each; None for as it was.
        implied: fit on the ratings too that comparisons imply together, where there are 1,000 at most and nobody rated
            anything (:attr:`rmgym.FitOptions.implied`): ratings say themselves how far steps are apart.
        clean: set aside answers that cannot be right, and weigh the others (:func:`rmgym.feedback.clean`).
        settled: agreement of the heads on the order of all policies so far, in two rounds one after the other, at which
            that order counts as settled.
        stop_when_settled: ask no more then; labels that are left are not spent.

    Raises:
        RunError: a value is impossible.
    """

    kind: Kind = "rating"
    compared: float = 0.5
    first: float = 0.3
    least: int = 35
    at: tuple[float, ...] = (0.03, 0.07, 0.12, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85)
    mix: QuestionMix = field(default_factory=QuestionMix)
    behaviours: tuple[Behaviour, ...] = BEHAVIOURS
    collect: int = 6000
    reset_every: int | None = None
    recent: int = 6000
    length: int = 15
    whole_episodes: bool = False
    model: str = "minilm"
    model_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fit_steps: int | None = None
    warm_steps: int | None = None
    free_steps: int = 0
    free_statistics: bool = False
    crop: float = 0.6
    potential: bool = False
    kappa: float = 0.0
    kappa_last: float | None = None
    implied: bool = True
    clean: bool = True
    settled: float = 0.98
    stop_when_settled: bool = False

    def __post_init__(self) -> None:
        if self.kind not in (kinds := get_args(Kind)):
            raise RunError(
                "a teacher rates, compares, or places on a ladder", got=self.kind, fix=nearest(self.kind, kinds)
            )
        if not 0 < self.compared < 1:
            raise RunError("'compared' is a share of the labels", got=self.compared, fix="pass compared=0.5")
        if not 0 < self.first <= 1:
            raise RunError("'first' is a share of the labels above 0", got=self.first, fix="pass first=0.3")
        if list(self.at) != sorted(set(self.at)) or not all(0 < share < 1 for share in self.at):
            raise RunError("'at' is ascending shares of the training", got=self.at, fix="pass at=(0.1, 0.3)")
        if self.least < 2:
            raise RunError("'least' is at least 2", got=self.least, fix="pass least=35")
        for name in ("collect", "recent", "length", "fit_steps", "warm_steps"):
            if (count := getattr(self, name)) is not None and count < 1:
                raise RunError(f"{name!r} is at least 1", got=count, fix=f"pass {name}=1 or more")
        for name in self.behaviours:
            if name not in BEHAVIOURS:
                raise RunError("a behaviour is known", got=name, fix=nearest(name, BEHAVIOURS))
        if not 0.5 < self.settled <= 1:
            raise RunError("'settled' is an agreement above chance", got=self.settled, fix="pass settled=0.98")
        for name in ("kappa", "kappa_last"):
            if (kappa := getattr(self, name)) is not None and not math.isfinite(kappa):
                raise RunError(f"{name!r} is a finite number", got=kappa, fix=f"pass {name}=-1.0")
        if self.kappa_last is not None and not self.at:
            got = f"kappa_last={self.kappa_last:g}, and all questions before training"
            raise RunError("kappa changes from round to round", got=got, fix="leave kappa_last out, or pass at=")
        if self.potential and (self.kappa or self.kappa_last):
            got = f"kappa={self.kappa:g}, kappa_last={self.kappa_last}"
            rule = "what a potential adds cancels over an episode, and a share of its standard deviation does not"
            raise RunError(rule, got=got, fix="leave kappa out, or leave potential= out")
        if self.potential and self.free_steps:
            fix = "leave free_steps out, or leave potential= out"
            raise RunError(
                "a potential is about states, and these tell nothing of what follows",
                got=f"free_steps={self.free_steps}",
                fix=fix,
            )
        if self.potential and self.kind != "rating":
            raise RunError("a potential is learned from ratings", got=self.kind, fix="pass kind='rating'")
        if self.whole_episodes and self.kind == "ladder":
            fix = "pass kind='rating'"
            raise RunError("what followed from a step is not told by a segment alone", got=self.kind, fix=fix)
        if not self.behaviours:
            raise RunError("first steps are collected by a behaviour", got=self.behaviours, fix="name one: random")

    @classmethod
    def of(cls, values: LoopOptions | Mapping[str, object] | None) -> Self:
        """Options from named values, or the defaults."""
        if isinstance(values, cls):
            return values
        return read_options(cls, dict(values or {}), "options of a loop", RunError)  # type: ignore[arg-type]

    def labels_by(self, round_: int, labels: int) -> int:
        """How many of all labels are asked for by the end of a round, 0 for those before training."""
        if not self.at:
            return labels
        first = min(labels, max(labels * self.first, self.least))
        return round(first + (labels - first) * round_ / len(self.at))

    def composition_after(self, round_: int) -> Composition:
        """How the agent's reward is put together after a round, 0 for the one before training."""
        last = self.kappa if self.kappa_last is None else self.kappa_last
        done = round_ / len(self.at) if self.at else 0.0
        return Composition(uncertainty_penalty=0.0 - (1 - done) * self.kappa - done * last)

    def fit_options(self, seed: int, labels: int, most_drawn: int, *, warm: bool = False) -> FitOptions:
        """How a model is fitted.

        Args:
            seed: of what is drawn.
            labels: on so many.
            most_drawn: labels that a step of it draws at most.
            warm: it goes on, and does not begin anew.
        """
        labels = max(labels, FEWEST_DRAWN)
        drawn = min(labels, most_drawn)
        steps = self.warm_steps if warm else self.fit_steps
        steps = steps or min(-(-TIMES * labels // drawn), MOST_STEPS)
        return FitOptions(
            max_steps=steps,
            batch_size=drawn,
            validation=0,
            patience=None,
            crop=self.crop,
            free_steps=self.free_steps,
            free_statistics=self.free_statistics,
            seed=seed,
        )
