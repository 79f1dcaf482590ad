"""Which head makes a reward of few ratings, and does its std say how wrong it is?

Test R² and Spearman on unseen random steps of models fitted on 50, 100, 300 and 1,000 exact ratings, of the library's
binding heads and of rivals:

- ``binding, five heads`` and ``binding, one head``: `minilm`;
- ``no-lm``: the same five heads on hashed words and one code per slot, without a language model;
- ``MLP``: a plain one, on the same numbers and one-hot words;
- ``Transformer``: the late fusion of 0.1, one head over number slots, templates with their words written in;
- ``digits``: every step through MiniLM, frozen, numbers as text.

Models of several heads are also asked for their std: how often the truth lies within it, on random steps and on those
of an agent that was trained on the true reward, and whether it tells the two apart. Not all of the agent's steps are
unlike random ones: those are whose numbers and words lie further from all random steps than other random steps do.

    python benchmarks/heads.py               # --dry-run counts the cells and minutes

Ratings are the true reward, but for Acrobot (its energy) and MiniGrid (moves left, as far as they can be seen), whose
true reward is constant until success. There are too few distinct steps for 300 ratings in the empty room, and for 1,000
in DoorKey. All fits are as long: STEPS of 32. Reductions: one trained agent per environment, for all seeds; the
Transformer and one head at FEWER numbers of ratings; digits on SLOW alone, where texts are short, tested on SLOW_TESTED
steps. Early fusion is left out: each of its steps runs MiniLM forwards and backwards over 32 texts, and a fit as long
as the others' takes half an hour and more of a core. Its short fits are in label_efficiency.py.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from calibration import auroc, calibration, far
from common import (
    JUDGE,
    STOPPED,
    Cell,
    arguments,
    claim,
    finished,
    judge_again,
    report_minutes,
    run_cells,
    write_results,
)
from rated_steps import MANY, PLACES, Rated, agent_steps, labelled, steps_of, train_agent
from rivals import PlainMlp, TransformerReward
from rivals.one_hot import OneHot

from rmgym.cards import find_env_card
from rmgym.feedback.labels import Labels, Ratings
from rmgym.metrics import r_squared
from rmgym.metrics.ranking import spearman
from rmgym.models import create_reward_model
from rmgym.models.neural import NeuralRewardModel
from rmgym.training import FitOptions, fit

STEPS = 1000
"""Optimiser steps, batch 32."""
SLOW = {"digits": (("Pendulum-v1", 100), ("Acrobot-v1", 100))}
SLOW_TESTED = 200
TOO_LONG = ("Transformer", "Ant-v5")
"""The Transformer reads all of a template at once, and Ant's has 658 tokens: more than MiniLM takes."""
QUICK = ("Pendulum-v1", 100)
FEWER = (100, 1000)
"""Where the arms are fitted that cost more than they are about."""
MARGIN, COVER, APART = 0.02, 0.85, 0.8
ENOUGH = 50
"""Steps of an agent that are out of the distribution of random ones, fewer than which say nothing of such steps."""
RIVALS: Mapping[str, type[NeuralRewardModel]] = {"mlp": PlainMlp, "transformer": TransformerReward}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A model, at which numbers of ratings it is fitted, and about how many seconds of one core a cell of it takes."""

    model: str
    seconds: float
    labels: tuple[int, ...] = MANY
    options: Mapping[str, object] = field(default_factory=dict[str, object])


BINDING = "binding, five heads"
ARMS = {
    BINDING: Arm(model="minilm", seconds=17),
    "no-lm": Arm(model="no-lm", seconds=17),
    "MLP": Arm(model="mlp", seconds=7),
    "binding, one head": Arm(model="minilm", seconds=12, labels=FEWER, options={"heads": 1}),
    "Transformer": Arm(model="transformer", seconds=45, labels=FEWER),
    "digits": Arm(model="minilm", seconds=40, options={"fusion": "digits", "heads": 1}),
}
"""What the claims are about comes first."""


def measure(agents: Path, cell: Cell) -> Cell:
    """Fit one model on one set of ratings and test it."""
    torch.set_num_threads(1)
    name, seed = cell["arm"], cell["seed"]
    chosen, test = labelled(cell["env"], seed, cell["labels"], cell["share"])
    played = agent_steps(agents, cell["env"])
    test = test[:SLOW_TESTED] if name in SLOW else test
    model = made(name, seed)
    ratings = Ratings(texts=chosen.texts, values=chosen.values, groups=chosen.steps.episode)
    how = FitOptions(max_steps=STEPS // cell["share"], validation=0, seed=seed)
    start = time.process_time()
    fit(model, Labels(ratings=ratings), how, progress=False)
    seconds = time.process_time() - start
    inside = model.predict(test.texts)
    measured: Cell = {
        "fit_steps": how.max_steps,
        "fit_seconds": round(seconds, 1),
        "tested": len(test),
        "r2": r_squared(inside.mean, test.values),
        "spearman": spearman(inside.mean, test.values),
    }
    if inside.std.any():  # several heads
        outside, new = model.predict(played.texts), new_steps(cell, played, test)
        measured["inside"] = calibration(inside.mean, inside.std, test.values)
        measured["outside"] = calibration(outside.mean, outside.std, played.values)
        measured["outside"]["r2"] = r_squared(outside.mean, played.values)
        measured |= {"new": int(new.sum()), "auroc": auroc(outside.std, inside.std)}
        if new.any():
            measured["auroc_new"] = auroc(outside.std[new], inside.std)
    return measured


def new_steps(cell: Cell, played: Rated, test: Rated) -> npt.NDArray[np.bool_]:
    """Which steps of an agent are out of the distribution of random ones."""
    pool = steps_of(cell["env"], cell["seed"], cell["share"])[0].texts
    vectors = OneHot.of(pool).vectors
    return far(vectors(played.texts), vectors(test.texts), vectors(pool))


def made(name: str, seed: int) -> NeuralRewardModel:
    """An unfitted model."""
    arm = ARMS[name]
    if arm.model in RIVALS:
        return RIVALS[arm.model].create(seed=seed)
    model = create_reward_model(arm.model, seed=seed, **arm.options)
    assert isinstance(model, NeuralRewardModel)
    return model


def grid(seeds: Sequence[int], *, quick: bool) -> list[Cell]:
    """All cells, one seed after the other: what is done of them is a whole table early on, the claims' arms first."""
    share = 10 if quick else 1
    places = [
        (arm, seed, env, labels)
        for arms in (tuple(ARMS)[:3], tuple(ARMS)[3:])
        for seed in seeds
        for env in environments()
        for labels in PLACES[env].labels
        for arm in arms
        if (labels in ARMS[arm].labels if arm not in SLOW else (env, labels) in SLOW[arm]) and (arm, env) != TOO_LONG
    ]
    if quick:
        places = [(arm, seed, env, labels) for arm, seed, env, labels in places if (env, labels) == QUICK]
    return [
        {"env": env, "labels": labels, "arm": arm, "seed": seed, "share": share} for arm, seed, env, labels in places
    ]


def environments() -> tuple[str, ...]:
    """Those that have a card."""
    return tuple(env for env in PLACES if find_env_card(env) is not None)


def of_agents(cells: Sequence[Cell], seeds: Sequence[int]) -> list[Cell]:
    """A cell for each agent whose steps are asked about."""
    share = cells[0]["share"]
    return [{"env": env, "seed": seeds[0], "share": share} for env in dict.fromkeys(c["env"] for c in cells)]


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """What the cells say about five binding heads, environment by environment."""
    judged = list[dict[str, Any]]()
    for env in dict.fromkeys(c["env"] for c in cells):
        here = [c for c in cells if c["env"] == env]
        for key, name in (("r2", "R²"), ("spearman", "Spearman")):
            judged += _first(env, here, key, name)
        judged += _calibrated(env, [c for c in here if c["arm"] == BINDING and "inside" in c])
    return judged


def _first(env: str, cells: Sequence[Cell], key: str, name: str) -> list[dict[str, Any]]:
    """Whether binding is as good as the best of all others, at the number of ratings where that is least so."""
    gaps = dict[str, float]()
    for labels in dict.fromkeys(c["labels"] for c in cells):
        means = {arm: mean(cells, arm, labels, key) for arm in ARMS}
        others = {arm: value for arm, value in means.items() if arm != BINDING and math.isfinite(value)}
        if others and math.isfinite(means[BINDING]):
            best = max(others, key=lambda arm: others[arm])
            gaps[f"{labels} ratings, beside {best}"] = means[BINDING] - others[best]
    if not gaps:
        return []
    worst = min(gaps, key=lambda place: gaps[place])
    statement = f"{env}: {name} of five binding heads less that of the best other arm, at its worst ({worst})"
    return [claim(f"first-{key}-{env}", statement, gaps[worst], bound=-MARGIN, holds=gaps[worst] >= -MARGIN)]


def _calibrated(env: str, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Whether the truth lies within two std, and whether std tells an agent's steps from random ones."""
    if not cells:
        return []
    amounts = sorted({c["labels"] for c in cells})
    cover = {n: float(np.mean([c["inside"]["within2"] for c in cells if c["labels"] == n])) for n in amounts}
    n = min(cover, key=lambda n: cover[n])
    statement = f"{env}: share of unseen random steps whose rating lies within 2 std, at its smallest ({n} ratings)"
    judged = [claim(f"cover-{env}", statement, cover[n], bound=COVER, holds=cover[n] >= COVER)]
    if min(c["new"] for c in cells) >= ENOUGH:
        apart = {n: float(np.mean([c["auroc_new"] for c in cells if c["labels"] == n])) for n in amounts}
        n = min(apart, key=lambda n: apart[n])
        statement = (
            f"{env}: AUROC of std, a trained agent's steps that are unlike random ones against random ones, at its "
            f"smallest ({n} ratings)"
        )
        judged.append(claim(f"apart-{env}", statement, apart[n], bound=APART, holds=apart[n] >= APART))
    return judged


def mean(cells: Sequence[Cell], arm: str, labels: int, key: str) -> float:
    """Mean over seeds; NaN where there is none, or one is not defined."""
    values = [c[key] for c in cells if (c["arm"], c["labels"]) == (arm, labels)]
    return float(np.mean([math.nan if value is None else value for value in values])) if values else math.nan


def main() -> None:
    """Train the agents, then run every cell."""
    options = arguments(__doc__, flags=JUDGE | STOPPED)
    cells = grid(options.seeds, quick=options.quick)
    if options.dry_run:
        report_minutes({arm: [ARMS[arm].seconds for c in cells if c["arm"] == arm] for arm in ARMS})
        return
    if options.judge:
        judge_again(options.out, claims(json.loads(options.out.read_text(encoding="utf-8"))["cells"]))
        return
    run = finished if options.finished else run_cells
    agents = run(of_agents(cells, options.seeds), partial(train_agent, options.runs / "steps"), options.runs / "agents")
    done = run(cells, partial(measure, options.runs / "steps"), options.runs / "cells")
    left_out = [env for env in PLACES if env not in environments()]
    reductions = (
        f"one agent per environment for all seeds; Transformer and one head at {FEWER} ratings; digits only where "
        f"texts are short, on {SLOW_TESTED} test steps; no early fusion, whose fits would take half an hour each; "
        "MiniGrids have too few distinct steps for more ratings; left out for want of a card: "
        + (", ".join(left_out) or "none")
    )
    write_results(options.out, done, claims(done), options.seeds, agents=agents, reductions=reductions)


if __name__ == "__main__":
    main()
