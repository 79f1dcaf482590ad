"""A model that is fitted again and again while labels come in, in a process of its own beside the page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Lock, Thread

from rmgym.errors import FitError, RmgymError
from rmgym.ui.aside import Message, aside

FIRST, GROWTH = 20, 1.5
"""Answers before the first fit, and how many times as many before each further one."""
_HELD_OUT = 6
"""Labels that are held out, where that is more than a tenth and no more than three tenths."""
_RULE = "a model is fitted on the labels so far"
_FITTED, _ORDER = "fitted", "order"


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """How good the last model is.

    Attributes:
        model: its name.
        labels: that it was fitted on, with those held out.
        held_out: labels that it did not see; 0 where none could be held out.
        r2: of held-out ratings; None where there are none.
        accuracy: share of held-out comparisons that are in order; None where there are none.
    """

    model: str
    labels: int
    held_out: int
    r2: float | None
    accuracy: float | None

    def __str__(self) -> str:
        scores = [f"R² {self.r2:.2f}"] if self.r2 is not None else []
        scores += [f"{self.accuracy:.0%} of comparisons in order"] if self.accuracy is not None else []
        held_out = f"{', '.join(scores)} on {self.held_out} held-out ones" if scores else "none could be held out"
        return f"{self.model} on {self.labels} labels: {held_out}"


class Refits:
    """Begins a fit whenever there are enough answers since the last one; one at a time.

    Args:
        work: a fit, which gives messages of :func:`refit`; can be pickled.
        use: takes the order in which open questions are to be asked then.

    Attributes:
        last: the last model; None before the first.
        trouble: why the last fit failed; empty where it did not.
    """

    def __init__(self, work: Callable[[], Iterator[Message]], use: Callable[[list[int]], None]) -> None:
        self.last: Fitted | None = None
        self.trouble = ""
        self._work, self._use, self._lock = work, use, Lock()
        self._next, self._running = FIRST, False

    def consider(self, answers: int) -> None:
        """Begin a fit, if there are enough answers and none is going on; returns at once."""
        with self._lock:
            if self._running or answers < self._next:
                return
            self._running, self._next = True, math.ceil(answers * GROWTH)
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            for kind, content in aside(self._work, _RULE):
                if kind == _FITTED:
                    self.last = Fitted(**json.loads(content))
                elif kind == _ORDER:
                    self._use(json.loads(content))
            self.trouble = ""
        except RmgymError as error:
            self.trouble = str(error.got)
        finally:
            self._running = False


def check_fittable(model: str) -> None:
    """Refuse a model that nothing can be fitted of.

    Raises:
        FitError: it has no weights.
        ModelError: there is none of that name.
    """
    from rmgym.models.registry import CONTROLS, model_class

    if not model.startswith("hf:"):
        model_class(model)
    if model in CONTROLS:
        raise FitError("a model that is fitted has weights", got=model, fix="try 'minilm'")


def refitting(database: Path, model: str) -> Callable[[], Iterator[Message]]:
    """The work of fitting a model on a database's labels, into the folder beside it that ends in ``.model``."""
    return partial(refit, database, model)


def refit(database: Path, model: str, steps: int = 1500) -> Iterator[Message]:
    """Fit a model on all labels there are, in so many optimiser steps, and put the open questions in order.

    Yields:
        How good the model is, and ids of the open questions.

    Raises:
        FeedbackError: there is nothing to learn from the labels.
        FitError: the model cannot be fitted.
    """
    from rmgym.feedback.open_questions import in_turn
    from rmgym.feedback.store import LabelStore
    from rmgym.threads import torch_threads
    from rmgym.training import FitOptions, fit
    from rmgym.training.implied import MOST_PAIRS

    store, folder = LabelStore(database), database.with_name(database.name + ".model")
    labels = store.labels()
    share = min(0.3, max(0.1, _HELD_OUT / len(labels)))  # fewer would say nothing, and more would cost too much
    how = FitOptions(max_steps=steps, validation=share, implied=labels.ratings is None and len(labels) <= MOST_PAIRS)
    with torch_threads(1):
        fitted = fit(model, labels, how, out=folder, overwrite=True, progress=False)
        held_out = fitted.metrics["validation"]
        scores = {name: held_out[name] for name in ("r2", "accuracy")} if held_out else {"r2": None, "accuracy": None}
        count = int(held_out["labels"] or 0) if held_out else 0
        about = Fitted(model=fitted.model.name, labels=len(labels), held_out=count, **scores)
        yield _FITTED, json.dumps(asdict(about)).encode()
        answered = {row.query for name in store.info()["annotators"] for row in store.answers(name)}
        questions = store.questions()
        order = in_turn(
            [question for question in questions if question.id not in answered],
            fitted.model.predict,
            [question for question in questions if question.id in answered],
        )
    yield _ORDER, json.dumps(order).encode()
