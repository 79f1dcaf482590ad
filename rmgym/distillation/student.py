"""A fast student that answers for a slow reward model, and is checked on every batch.

For models that read every step in full (early fusion, digits, judges, a model behind a network). The first texts are
scored by the model; a late-fusion student is fitted on what it said, and answers from then on, except

* where its heads disagree by more than the tolerance: there the model is asked, and
* on a random sample of every batch, where the model is asked too and the two are compared. When the error over the
  latest of them exceeds the tolerance, the whole batch is scored by the model and the student is fitted again.

What the model says is remembered and the student is fitted on it anew whenever it has grown by half. The scorer
(:class:`rmgym.scoring.Scorer`) puts the student above its cache, so that exact scores alone are kept there.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from rmgym.distillation.student_options import StudentOptions
from rmgym.errors import ModelError
from rmgym.models.base import Prediction, RewardModel
from rmgym.scoring.strategy import Ask
from rmgym.storage.atomic import write_json
from rmgym.storage.foreign import read_json
from rmgym.text.batch import TextBatch

if TYPE_CHECKING:
    from rmgym.models.neural import NeuralRewardModel

_WINDOW, _FEWEST = 64, 16  # audited texts over which the error is taken, and from how many on it says something


class Student:
    """Stands in for a slow reward model where steps are scored: ``student=`` of wrappers, ``make_agent`` and ``train``.

    It learns while it is asked: the same text may get another score, within the tolerance, after it was fitted again;
    :attr:`version` changes with it, so that replay buffers are relabelled. One student serves one agent.

    Args:
        options: how, or a mapping of :class:`StudentOptions`.

    Raises:
        ModelError: an option is unknown or impossible.

    Example:
        >>> import rmgym
        >>> student = Student(StudentOptions(warmup=2, fit_steps=2))
        >>> slow = rmgym.create_reward_model("random")
        >>> student.imitate(slow)
        >>> texts = rmgym.TextBatch.from_strings(["speed: 1.5"])
        >>> bool(student.predict(texts, slow.predict).mean == slow.predict(texts).mean)
        True
    """

    def __init__(self, options: StudentOptions | Mapping[str, object] | None = None) -> None:
        self.options = StudentOptions.of(options) or StudentOptions()
        self._imitated: tuple[str, str] | None = None  # name and digest of the model
        self._begin()

    @classmethod
    def of(
        cls, value: Student | StudentOptions | Mapping[str, object] | Literal[True] | None, *, seed: int = 0
    ) -> Student | None:
        """The student itself, or a new one with such options (:meth:`StudentOptions.of`); None where there is none.

        Raises:
            ModelError: an option is unknown or impossible.
        """
        if isinstance(value, Student):
            return value
        options = StudentOptions.of(value, seed=seed)
        return None if options is None else cls(options)

    def _begin(self) -> None:
        """Know nothing."""
        self._model: NeuralRewardModel | None = None
        self._texts, self._values = list[TextBatch](), list[npt.NDArray[np.float32]]()
        self._errors: deque[float] = deque(maxlen=_WINDOW)  # of audited texts, the latest
        self._error_before = float("nan")
        self._rng = np.random.default_rng(self.options.seed)
        self._asked = self._answered = self._fits = self._fitted_on = 0

    @property
    def version(self) -> str:
        """Empty while the model alone answers, and another after every fit."""
        return "" if self._model is None else f"{self._fits}-{self._model.digest}"

    @property
    def statistics(self) -> dict[str, float]:
        """How it went so far.

        ``lm_call_share`` is the share of texts that the model was asked about, ``audit_error`` the root mean square
        error on the latest audited texts in standard deviations (of the student before where the present one has not
        been audited yet; NaN where none has), ``student_fits`` a count.
        """
        error = float(np.sqrt(np.mean(np.square(self._errors)))) if self._errors else self._error_before
        share = self._asked / self._answered if self._answered else 1.0
        return {"lm_call_share": share, "audit_error": error, "student_fits": float(self._fits)}

    def imitate(self, model: RewardModel) -> None:
        """Say whose answers are asked for from now on; what was learnt of a model with another digest is forgotten."""
        digest = model.digest
        if self._imitated is not None and self._imitated[1] != digest:
            self._begin()
        self._imitated = (model.name, digest)

    def predict(self, texts: TextBatch, ask: Ask) -> Prediction:
        """See :class:`rmgym.scoring.Strategy`; the std of a student's answer is the disagreement of its heads.

        Args:
            texts: ``B`` texts.
            ask: exact scores of some of them.

        Raises:
            ModelError: the model cannot score the texts, or the student cannot read them.
        """
        self._answered += len(texts)
        if self.options.tolerance == 0 or not len(texts):
            self._asked += len(texts)
            return ask(texts)
        if self._model is None:
            return self._warm_up(texts, ask)
        guess = self._model.predict(texts)
        scale = float(self._model.scale)
        unsure = guess.std > self.options.tolerance * scale
        # A new student is audited more, until there is enough to judge it by.
        share = max(self.options.audit, (_FEWEST - len(self._errors)) / len(texts))
        audited = (self._rng.random(len(texts)) < share) & ~unsure
        rows = np.flatnonzero(unsure | audited)
        mean, std = guess.mean.copy(), guess.std.copy()
        if len(rows):
            exact = self._ask(texts[rows], ask)
            mean[rows], std[rows] = exact.mean, exact.std
            self._errors.extend(((mean - guess.mean)[audited] / scale).tolist())
        if len(self._errors) >= _FEWEST and self.statistics["audit_error"] > self.options.tolerance:
            rest = np.setdiff1d(np.arange(len(texts)), rows)
            if len(rest):
                exact = self._ask(texts[rest], ask)
                mean[rest], std[rest] = exact.mean, exact.std
            self._fit()
        elif sum(map(len, self._values)) >= 1.5 * self._fitted_on:
            self._fit()
        return Prediction(mean, std)

    def _warm_up(self, texts: TextBatch, ask: Ask) -> Prediction:
        """Let the model answer until there is enough to fit a student on, who answers the rest."""
        wanting = self.options.warmup - sum(map(len, self._values))
        exact = self._ask(texts[:wanting] if wanting > 0 else texts, ask)
        if len(exact) >= wanting:
            self._fit()
        if len(exact) == len(texts):
            return exact
        self._answered -= len(texts) - len(exact)  # they are counted where they are answered
        others = self.predict(texts[len(exact) :], ask)
        return Prediction(np.concatenate([exact.mean, others.mean]), np.concatenate([exact.std, others.std]))

    def _ask(self, texts: TextBatch, ask: Ask) -> Prediction:
        """Ask the model, and remember what it said."""
        exact = ask(texts)
        self._asked += len(texts)
        if np.isfinite(exact.mean).all():  # else whoever asked refuses it
            self._texts.append(texts)
            self._values.append(exact.mean)
        return exact

    def _fit(self) -> None:
        """Fit the student, a new one or the one there is, on what the model has said."""
        from rmgym.distillation.distil import imitation  # here: fitting loads what nothing else of a student needs
        from rmgym.models.registry import create_reward_model
        from rmgym.training import FitOptions, fit

        texts, values = TextBatch.concatenate(self._texts), np.concatenate(self._values)
        if np.ptp(values) == 0:
            return  # there is nothing to imitate yet
        texts, values = texts[-self.options.remembered :], values[-self.options.remembered :]
        self._texts, self._values = [texts], [values]
        if self._model is None:
            options = dict(self.options.student_options)
            fresh = create_reward_model(self.options.student, seed=self.options.seed, **options)
            self._model = cast("NeuralRewardModel", fresh)  # fit() refuses one without weights
        name, digest = self._imitated or ("", "")
        labels = imitation(texts, values, np.arange(len(values)), {"model": name, "digest": digest})
        how = FitOptions(max_steps=self.options.fit_steps, batch_size=64, validation=0, seed=self.options.seed)
        self._model.fitted_on = {}  # weights go on, statistics do not: an agent's later steps are unlike its first
        fit(self._model, labels, how, progress=False)
        self._error_before = self.statistics["audit_error"]
        self._errors.clear()
        self._fits, self._fitted_on = self._fits + 1, len(values)

    def save_state(self, path: str | os.PathLike[str]) -> Path:
        """Write the student, what it was taught and the random state to a folder, so that a run can go on.

        Raises:
            StorageError: it cannot be written.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        if self._model is not None:
            self._model.save(folder / "student")
        values = np.concatenate([np.zeros(0, np.float32), *self._values])
        state = {
            "imitated": self._imitated,
            "student": None if self._model is None else self._model.digest,
            "texts": TextBatch.concatenate(self._texts).to_json() if self._texts else None,
            "values": values.tolist(),
            "errors": [list(self._errors), self._error_before],
            "counts": [self._asked, self._answered, self._fits, self._fitted_on],
            "generator": self._rng.bit_generator.state,
        }
        write_json(folder / "state.json", state)  # last: it names the student it belongs to
        return folder

    def load_state(self, path: str | os.PathLike[str]) -> None:
        """Go on from what :meth:`save_state` wrote; where that cannot be, all stays as it was.

        Raises:
            ModelError: it was written for another model, or is damaged.
        """
        folder = Path(path)
        try:
            state = read_json(folder / "state.json")
            imitated = None if state["imitated"] is None else (str(state["imitated"][0]), str(state["imitated"][1]))
            texts = [] if state["texts"] is None else [TextBatch.from_json(state["texts"])]
            values = [np.array(state["values"], np.float32)] if texts else []
            (errors, error_before), counts = state["errors"], [int(count) for count in state["counts"]]
            rng = np.random.default_rng()
            rng.bit_generator.state = state["generator"]
            asked, answered, fits, fitted_on = counts
            model = _restore(folder / "student", state["student"])
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ModelError(
                "a student's state is whole", got=f"{folder}: {error!r}", fix="begin the run anew"
            ) from error
        if self._imitated is not None and imitated is not None and imitated[1] != self._imitated[1]:
            raise ModelError(
                "a student goes on with the model it imitates",
                got=f"state for digest {imitated[1]}, model {self._imitated[0]!r} has {self._imitated[1]}",
                fix="put the old model back, or begin the run anew",
            )
        self._imitated, self._model, self._rng = self._imitated or imitated, model, rng
        self._texts, self._values = texts, values
        self._errors, self._error_before = deque(errors, maxlen=_WINDOW), float(error_before)
        self._asked, self._answered, self._fits, self._fitted_on = asked, answered, fits, fitted_on

    def __deepcopy__(self, memo: dict[int, Any]) -> Student:
        """Shared, as every model is: Gymnasium copies what environments hold."""
        return self


def _restore(folder: Path, digest: str | None) -> NeuralRewardModel | None:
    """The student's model as it was saved.

    Raises:
        ValueError: it is not the one that the state was written with.
    """
    if digest is None:
        return None
    from rmgym.models.registry import restore_model

    model: NeuralRewardModel = restore_model(folder)  # of its own, for it is fitted further
    if model.digest != digest:
        raise ValueError(f"student {model.digest} beside the state of {digest}")
    return model
