"""What runs say together: arms (runs that differ in seed only), matches (arms on one task), and a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rmgym.cards import find_env_card
from rmgym.errors import CardError
from rmgym.metrics import Interval, bootstrap_ci
from rmgym.runs.record import Run
from rmgym.specs import EnvSpec
from rmgym.trees import Array

Kind = Literal["true", "learned", "control"]
_NAN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Runs of one task, algorithm and reward, one per seed; every number is a mean over seeds.

    Attributes:
        reward: name of the reward.
        kind: ``true`` (the reference), ``learned``, or ``control`` (a reward that knows nothing).
        runs: the runs, by seed; a seed without an evaluation yet does not count in the numbers.
        true_return: at the last evaluation, with a 95 % bootstrap interval over seeds.
        learned_return: at the same evaluation, in the reward model's own units.
        spearman: rank correlation of learned and true reward, step by step, on the last evaluation's episodes.
        pearson: linear correlation of the same.
        pair_accuracy: share of pairs of these steps in the right order.
        share: true return on a scale from 0, a random policy, to 1, the agent on the true reward; NaN where unknown.
    """

    reward: str
    kind: Kind
    runs: tuple[Run, ...]
    true_return: Interval
    learned_return: Interval
    spearman: Interval
    pearson: Interval
    pair_accuracy: Interval
    share: Interval = _NAN

    @property
    def labels(self) -> int | None:
        """Labels behind one run's reward; None where unknown."""
        return self.runs[0].about.labels

    def mean(self, attribute: str) -> float:
        """Mean over runs of a number of :class:`Run`, NaN where it is unknown."""
        values = [v for v in (getattr(run, attribute) for run in self.runs) if math.isfinite(v)]
        return float(np.mean(values)) if values else math.nan

    @property
    def reward_seconds(self) -> float:
        """Mean seconds to collect, label and fit the reward; NaN where unknown."""
        seconds = [run.about.seconds for run in self.runs if run.about.seconds is not None]
        return float(np.mean(seconds)) if seconds else math.nan

    def to_json(self) -> dict[str, object]:
        """Numbers of the arm and of each run."""
        numbers = ("true_return", "learned_return", "spearman", "pearson", "pair_accuracy", "share")
        return {
            "reward": self.reward,
            "kind": self.kind,
            "labels": self.labels,
            **{name: getattr(self, name)._asdict() for name in numbers},
            "wall_seconds": self.mean("wall_seconds"),
            "reward_seconds": self.reward_seconds,
            "steps_per_second": self.mean("steps_per_second"),
            "runs": [
                {
                    "folder": str(run.folder),
                    "seed": run.seed,
                    "status": run.status,
                    "steps": run.last("steps"),
                    "true_return": run.last("true_return_mean"),
                    "learned_return": run.last("learned_return_mean"),
                    "spearman": run.last("spearman"),
                    "wall_seconds": run.wall_seconds,
                }
                for run in self.runs
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Match:
    """All arms of one task and algorithm.

    Attributes:
        task: the environment with its arguments.
        algo: the algorithm.
        arms: learned rewards first, then the true one, then controls.
        random_return: return of a random policy (from the environment's card), NaN where unknown.
        true_return: return of the agent on the true reward: its arm, else the card's, NaN where unknown.
        threshold: return at which the task counts as solved, by its card.
    """

    task: str
    algo: str
    arms: tuple[Arm, ...]
    random_return: float
    true_return: float
    threshold: float | None

    @property
    def learned(self) -> list[Arm]:
        """Arms on learned rewards, best first."""
        arms = [arm for arm in self.arms if arm.kind == "learned"]
        return sorted(arms, key=lambda arm: -_or(arm.true_return.value, -math.inf))

    @property
    def unfinished(self) -> int:
        """Runs that are not done."""
        return sum(run.status != "done" for arm in self.arms for run in arm.runs)

    def to_json(self) -> dict[str, object]:
        """Everything as JSON-able values."""
        return {
            "task": self.task,
            "algo": self.algo,
            "random_return": self.random_return,
            "true_return": self.true_return,
            "threshold": self.threshold,
            "arms": [arm.to_json() for arm in self.arms],
        }


def compare(runs: Sequence[Run]) -> list[Match]:
    """Group runs into matches, sorted by task and algorithm."""
    grouped: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for run in runs:
        grouped.setdefault((run.task, run.algo), {}).setdefault(run.reward, []).append(run)
    return [_match(task, algo, by_reward) for (task, algo), by_reward in sorted(grouped.items())]


def kind_of(run: Run) -> Kind:
    """What a run's reward is, by its model where ``bench`` noted it, else by its name."""
    model = run.about.model or run.reward
    if model == "true":
        return "true"
    return "control" if model in ("constant", "random") or model.startswith("shuffled") else "learned"


def gamed_from(arm: Arm, scale: float) -> float | None:
    """Step at which learned and true return part: true return peaks and then falls by more than a tenth of ``scale``
    while the learned return does not fall. None where they never part.
    """
    true, learned = mean_curve(arm.runs, "true_return_mean"), mean_curve(arm.runs, "learned_return_mean")
    steps, values = true
    if len(values) < 3 or not np.isfinite(values).all() or not math.isfinite(scale):
        return None
    peak = int(np.argmax(values))
    fell = values[peak] - values[-1] > abs(scale) / 10
    return float(steps[peak]) if fell and learned[1][-1] >= learned[1][peak] else None


def mean_curve(runs: Sequence[Run], column: str) -> tuple[Array, Array]:
    """Steps and mean over runs of a curve column, as far as every evaluated run has come."""
    curves = [(run.curve["steps"], run.curve[column]) for run in runs if len(run.curve["steps"])]
    if not curves:
        return np.zeros(0), np.zeros(0)
    grid = min((steps for steps, _ in curves), key=lambda steps: float(steps[-1]))
    return grid, np.mean([np.interp(grid, steps, values) for steps, values in curves], axis=0)


def _match(task: str, algo: str, by_reward: Mapping[str, list[Run]]) -> Match:
    arms = [_arm(reward, sorted(runs, key=lambda r: r.seed)) for reward, runs in by_reward.items()]
    arms.sort(key=lambda arm: (("learned", "true", "control").index(arm.kind), arm.reward))
    first = arms[0].runs[0]
    random, agent, threshold = _references(first.spec.agent.env)
    own = next((arm.true_return.value for arm in arms if arm.kind == "true"), math.nan)
    true = own if math.isfinite(own) else agent
    scaled = tuple(_with_share(arm, random, true) for arm in arms)
    return Match(task=task, algo=algo, arms=scaled, random_return=random, true_return=true, threshold=threshold)


def _arm(reward: str, runs: list[Run]) -> Arm:
    def over_seeds(column: str) -> Interval:
        values = [v for v in (run.last(column) for run in runs) if math.isfinite(v)]
        return bootstrap_ci(values, resamples=2000) if values else _NAN

    return Arm(
        reward=reward,
        kind=kind_of(runs[0]),
        runs=tuple(runs),
        true_return=over_seeds("true_return_mean"),
        learned_return=over_seeds("learned_return_mean"),
        spearman=over_seeds("spearman"),
        pearson=over_seeds("pearson"),
        pair_accuracy=over_seeds("pair_accuracy"),
    )


def _with_share(arm: Arm, random: float, true: float) -> Arm:
    if not (math.isfinite(random) and math.isfinite(true)) or true <= random:
        return arm
    return replace(arm, share=Interval(*((x - random) / (true - random) for x in arm.true_return)))


def _references(env: EnvSpec | None) -> tuple[float, float, float | None]:
    """A random policy's and a true-reward agent's return, and the threshold, as its card says."""
    try:
        card = None if env is None or env.kwargs else find_env_card(env.id)
    except CardError:
        card = None
    if card is None:
        return math.nan, math.nan, None
    random, agent = card.reference.get("random"), card.reference.get("agent")
    return random.mean if random else math.nan, agent.mean if agent else math.nan, card.threshold


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other
