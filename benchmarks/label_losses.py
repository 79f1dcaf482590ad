"""What makes labels count: losses of ratings, implied ratings, pseudo-labels, several people, both kinds.

Reward models (`minilm`) are fitted on 50 and on 100 labels of steps that random actions, a half-trained and a trained
agent took, and tested on other such steps: R² after the best line (comparisons and orders fix no units), Spearman, and
the share of pairs of 15 steps that are in the right order. Nothing is trained on them: what an agent makes of a reward
is in `loop.py`. Each part is on or off beside the same labels, seed for seed:

- the order of ratings (`ranknet`, `rank-mse`, `listmle`) instead of their values (`huber`): of exact ratings, and of
  ten levels with as many steps in each, which are unevenly spaced;
- of comparisons (cropped): the ratings that they imply, and the model's own answers to unlabelled pairs above a chance
  of 0.99;
- three people who answer each of 50 questions, and are wrong at times: their share or mean, not each answer, a label;
- half ratings, half comparisons, beside as many labels of either kind.

    python benchmarks/label_losses.py

A difference is each seed's, a mean over 50 and 100 labels, and its interval Student's over seeds. Fits are
as long as a loop's, which draws all labels 100 times. Reductions: one agent per environment for all seeds; several
people, and pseudo-labels beside nothing implied, at 50 questions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from common import JUDGE, STOPPED, Cell, arguments, claim, finished, judge_again, run_cells, write_results
from label_losses_table import differences

import rmgym
from rmgym.environments.behaviours import Behaviour, Policy
from rmgym.environments.collect import collect
from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.feedback.teachers.levels import cut_points, levels_of
from rmgym.metrics import mean_ci
from rmgym.metrics.ranking import spearman
from rmgym.runs.loop_options import LoopOptions
from rmgym.text import TextBatch
from rmgym.training import fit
from rmgym.training.fitting import fittable
from rmgym.transitions import Transitions

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
AGENTS = {"Pendulum-v1": ("ppo", 40_000), "LunarLander-v3": ("dqn", 60_000)}
"""Who takes steps beside random actions, trained on the true reward for so long."""
LABELS = (50, 100)
EACH, TESTED = 1500, 500
"""Steps to choose from and to test on, of each of the three behaviours."""
LENGTH, PAIRS = 15, 1000
"""Of compared segments; pairs of them that are tested."""
LEVELS = 10
PEOPLE, SHARPNESS, NOISE = 3, 2.0, 0.5
"""How many answer each question. They compare by Bradley and Terry, at these log odds for a standard deviation of the
differences, and rate with an error of this many standard deviations of the rewards."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to label and to fit.

    Attributes:
        given: labels: ``exact`` or ``levels`` (ratings), ``compared``, or ``half`` exact ratings, half comparisons.
        people: what becomes of several people's answers: ``each`` is a label, or their ``share`` (or mean); nothing
            where one answers who is never wrong.
        options: of the fit.
        off: the arm beside which a part of it is on; of none, if it is only stood beside.
        labels: how many.
    """

    given: str
    people: str = ""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    off: str = ""
    labels: tuple[int, ...] = LABELS


CROP, IMPLIED = {"crop": 0.6}, {"crop": 0.6, "implied": True}
ARMS = {
    "exact ratings": Arm(given="exact"),
    **{
        f"exact ratings, {loss}": Arm(given="exact", options={"loss": loss}, off="exact ratings")
        for loss in ("ranknet", "rank-mse", "listmle")
    },
    "ten levels": Arm(given="levels"),
    **{
        f"ten levels, {loss}": Arm(given="levels", options={"loss": loss}, off="ten levels")
        for loss in ("ranknet", "rank-mse", "listmle")
    },
    "comparisons": Arm(given="compared", options=CROP),
    "comparisons, pseudo-labels": Arm(
        given="compared", options=CROP | {"pseudo_labels": 0.99}, off="comparisons", labels=LABELS[:1]
    ),
    "comparisons, implied": Arm(given="compared", options=IMPLIED, off="comparisons"),
    "comparisons, implied, pseudo-labels": Arm(
        given="compared", options=IMPLIED | {"pseudo_labels": 0.99}, off="comparisons, implied"
    ),
    "three people compare": Arm(given="compared", people="each", labels=LABELS[:1], options=CROP),
    "three people compare, share": Arm(
        given="compared", people="share", labels=LABELS[:1], options=CROP, off="three people compare"
    ),
    "three people compare, implied": Arm(given="compared", people="each", labels=LABELS[:1], options=IMPLIED),
    "three people compare, implied, share": Arm(
        given="compared", people="share", labels=LABELS[:1], options=IMPLIED, off="three people compare, implied"
    ),
    "three people rate": Arm(given="levels", people="each", labels=LABELS[:1]),
    "three people rate, mean": Arm(given="levels", people="share", labels=LABELS[:1], off="three people rate"),
    "half comparisons": Arm(given="half", options=CROP, off="exact ratings"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """Steps with their texts."""

    steps: Transitions
    texts: TextBatch

    @property
    def rewards(self) -> Floats:
        """What is true of each, ``[B]``."""
        return self.steps.true_reward.astype(np.float64)

    def segments(self, pairs: int, rng: np.random.Generator) -> Rows:
        """First rows of pairs of segments, each within an episode, ``[N, 2]``."""
        last = np.arange(len(self.texts) - LENGTH + 1)
        whole = last[self.steps.episode[last] == self.steps.episode[last + LENGTH - 1]]
        return rng.choice(whole, (pairs, 2))

    def returns(self, starts: Rows, rewards: Floats) -> Floats:
        """Sums over segments, ``[N, 2]``."""
        return rewards[starts[..., None] + np.arange(LENGTH)].sum(axis=-1)


def measure(folder: Path, cell: Cell) -> Cell:
    """Label, fit, test."""
    torch.set_num_threads(1)
    arm, seed = ARMS[cell["arm"]], cell["seed"]
    pool, test = (steps_of(folder, cell["env"], name, seed) for name in ("pool", "test"))
    labels = labelled(arm, pool, cell["labels"], np.random.default_rng([seed, cell["labels"]]))
    model = fittable("minilm", seed)
    how = LoopOptions().fit_options(seed, len(labels), model.most_drawn)
    how = replace(how, max_steps=how.max_steps // cell["share"], **arm.options)
    unlabelled = pool.texts if how.pseudo_labels is not None else None
    predicted = fit(model, labels, how, unlabelled=unlabelled, progress=False).model.predict(test.texts).mean
    starts = test.segments(PAIRS, np.random.default_rng(0))
    sides = [test.returns(starts, values) for values in (test.rewards, predicted.astype(np.float64))]
    right = np.sign(np.diff(sides[0])) == np.sign(np.diff(sides[1]))
    return {
        "r2": float(np.corrcoef(predicted, test.rewards)[0, 1] ** 2),
        "spearman": spearman(predicted, test.rewards),
        "pairs": float(right.mean()),
    }


def labelled(arm: Arm, pool: Steps, n: int, rng: np.random.Generator) -> Labels:
    """``n`` answers, or of several people ``n`` answered questions; those of all arms are about the same steps."""
    rows, starts = rng.choice(len(pool.texts), n, replace=False), pool.segments(n, rng)
    if arm.given == "half":
        rows, starts = rows[: n // 2], starts[: n - n // 2]
    rewards, apart = pool.rewards[rows, None], -np.diff(pool.returns(starts, pool.rewards))
    choice = (apart > 0).astype(np.float64)
    if arm.people:
        rewards = rewards + NOISE * pool.rewards.std() * rng.normal(size=(len(rows), PEOPLE))
        odds = SHARPNESS * apart / apart.std()
        choice = (rng.random((len(starts), PEOPLE)) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    if arm.given == "levels":
        rewards = levels_of(rewards.ravel(), cut_points(rewards.ravel(), LEVELS, "quantile")).reshape(rewards.shape)
    if arm.people == "share":
        rewards, choice = (values.mean(axis=1, keepdims=True) for values in (rewards, choice))
    return Labels(
        ratings=_ratings(pool, rows, rewards) if arm.given != "compared" else None,
        preferences=_preferences(pool, starts, choice) if arm.given in ("compared", "half") else None,
    )


def _ratings(pool: Steps, rows: Rows, values: Floats) -> Ratings:
    """Of each row as many ratings as it has values, ``[N, K]``."""
    rows = np.repeat(rows, values.shape[1])
    return Ratings(texts=pool.texts[rows], values=values.ravel().astype(np.float32), groups=rows)


def _preferences(pool: Steps, starts: Rows, choice: Floats) -> Preferences:
    """Of each pair as many comparisons as it has choices, ``[N, K]``."""
    first = LENGTH * np.arange(2 * len(starts)).reshape(-1, 2)
    spans = np.repeat(np.stack([first, first + LENGTH], axis=2), choice.shape[1], axis=0)
    return Preferences(
        steps=pool.texts[(starts.ravel()[:, None] + np.arange(LENGTH)).ravel()],
        left=spans[:, 0],
        right=spans[:, 1],
        choice=choice.ravel().astype(np.float32),
        margin=np.zeros(choice.size, np.float32),
        groups=np.repeat(np.arange(len(starts)), choice.shape[1]),
    )


def take_steps(folder: Path, cell: Cell) -> Cell:
    """Train an agent on the true reward, and take the steps that all seeds choose from and are tested on."""
    torch.set_num_threads(1)
    env, share = cell["env"], cell["share"]
    algo, total = AGENTS[env]
    agent = rmgym.sb3.make_agent(algo, env, reward_model="true", seed=0, total_steps=total // share)
    taken, returns = dict[str, list[Transitions]](), list[float]()
    policies: list[Behaviour | Policy] = ["random", *[lambda obs: agent.predict(obs, deterministic=False)[0]] * 2]
    for stage, policy in enumerate(policies):
        if stage:
            agent.learn(total // share // 2, reset_num_timesteps=stage == 1)
        for seed in cell["seeds"]:
            for part, count, first in (("pool", EACH, 100), ("test", TESTED, 10_000)):
                steps = collect(env, count // share, seed=first * (seed + 1) + stage, policy=policy, progress=False)
                taken.setdefault(f"{part}-{seed}", []).append(steps)
        returns.append(float(np.mean([steps[-1].true_reward.mean() for steps in taken.values()])))
    folder.mkdir(parents=True, exist_ok=True)
    for name, parts in taken.items():
        Transitions.concatenate(parts).save(folder / f"{env}-{name}.parquet", overwrite=True)
    return {"algo": algo, "steps": total // share, "rewards_per_step": returns}


@lru_cache(maxsize=4)
def steps_of(folder: Path, env: str, part: str, seed: int) -> Steps:
    """What :func:`take_steps` kept."""
    steps = Transitions.load(folder / f"{env}-{part}-{seed}.parquet")
    return Steps(steps=steps, texts=rmgym.textualizer(env).batch(steps))


def claims(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Whether a part that is on orders held-out steps better than without it, where it does so least."""
    judged = []
    for name, arm in ARMS.items():
        envs = dict.fromkeys(c["env"] for c in cells if c["arm"] == name)
        if not arm.off or not envs:
            continue
        gains = {env: mean_ci(differences(cells, env, name, arm.off, "spearman")) for env in envs}
        env = min(gains, key=lambda env: gains[env].value)
        worst = gains[env]
        statement = f"{name}, beside {arm.off}: difference of the Spearman, where it is smallest ({env})"
        holds = bool(worst.low > 0)
        judged.append(claim(f"helps-{name}", statement, worst.value, bound=0, ci=(worst.low, worst.high), holds=holds))
    return judged


def main() -> None:
    """Take steps, then run every cell."""
    options = arguments(__doc__, flags=JUDGE | {"finished": STOPPED["finished"]})
    if options.judge:
        judge_again(options.out, claims(json.loads(options.out.read_text(encoding="utf-8"))["cells"]))
        return
    share, envs = (10, tuple(AGENTS)[:1]) if options.quick else (1, tuple(AGENTS))
    agents = [{"env": env, "seeds": options.seeds, "share": share} for env in envs]
    run = finished if options.finished else partial(run_cells, processes=1)
    trained = run(agents, partial(take_steps, options.runs / "steps"), options.runs / "agents")
    cells = [
        {"env": env, "labels": n, "arm": arm, "seed": seed, "share": share}
        for n in LABELS
        for seed in options.seeds
        for env in envs
        for arm in ARMS
        if n in ARMS[arm].labels
    ]
    done = run(cells, partial(measure, options.runs / "steps"), options.runs / "cells")
    reductions = (
        "one agent per environment for all seeds; several people, and pseudo-labels beside nothing implied, at "
        f"{LABELS[0]} questions; no agent is trained on these rewards"
    )
    beside = {name: arm.off for name, arm in ARMS.items() if arm.off}
    further = {"agents": trained, "beside": beside, "reductions": reductions}
    write_results(options.out, done, claims(done), options.seeds, **further)


if __name__ == "__main__":
    main()
