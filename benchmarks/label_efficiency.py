"""How many labels does a step reward need, and how fast is it then: numbers late, early or digits, LM frozen or tuned?

Test R² on 200 unseen steps of a reward model fitted on 100, 300 or 1,000 ratings of randomly chosen steps, and how
many steps it scores per second of processor time on one thread (dedupe and cache off). A model that knows nothing has
an R² of 0. Pendulum's ratings are equal to the true reward. Acrobot's true reward is constant until success, so its
ratings are the arm's mechanical energy after the step, which is what swinging up is about.

    python benchmarks/label_efficiency.py

Fits whose steps run the language model are cut short to fit the machine, and multiply in bfloat16 where every text
goes through it: see STEPS, TUNED_STEPS and WHOLE_STEPS. A frozen model on digits keeps the language model's states of
the texts it is fitted on, so it needs no such cut.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from common import Cell, arguments, claim, run_cells, write_results

from rmgym.environments.collect import collect
from rmgym.feedback.labels import Labels, Ratings
from rmgym.feedback.queries import select_steps
from rmgym.metrics import r_squared
from rmgym.models import RewardModel, create_reward_model
from rmgym.text import TextBatch, textualizer
from rmgym.training import FitOptions, fit
from rmgym.transitions import Transitions

ENVIRONMENTS = ("Pendulum-v1", "Acrobot-v1")
LABELS = (100, 300, 1000)
MODELS: dict[str, dict[str, str]] = {
    "late, frozen": {"model": "minilm", "fusion": "late", "tune": "frozen"},
    "late, tuned": {"model": "minilm", "fusion": "late", "tune": "whole"},
    "early, frozen": {"model": "minilm", "fusion": "early", "tune": "frozen"},
    "early, tuned": {"model": "minilm", "fusion": "early", "tune": "whole"},
    "digits, frozen": {"model": "minilm", "fusion": "digits", "tune": "frozen"},
    "digits, tuned": {"model": "minilm", "fusion": "digits", "tune": "whole"},
}
STEPS = 1000
"""Optimiser steps, batch 32, of a fit that does not run the language model at every step."""
TUNED_STEPS = 300
"""The same where every step runs it over one template."""
WHOLE_STEPS = {100: 50, 300: 75, 1000: 125}
"""The same, batch 16, where every step runs it over every text of the batch: 8, 4 and 2 passes over the labels."""
SHORT = (("Pendulum-v1", 100),)
"""Where ``--short`` compares all models; elsewhere it fits late fusion on the frozen LM alone."""
TEST_STEPS, TIMED_STEPS = 200, 50


def measure(cell: Cell) -> Cell:
    """Fit one model on one set of labels; test it; time it."""
    torch.set_num_threads(1)
    options = dict(MODELS[cell["model"]])
    train = collect(cell["env"], 4000, seed=cell["seed"], reset_every=25, progress=False)
    test = collect(cell["env"], TEST_STEPS, seed=10_000 + cell["seed"], reset_every=25, progress=False)
    say = textualizer(cell["env"])
    texts, unseen = say.batch(train), say.batch(test)
    rows = select_steps(train, texts, cell["labels"], method="random", seed=cell["seed"])
    ratings = Ratings(texts=texts[rows], values=rated(train)[rows], groups=train.episode[rows])
    model = create_reward_model(options.pop("model"), seed=cell["seed"], **options)
    start = time.perf_counter()
    how = fit_options(cell["model"], cell["labels"], cell["seed"], cell["share"])
    fitted = fit(model, Labels(ratings=ratings), how, progress=False).model
    fit_seconds = time.perf_counter() - start
    predicted = fitted.predict(unseen).mean
    rate = [_rate(fitted, unseen[:TIMED_STEPS]) for _ in range(3)]
    return {
        "fit_steps": how.max_steps,
        "r2": r_squared(predicted, rated(test)),
        "fit_seconds": round(fit_seconds, 1),
        "scored_per_second": float(np.median(rate)),
    }


def rated(steps: Transitions) -> npt.NDArray[np.float32]:
    """What an exact rater says of each step, ``float32 [B]``."""
    if steps.metadata["env"]["id"] != "Acrobot-v1":
        return steps.true_reward
    # Unit masses, lengths and moments of inertia, centres of mass halfway, gravity 9.8, as in its source.
    cos1, sin1, cos2, sin2, w1, w2 = steps.next_obs.T
    kinetic = 0.625 * w1**2 + 0.5 * (w1**2 + 1.25 * (w1 + w2) ** 2 + w1 * (w1 + w2) * cos2)
    potential = -9.8 * (1.5 * cos1 + 0.5 * (cos1 * cos2 - sin1 * sin2))
    return kinetic + potential


def _rate(model: RewardModel, texts: TextBatch) -> float:
    """Texts per second of this one thread's own time: another cell runs beside it."""
    start = time.process_time()
    model.predict(texts)
    return len(texts) / (time.process_time() - start)


def fit_options(model: str, labels: int, seed: int, share: int) -> FitOptions:
    """How one cell is fitted; ``share`` divides the work."""
    if model.startswith("early") or model == "digits, tuned":
        steps = WHOLE_STEPS[labels] // share
        return FitOptions(max_steps=steps, batch_size=16, validation=0, precision="bfloat16", seed=seed)
    steps = TUNED_STEPS if model == "late, tuned" else STEPS
    return FitOptions(max_steps=steps // share, validation=0, seed=seed)


def claims(cells: list[Cell]) -> list[dict[str, object]]:
    """What the table says about late fusion."""

    def mean(model: str, labels: int, env: str, key: str = "r2") -> float:
        rows = [c for c in cells if (c["model"], c["labels"], c["env"]) == (model, labels, env)]
        return float(np.mean([c[key] for c in rows])) if rows else float("nan")

    judged = []
    for env in dict.fromkeys(c["env"] for c in cells):
        for labels in sorted({c["labels"] for c in cells}):
            late = mean("late, frozen", labels, env)
            others = {m: mean(m, labels, env) for m in MODELS if m.startswith(("early", "digits"))}
            others = {m: r2 for m, r2 in others.items() if np.isfinite(r2)}
            if not others:
                continue
            best = max(others, key=lambda m: others[m])
            judged.append(
                claim(
                    f"late-beats-{env}-{labels}",
                    f"{env}, {labels} ratings: R² of late fusion on a frozen LM is at least that of every early or "
                    f"digits variant (best: {best})",
                    late,
                    bound=others[best],
                    holds=late >= others[best],
                )
            )
        if not any(c["model"] == "digits, frozen" and c["env"] == env for c in cells):
            continue
        late, digits = (mean(f"{m}, frozen", 100, env, "scored_per_second") for m in ("late", "digits"))
        statement = f"{env}: late fusion scores 20 times as many steps per second as digits through the LM"
        judged.append(claim(f"late-faster-{env}", statement, late / digits, bound=20, holds=late >= 20 * digits))
    return judged


def main() -> None:
    """Run every cell."""
    options = arguments(
        __doc__, flags={"short": "all models at 100 ratings of Pendulum-v1 only: half an hour, not hours"}
    )
    places = [(env, n) for env in ENVIRONMENTS for n in LABELS]
    cells = [
        {"env": env, "labels": n, "model": model, "seed": seed, "share": 8 if options.quick else 1}
        for seed in options.seeds
        for env, n in (SHORT if options.quick else places)
        for model in MODELS
        if (env, n) in SHORT or not options.short or model == "late, frozen"
    ]
    done = run_cells(cells, measure, options.runs)
    reductions = (
        "fits that run the LM at every step are cut short (fit_steps of each cell); where every text goes through the "
        "LM (early; digits tuned), products are in bfloat16 while fitting; two cells ran side by side"
    )
    if options.short:
        reductions += "; --short: models other than late fusion on a frozen LM at 100 ratings of Pendulum-v1 only"
    write_results(options.out, done, claims(done), options.seeds, reductions=reductions)


if __name__ == "__main__":
    main()
