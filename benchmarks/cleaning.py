"""What is cleaning worth: three people who are no use among four who are?

Seven people share questions about Pendulum, 40 ratings or 60 comparisons each: four rate on scales of their own and are
wrong in every tenth answer; one takes the scale the other way round, one gives one answer to everything, one draws
them. Steps that random behaviours took are rated, or segments of 15 of them compared, and a model is fitted as a loop
does before training, with and without cleaning. Beside it, the four good ones alone: there cleaning should change
nothing.

Measured on 3,000 other steps: squared correlation with the true reward, and how many pairs of steps are in order.

    python benchmarks/cleaning.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Cell, arguments, claim, run_cells, write_results

from rmgym import LabelStore, create_reward_model, fit, textualizer
from rmgym.environments.behaviours import BEHAVIOURS
from rmgym.environments.collect import collect
from rmgym.feedback.ask import ask
from rmgym.feedback.choice import choose_segments
from rmgym.feedback.cleaning import Audit
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.teachers import (
    Answers,
    FallibleTeacher,
    Habits,
    Panel,
    PreferenceQuestions,
    RatingQuestions,
    Teacher,
)
from rmgym.metrics.ranking import pair_accuracy
from rmgym.runs.loop_options import LoopOptions
from rmgym.training.fitting import fittable
from rmgym.transitions import Transitions

ENV, KINDS, MODELS, PEOPLE = "Pendulum-v1", ("rating", "preference"), ("no-lm", "minilm"), ("good", "mixed")
EACH, STEPS, UNSEEN = {"rating": 40, "preference": 60}, 15_000, 3000


@dataclass(frozen=True)
class Careless:
    """Gives one answer, or draws each from so many levels or from both sides."""

    seed: int | None = None
    source: str = "careless"

    def rate(self, questions: RatingQuestions) -> Answers:
        """Level 3, or one from 1 to 6."""
        return self._answers(len(questions), 1, 7, 3.0)

    def compare(self, questions: PreferenceQuestions) -> Answers:
        """Left, or either side."""
        return self._answers(len(questions), 0, 2, 1.0)

    def _answers(self, count: int, low: int, end: int, usual: float) -> Answers:
        if self.seed is None:
            return Answers(values=np.full(count, usual, np.float32))
        return Answers(values=np.random.default_rng(self.seed).integers(low, end, count).astype(np.float32))


def people(who: str, kind: str, seed: int) -> Panel:
    """Those who answer."""
    usual = Habits(own_scale=kind == "rating", mistakes=0.1)
    members: dict[str, Teacher] = {
        f"good {i}": FallibleTeacher(habits=usual, seed=1000 * seed + i) for i in range(1, 5)
    }
    if who == "mixed":
        members["reversed"] = FallibleTeacher(habits=replace(usual, adversarial=True), seed=1000 * seed + 5)
        members |= {"constant": Careless(), "random": Careless(seed)}
    return Panel(members, seed)


def measure(cell: Cell) -> Cell:
    """Have questions answered, fit, and test."""
    torch.set_num_threads(1)
    seed, kind, options = cell["seed"], cell["kind"], LoopOptions(kind=cell["kind"])
    words, panel = textualizer(ENV), people(cell["people"], cell["kind"], cell["seed"])
    steps, unseen = _steps(STEPS // cell["share"], seed), _steps(UNSEEN // cell["share"], 10_000 + seed)
    texts, count = words.batch(steps), EACH[kind] * len(panel.members)
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore(Path(folder) / "labels.sqlite")
        rng = np.random.default_rng(seed)
        segments = choose_segments(steps, texts, count, options.length, rng=rng) if kind == "preference" else None
        ask(store, panel, steps, texts, segments or QuestionPlan(ratings=count, method="random", seed=seed))
        labels = store.labels(clean=cell["clean"])
    model = fittable(create_reward_model(cell["model"], seed=seed), seed)
    how = replace(options.fit_options(seed, len(labels), model.most_drawn), implied=labels.ratings is None)
    model = fit(model, labels, how, progress=False).model
    predicted, true = model.predict(words.batch(unseen)).mean.astype(np.float64), unseen.true_reward.astype(np.float64)
    audit = Audit.of(labels.source)
    return {
        "answers": count,
        "labels": len(labels),
        "set_aside": {} if audit is None else {f"{f.annotator or ''} {f.what}": len(f.answers) for f in audit.findings},
        "r2": float(np.corrcoef(predicted, true)[0, 1] ** 2),
        "pairs": pair_accuracy(predicted, true),
    }


def _steps(count: int, seed: int) -> Transitions:
    """Steps of each behaviour, as a loop collects them first."""
    each = -(-count // len(BEHAVIOURS))
    return Transitions.concatenate(
        [collect(ENV, each, seed=seed + 1000 * i, policy=name, progress=False) for i, name in enumerate(BEHAVIOURS)]
    )


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Cleaning helps where it should, and changes nothing where it should not."""
    judged = list[dict[str, Any]]()
    for who, kind, model in dict.fromkeys((c["people"], c["kind"], c["model"]) for c in cells):
        here = [c for c in cells if (c["people"], c["kind"], c["model"]) == (who, kind, model)]
        for name, measure_name in (("r2", "R²"), ("pairs", "pairs in order")):
            by = {clean: [c[name] for c in here if c["clean"] is clean] for clean in (True, False)}
            gain, bound = float(np.mean(by[True]) - np.mean(by[False])), 0.0 if who == "mixed" else -0.01
            statement = (
                f"{who} people, {kind}s, {model}: {measure_name} with cleaning less that without, "
                f"mean of {len(by[True])} seeds"
            )
            judged.append(claim(f"{who}-{kind}-{model}-{name}", statement, gain, bound=bound, holds=gain >= bound))
    return judged


def main() -> None:
    """Run every cell."""
    options = arguments(__doc__, seeds=range(3))
    cells = [
        {"people": who, "kind": kind, "model": model, "clean": clean, "seed": seed, "share": 4 if options.quick else 1}
        for seed in (options.seeds[:1] if options.quick else options.seeds)
        for who in PEOPLE
        for kind in KINDS
        for model in (MODELS[:1] if options.quick else MODELS)
        for clean in (True, False)
    ]
    done = run_cells(cells, measure, options.runs)
    write_results(options.out, done, claims(done), options.seeds)


if __name__ == "__main__":
    main()
