"""What runs say together: matches, whose arms differ in nothing but their reward."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rmgym.bench.arms import Arm, arms_of, distinction, grouped, training_setting
from rmgym.cards import find_env_card
from rmgym.errors import CardError
from rmgym.evaluation.measure import short_name
from rmgym.evaluation.random_policy import RandomReturns
from rmgym.metrics import Interval, Sample, share_ci
from rmgym.models.registry import NO_LM
from rmgym.runs.record import Run
from rmgym.specs import EnvSpec
from rmgym.trees import Array

_UNKNOWN = Sample(math.nan, math.nan, 0)


@dataclass(frozen=True, kw_only=True)
class Match:
    """All arms of one task, algorithm and configuration: what is compared differs in its reward alone.

    Attributes:
        task: the environment with its arguments.
        algo: the algorithm.
        variant: what tells it from other matches on the task with the algorithm, such as ``total_steps=20000``.
        arms: learned rewards first, then the true one, then controls.
        random: returns of a random policy, as the runs have played it.
        measures: identities of the users' own measures by which runs were measured: one where they can be compared.
        random_measured: the same episodes by that measure.
        random_success: share of them that succeed, where the environment tells.
        reference: returns of the agents on the true reward: of their arm, else what the card says; its mean is NaN
            where neither is there.
        has_true_arm: whether agents were trained on the true reward here.
        threshold: return at which the task counts as solved, by its card.
    """

    task: str
    algo: str
    variant: str
    arms: tuple[Arm, ...]
    random: Sample
    measures: tuple[str, ...]
    random_measured: Sample
    random_success: Sample
    reference: Sample
    has_true_arm: bool
    threshold: float | None

    @property
    def title(self) -> str:
        """What people call it."""
        return " · ".join(part for part in (self.task, self.algo.upper(), self.variant) if part)

    @property
    def random_return(self) -> float:
        """Mean return of a random policy, NaN where unknown."""
        return self.random.mean

    @property
    def true_return(self) -> float:
        """Mean return of the agents on the true reward, NaN where unknown."""
        return self.reference.mean

    @property
    def measure(self) -> str | None:
        """What people call the measure of their own by which all measured runs can be compared; None without one."""
        return short_name(self.measures[0]) if len(self.measures) == 1 else None

    @property
    def has_success(self) -> bool:
        """Whether the environment tells of episodes if they succeed."""
        return any(math.isfinite(arm.success.value) for arm in self.arms)

    @property
    def is_unrewarded(self) -> bool:
        """Whether every evaluation, and every random episode, had the same true return: it says nothing of anybody.

        Where agents were trained on it, they are what the verdict speaks of.
        """
        returns = [each for arm in self.arms for run in arm.runs for each in run.curve["true_return_mean"].tolist()]
        random = [each for arm in self.arms for run in arm.runs if run.random for each in run.random.returns]
        return len(returns) > 0 and len({*returns, *random}) == 1 and not self.has_true_arm

    @property
    def learned(self) -> list[Arm]:
        """Arms on learned rewards, best first; the control without a language model, a learned one too, is last."""
        arms = [arm for arm in self.arms if arm.kind == "learned"]
        return sorted(arms, key=lambda arm: (arm.model == NO_LM, -_or(arm.true_return.value, -math.inf)))

    @property
    def controls(self) -> list[Arm]:
        """Arms on rewards that know nothing."""
        return [arm for arm in self.arms if arm.is_control]

    @property
    def unfinished(self) -> int:
        """Runs that are not done."""
        return sum(run.status != "done" for arm in self.arms for run in arm.runs)

    def to_json(self) -> dict[str, object]:
        """Everything as JSON-able values."""
        return {
            "task": self.task,
            "algo": self.algo,
            "variant": self.variant,
            "random_policy": self.random._asdict(),
            "measures": list(self.measures),
            "random_measured": self.random_measured._asdict(),
            "random_success": self.random_success._asdict(),
            "true_return": self.true_return,
            "threshold": self.threshold,
            "arms": [arm.to_json() for arm in self.arms],
        }


def compare(runs: Sequence[Run]) -> list[Match]:
    """Group runs into matches, sorted by task and algorithm.

    One match per environment with its arguments, wrappers and horizon, algorithm, hyperparameters and steps; in it one
    arm per reward: its name, recipe (the model's digest; where a suite made it for each seed, what it was made of)
    and composition; in an arm one run per seed.
    """
    groups = sorted(grouped(runs, training_setting), key=lambda group: (group[1][0].task, group[1][0].algo))
    matches = list[Match]()
    for setting, group in groups:
        task, algo = group[0].task, group[0].algo
        alike = [other for other, its in groups if (its[0].task, its[0].algo) == (task, algo)]
        matches.append(_match(task, algo, distinction(setting, alike), group))
    return matches


def mean_curve(runs: Sequence[Run], column: str) -> tuple[Array, Array]:
    """Steps and mean over runs of a curve column, as far as every evaluated run has come."""
    curves = [(run.curve["steps"], run.comparable(column)) for run in runs if len(run.curve["steps"])]
    if not curves:
        return np.zeros(0), np.zeros(0)
    grid = min((steps for steps, _ in curves), key=lambda steps: float(steps[-1]))
    return grid, np.mean([np.interp(grid, steps, values) for steps, values in curves], axis=0)


def _match(task: str, algo: str, variant: str, runs: Sequence[Run]) -> Match:
    arms = arms_of(runs)
    random = _random_policy(runs, lambda random: random.returns)
    measures = sorted({run.spec.measure for run in runs if run.spec.measure is not None})
    own = next((arm for arm in arms if arm.is_reference and arm.evaluated), None)
    published, threshold = _card_says(runs[0].spec.agent.env)
    reference = published if own is None else Sample.of(own.true_returns)
    return Match(
        task=task,
        algo=algo,
        variant=variant,
        arms=tuple(replace(arm, share=_share(arm, random, reference, is_own=arm is own)) for arm in arms),
        random=random,
        measures=tuple(measures),
        random_measured=_random_policy(runs, lambda random: random.measured) if len(measures) == 1 else _UNKNOWN,
        random_success=_random_policy(runs, lambda random: random.success),
        reference=reference,
        has_true_arm=own is not None,
        threshold=threshold,
    )


def _share(arm: Arm, random: Sample, reference: Sample, *, is_own: bool) -> Interval:
    share = share_ci(Sample.of(arm.true_returns), random=random, reference=reference)
    return Interval(share.value, math.nan, math.nan, share.seeds) if is_own else share  # all of itself, by definition


def _random_policy(runs: Sequence[Run], of: Callable[[RandomReturns], tuple[float, ...]]) -> Sample:
    """Returns over the episodes that the runs have played at random, those that several have in common once."""
    played = sorted((run.random for run in runs if run.random is not None), key=lambda random: len(of(random)))
    distinct = {(random.seed, random.action_seed): of(random) for random in played}
    return Sample.of([each for returns in distinct.values() for each in returns])


def _card_says(env: EnvSpec) -> tuple[Sample, float | None]:
    """The return of an agent on the true reward, over seeds that nobody has counted, and the threshold."""
    try:
        card = None if env.kwargs else find_env_card(env.id, env.card)
    except CardError:
        card = None
    if card is None:
        return _UNKNOWN, None
    agent = card.reference.get("agent")
    return Sample(agent.mean, math.nan, 1) if agent else _UNKNOWN, card.threshold


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other
