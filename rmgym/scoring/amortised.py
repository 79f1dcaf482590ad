"""A slow reward model that answers through a fast student, and checks it on every batch.

For models that read every step in full (early fusion, digits, judges, a model behind a network). The first texts are
scored by the original; a late-fusion student is fitted on what it said, and answers from then on, except

* where its heads disagree by more than the tolerance: there the original is asked, and
* on a random sample of every batch, where the original is asked too and the two are compared. When the error over the
  latest of them exceeds the tolerance, the whole batch is scored by the original and the student is fitted again.

What the original says is remembered and the student is fitted on it anew whenever it has grown by half.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.errors import ModelError
from rmgym.models.base import Prediction, RewardModel, as_texts
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.registry import create_reward_model, load_reward_model
from rmgym.scoring.distil import imitation
from rmgym.text.batch import TextBatch
from rmgym.training import FitOptions, fit

_WINDOW, _FEWEST = 64, 16  # audited texts over which the error is taken, and from how many on it says something


@dataclass(frozen=True, kw_only=True)
class AmortisedOptions:
    """How a student stands in for a slow model.

    Attributes:
        tolerance: largest root mean square error of the student on audited texts, and largest disagreement of its heads
            on any text, in units of the standard deviation of the original's scores. 0 asks the original always.
        audit: share of every batch that is audited, at random; after each fit more, until it can be judged.
        warmup: texts that the original scores before there is a student.
        student: name of the student's model; it has several heads, whose disagreement is its uncertainty.
        student_options: of that model.
        fit_steps: optimiser steps of each fit.
        remembered: texts with the original's scores that are kept, the latest.
        seed: of the sample and of the fits.

    Raises:
        ModelError: a value is impossible.
    """

    tolerance: float = 0.1
    audit: float = 1 / 256
    warmup: int = 1024
    student: str = "ensemble"
    student_options: Mapping[str, Any] = field(default_factory=lambda: {"heads": 3, "width": 64})
    fit_steps: int = 600
    remembered: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < float("inf"):
            raise ModelError("a tolerance is a number of at least 0", got=self.tolerance, fix="try 0.1")
        if not 0 < self.audit <= 1:
            raise ModelError("the audited share is in (0, 1]", got=self.audit, fix="try 1/256")
        for name in ("warmup", "fit_steps", "remembered"):
            if getattr(self, name) < 2:
                raise ModelError(f"{name} is at least 2", got=getattr(self, name), fix="leave it out")


class AmortisedReward:
    """See the module's text. Use it wherever a reward model goes, or ``when="amortised"`` of ``make_agent``.

    Unlike other models, it learns while it is asked: the same text may get another score, within the tolerance, after
    the student was fitted again; the digest changes with it, so that replay buffers are relabelled and caches hold
    nothing stale.

    Args:
        teacher: the slow model.
        options: how.

    Raises:
        ModelError: there is no such student.
    """

    def __init__(self, teacher: RewardModel, options: AmortisedOptions | None = None) -> None:
        self.teacher, self.options = teacher, options or AmortisedOptions()
        self._student: NeuralRewardModel | None = None
        self._texts, self._values = list[TextBatch](), list[npt.NDArray[np.float32]]()
        self._errors: deque[float] = deque(maxlen=_WINDOW)  # of audited texts, the latest
        self._error_before = float("nan")
        self._rng = np.random.default_rng(self.options.seed)
        self._asked = self._answered = self._fits = self._fitted_on = 0

    @property
    def name(self) -> str:
        """The original's."""
        return self.teacher.name

    @property
    def card_hash(self) -> str | None:
        """The original's."""
        return self.teacher.card_hash

    @property
    def digest(self) -> str:
        """The original's while it alone answers, and another after every fit of the student."""
        said = self.teacher.digest
        return f"{said}-amortised-{self._fits}-{self._student.digest}" if self._student is not None else said

    @property
    def statistics(self) -> dict[str, float]:
        """How it went so far.

        ``lm_call_share`` is the share of texts that the original was asked about, ``audit_error`` the root mean square
        error on the latest audited texts in standard deviations (of the student before where the present one has not
        been audited yet; NaN where none has), ``student_fits`` a count.
        """
        error = float(np.sqrt(np.mean(np.square(self._errors)))) if self._errors else self._error_before
        share = self._asked / self._answered if self._answered else 1.0
        return {"lm_call_share": share, "audit_error": error, "student_fits": float(self._fits)}

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        """See :class:`rmgym.models.base.RewardModel`; the std of a student's answer is the disagreement of its heads.

        Raises:
            ModelError: the original cannot score the texts, or the student cannot read them.
        """
        batch = as_texts(texts)
        self._answered += len(batch)
        if self.options.tolerance == 0 or not len(batch):
            self._asked += len(batch)
            return self.teacher.predict(batch)
        if self._student is None:
            return self._warm_up(batch)
        guess = self._student.predict(batch)
        limit = self.options.tolerance * float(self._student.scale)
        unsure = guess.std > limit
        # A new student is audited more, until there is enough to judge it by.
        share = max(self.options.audit, (_FEWEST - len(self._errors)) / len(batch))
        audited = (self._rng.random(len(batch)) < share) & ~unsure
        rows = np.flatnonzero(unsure | audited)
        mean, std = guess.mean.copy(), guess.std.copy()
        if len(rows):
            said = self._ask(batch[rows])
            mean[rows], std[rows] = said.mean, said.std
            self._errors.extend(((mean - guess.mean)[audited] / float(self._student.scale)).tolist())
        if len(self._errors) >= _FEWEST and self.statistics["audit_error"] > self.options.tolerance:
            rest = np.setdiff1d(np.arange(len(batch)), rows)
            if len(rest):
                said = self._ask(batch[rest])
                mean[rest], std[rest] = said.mean, said.std
            self._fit()
        elif sum(map(len, self._values)) >= 1.5 * self._fitted_on:
            self._fit()
        return Prediction(mean, std)

    def _warm_up(self, batch: TextBatch) -> Prediction:
        """Let the original answer until there is enough to fit a student on, who answers the rest."""
        wanting = self.options.warmup - sum(map(len, self._values))
        said = self._ask(batch[:wanting] if wanting > 0 else batch)
        if len(said) >= wanting:
            self._fit()
        if len(said) == len(batch):
            return said
        self._answered -= len(batch) - len(said)  # they are counted where they are answered
        others = self.predict(batch[len(said) :])
        return Prediction(np.concatenate([said.mean, others.mean]), np.concatenate([said.std, others.std]))

    def _ask(self, batch: TextBatch) -> Prediction:
        """Ask the original, and remember what it said."""
        said = self.teacher.predict(batch)
        self._asked += len(batch)
        if np.isfinite(said.mean).all():  # else whoever asked refuses it
            self._texts.append(batch)
            self._values.append(said.mean)
        return said

    def _fit(self) -> None:
        """Fit the student, a new one or the one there is, on what the original has said."""
        texts, values = TextBatch.concatenate(self._texts), np.concatenate(self._values)
        if np.ptp(values) == 0:
            return  # there is nothing to imitate yet
        texts, values = texts[-self.options.remembered :], values[-self.options.remembered :]
        self._texts, self._values = [texts], [values]
        if self._student is None:
            made: Any = create_reward_model(
                self.options.student, seed=self.options.seed, **dict(self.options.student_options)
            )
            self._student = made
        assert self._student is not None
        how = FitOptions(max_steps=self.options.fit_steps, batch_size=64, validation=0, seed=self.options.seed)
        fit(self._student, imitation(texts, values, np.arange(len(values)), self.teacher), how, progress=False)
        self._error_before = self.statistics["audit_error"]
        self._errors.clear()
        self._fits, self._fitted_on = self._fits + 1, len(values)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the original; :meth:`save_state` saves what was learnt of it."""
        return self.teacher.save(path)

    def describe(self) -> dict[str, Any]:
        """The original's facts, and :attr:`statistics` as ``amortised``."""
        return {**self.teacher.describe(), "amortised": {"tolerance": self.options.tolerance, **self.statistics}}

    def save_state(self, path: str | os.PathLike[str]) -> Path:
        """Write the student, what it was taught and the random state to a folder, so that a run can go on."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        if self._student is not None:
            self._student.save(folder / "student")
        values = np.concatenate([np.zeros(0, np.float32), *self._values])
        state = {
            "teacher": self.teacher.digest,
            "texts": TextBatch.concatenate(self._texts).to_json() if self._texts else None,
            "values": values.tolist(),
            "errors": [list(self._errors), self._error_before],
            "counts": [self._asked, self._answered, self._fits, self._fitted_on],
            "generator": self._rng.bit_generator.state,
        }
        (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
        return folder

    def load_state(self, path: str | os.PathLike[str]) -> None:
        """Go on from what :meth:`save_state` wrote.

        Raises:
            ModelError: it was written for another original, or is damaged.
        """
        folder = Path(path)
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            written_for = state["teacher"]
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                "a student's state is whole", got=f"{folder}: {error!r}", fix="begin the run anew"
            ) from error
        if written_for != self.teacher.digest:
            raise ModelError(
                "a student goes on with the model it imitates",
                got=f"state for digest {written_for}, model {self.teacher.name!r} has {self.teacher.digest}",
                fix="put the old model back, or begin the run anew",
            )
        if (folder / "student").exists():
            student: Any = load_reward_model(folder / "student")
            self._student = student
        self._texts = [] if state["texts"] is None else [TextBatch.from_json(state["texts"])]
        self._values = [np.array(state["values"], np.float32)] if state["values"] else []
        errors, self._error_before = state["errors"]
        self._errors = deque(errors, maxlen=_WINDOW)
        self._asked, self._answered, self._fits, self._fitted_on = state["counts"]
        self._rng.bit_generator.state = state["generator"]

    def __deepcopy__(self, memo: dict[int, Any]) -> AmortisedReward:
        """Shared, as every model is."""
        return self


def original(model: RewardModel) -> RewardModel:
    """The slow model behind a student, or the model itself: what a run remembers, and what evaluation asks."""
    return model.teacher if isinstance(model, AmortisedReward) else model
