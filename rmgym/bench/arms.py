"""Arms: runs that differ in nothing but their seed, and what they say together."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rmgym.evaluation.evaluate import SUCCESS
from rmgym.evaluation.measure import MEASURED
from rmgym.metrics import Interval, gamed_since, mean_ci
from rmgym.runs.record import Run
from rmgym.specs.base import Json
from rmgym.specs.reward import Kind

_NAN = Interval(math.nan, math.nan, math.nan)
_OF_THE_TEXT = ("card", "language")
"""Parts of an environment's spec that shape what a model reads: they belong to the reward."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Runs of one task, algorithm, configuration and reward, one per seed; every number is a mean over seeds.

    Attributes:
        reward: name of the reward; where others on the same task share it, with what tells them apart.
        kind: what the reward knows: ``true`` (the reference), ``learned``, or nothing (``shuffled``, ``control``).
        runs: the runs, by seed; a seed without an evaluation yet does not count in the numbers.
        superseded: runs left out because another of their seed counts: the finished one, or the latest.
        true_return: at the last evaluation, with a 95 % interval over seeds, as the next four.
        learned_return: at the same evaluation, in the reward model's own units.
        spearman: rank correlation of learned and true reward, step by step, on the last evaluation's episodes.
        pearson: linear correlation of the same.
        pair_accuracy: share of pairs of these steps in the right order.
        measured: what the agents are worth by the user's own measure, at the same evaluation; NaN without one.
        success: share of episodes that succeed, where the environment tells, at the same evaluation; NaN where not.
        share: true return on a scale from 0, a random policy, to 1, the agent on the true reward; NaN where unknown.
    """

    reward: str
    kind: Kind
    runs: tuple[Run, ...]
    superseded: tuple[Run, ...]
    true_return: Interval
    learned_return: Interval
    spearman: Interval
    pearson: Interval
    pair_accuracy: Interval
    measured: Interval = _NAN
    success: Interval = _NAN
    share: Interval = _NAN

    @property
    def is_control(self) -> bool:
        """Whether the agents were trained on nothing that knows of the task."""
        return self.kind in ("shuffled", "control") and not self.has_true_part

    @property
    def is_reference(self) -> bool:
        """Whether it is the true reward, and nothing but that."""
        return self.kind == "true" and self.runs[0].spec.agent.reward.composition.is_plain

    @property
    def labels(self) -> int | None:
        """Labels behind one run's reward; None where unknown."""
        return self.runs[0].labels

    @property
    def model(self) -> str:
        """Registered name of the reward model."""
        return self.runs[0].spec.agent.reward.name

    @property
    def unshuffled(self) -> str | None:
        """See :class:`rmgym.runs.record.AboutReward`."""
        return self.runs[0].about.unshuffled

    @property
    def evaluated(self) -> list[Run]:
        """Runs with an evaluation."""
        return [run for run in self.runs if len(run.curve["steps"])]

    @property
    def true_returns(self) -> list[float]:
        """Of each evaluated seed, at its last evaluation."""
        return [run.last("true_return_mean") for run in self.evaluated]

    @property
    def gamed(self) -> list[float]:
        """Steps from which on the reward is gamed, one for each run where it is (:func:`rmgym.metrics.gamed_since`)."""
        since = (gamed_since(run.evaluations) for run in self.runs)
        return [row["steps"] for row in since if row is not None]

    @property
    def is_flat(self) -> bool:
        """Whether the reward is the same at every evaluated step, in some run."""
        steps = [run.steps["learned_reward"] for run in self.evaluated if len(run.steps["learned_reward"])]
        return any(float(np.ptp(x)) <= 1e-6 * float(np.abs(x).max()) for x in steps)

    @property
    def has_true_part(self) -> bool:
        """Whether the true reward was part of what the agents were trained on."""
        return self.kind != "true" and self.runs[0].spec.agent.reward.composition.true_weight != 0

    @property
    def survival_bonus(self) -> str | None:
        """What is to be said of a reward that pays for an episode's length, if anything."""
        return next((run.survival_bonus for run in self.runs if run.survival_bonus), None)

    @property
    def shaping(self) -> str | None:
        """What is to be said of a reward that, at the end, pays for getting near more than for getting there."""
        return next((run.outcome.shaping for run in self.runs if run.outcome is not None and run.outcome.shaping), None)

    def held_out(self, score: str) -> float:
        """Mean over runs of what their models score on labels that they were not fitted on, NaN where unknown."""
        scores = [run.outcome.held_out.get(score) for run in self.runs if run.outcome and run.outcome.held_out]
        numbers = [each for each in scores if each is not None]
        return float(np.mean(numbers)) if numbers else math.nan

    @property
    def unseen_absorbing(self) -> bool:
        """Whether a model rewarded the absorbing state of a fixed horizon and was never shown it, in some run."""
        return any(run.outcome is not None and run.outcome.unseen_absorbing for run in self.runs)

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
        returns = ("true_return", "learned_return", "measured", "success", "share")
        return {
            "reward": self.reward,
            "kind": self.kind,
            "labels": self.labels,
            **{name: getattr(self, name)._asdict() for name in (*returns, "spearman", "pearson", "pair_accuracy")},
            "gamed_since": self.gamed,
            "wall_seconds": self.mean("wall_seconds"),
            "reward_seconds": self.reward_seconds,
            "steps_per_second": self.mean("steps_per_second"),
            "superseded": [str(run.folder) for run in self.superseded],
            "runs": [
                {
                    "folder": str(run.folder),
                    "seed": run.seed,
                    "status": run.status,
                    "recipe": run.recipe,
                    "steps": run.last("steps"),
                    "true_return": run.last("true_return_mean"),
                    "learned_return": run.last("learned_return_mean"),
                    "measured": run.last(MEASURED[0]),
                    "spearman": run.last("spearman"),
                    "wall_seconds": run.wall_seconds,
                }
                for run in self.runs
            ],
        }


def arms_of(runs: Sequence[Run]) -> list[Arm]:
    """The arms among runs of one setting, learned rewards first, then the true one, then controls."""
    groups = grouped(runs, lambda run: {"name": run.reward, **reward_setting(run)})
    names = [group[0].reward for _, group in groups]
    arms = list[Arm]()
    for name, (setting, group) in zip(names, groups, strict=True):
        alike = [other for other_name, (other, _) in zip(names, groups, strict=True) if other_name == name]
        apart = distinction(setting, alike)
        arms.append(_arm(f"{name} ({apart})" if apart else name, group))
    order = ("learned", "true", "shuffled", "control")
    return sorted(arms, key=lambda arm: (order.index(arm.kind), arm.reward))


def training_setting(run: Run) -> Json:
    """All that decides a run but its reward and its seed: what arms that are compared have in common."""
    agent = run.spec.agent.to_json()
    env = {key: value for key, value in agent["env"].items() if key not in _OF_THE_TEXT}
    kept = ("algo", "algorithm", "hyperparameters", "n_envs", "total_steps")
    return {"env": env, **{key: agent[key] for key in kept}}


def reward_setting(run: Run) -> Json:
    """All that decides a run's reward but what was drawn for its seed."""
    reward, env = run.spec.agent.reward.to_json(), run.spec.agent.env
    setting = {key: reward[key] for key in ("kind", "composition", "student")}
    if run.kind == "true":  # nothing is read, so that no words matter
        return {**setting, "recipe": "true"}
    return {**setting, "recipe": run.recipe, "card": run.spec.card_hash, "language": env.language}


def grouped(runs: Sequence[Run], setting_of: Callable[[Run], Json]) -> list[tuple[Json, list[Run]]]:
    """Runs with equal settings, in the order in which they come first."""
    groups = dict[str, tuple[Json, list[Run]]]()
    for run in runs:
        setting = setting_of(run)
        groups.setdefault(json.dumps(setting, sort_keys=True), (setting, []))[1].append(run)
    return list(groups.values())


def distinction(setting: Json, alike: Iterable[Json]) -> str:
    """What tells a setting from others, as ``learning_rate=0.001, total_steps=20000``; empty where nothing does.

    Args:
        setting: one of them.
        alike: all of them.
    """
    flat = [_flat(other) for other in alike]
    keys = sorted({key for one in flat for key in one if any(other.get(key) != one[key] for other in flat)})
    return ", ".join(f"{key.rpartition('.')[2]}={_short(_flat(setting).get(key))}" for key in keys)


def _arm(reward: str, group: Sequence[Run]) -> Arm:
    by_seed = dict[int, list[Run]]()
    for run in group:
        by_seed.setdefault(run.seed, []).append(run)
    ranked = [sorted(by_seed[seed], key=lambda run: (run.status == "done", run.written)) for seed in sorted(by_seed)]
    runs = tuple(of_seed[-1] for of_seed in ranked)
    evaluated = [run for run in runs if len(run.curve["steps"])]

    def over_seeds(column: str) -> Interval:
        return mean_ci([run.last(column) for run in evaluated])

    return Arm(
        reward=reward,
        kind=runs[0].kind,
        runs=runs,
        superseded=tuple(run for of_seed in ranked for run in of_seed[:-1]),
        true_return=over_seeds("true_return_mean"),
        learned_return=over_seeds("learned_return_mean"),
        spearman=over_seeds("spearman"),
        pearson=over_seeds("pearson"),
        pair_accuracy=over_seeds("pair_accuracy"),
        measured=over_seeds(MEASURED[0]) if any(run.spec.measure for run in runs) else _NAN,
        success=over_seeds(SUCCESS) if any(SUCCESS in run.curve for run in runs) else _NAN,
    )


def _flat(values: Mapping[str, object], path: str = "") -> dict[str, object]:
    """Values by dotted path."""
    flat = dict[str, object]()
    for key, value in values.items():
        flat |= _flat(value, f"{path}{key}.") if isinstance(value, Mapping) and value else {f"{path}{key}": value}
    return flat


def _short(value: object) -> str:
    text = f"{value}"
    return text[:8] if len(text) == 16 and set(text) <= set("0123456789abcdef") else text
