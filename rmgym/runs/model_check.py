"""Is a reward model right where it counts? Looked at before any agent learns from it, on steps that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rmgym.environments.behaviours import BEHAVIOURS, Source
from rmgym.environments.build import build_env
from rmgym.environments.collect import collect, sources_of
from rmgym.evaluation.attribution import Share, attribute
from rmgym.evaluation.exact import ExactCheck, check_exactly
from rmgym.evaluation.leakage import survival_bonus
from rmgym.feedback.teachers.values import in_whole_episode
from rmgym.metrics import Interval, Sample, order_ci, pair_accuracy, spearman, trajectory_alignment
from rmgym.specs import EnvSpec
from rmgym.text.distinct import distinct
from rmgym.transitions import Transitions
from rmgym.wrappers.source import Model, RewardSource, digest_of, name_of

Floats = npt.NDArray[np.float64]
Light = Literal["green", "amber", "red", "none"]
HELD_OUT_SEED = 30_000
"""Of the first episode that a model is looked at: neither :func:`rmgym.collect`'s nor an evaluation's by default."""
ALIGNED = 0.5
"""Somers' D of episodes that a green light asks for at the lower end of its interval, and a red one is surely below:
three pairs in order of four."""
LED_ASTRAY, LED_THERE = 0.5, 0.9
"""Shares of the way to the best policy, below which the best response makes a light red, and from which on green."""
APART = 2.0
"""Standard errors of their difference by which two policies earn clearly different returns."""
FEWEST = 20
"""Steps of a region of which a correlation is told."""
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Learned and true reward of some steps.

    Attributes:
        steps: how many.
        spearman: rank correlation; NaN where one is constant, or steps are fewer than :data:`FEWEST`.
        pair_accuracy: share of pairs of steps in the right order; NaN as above.
    """

    steps: int
    spearman: float
    pair_accuracy: float

    @classmethod
    def of(cls, learned: Floats, true: Floats) -> Agreement:
        """Measure it."""
        if len(true) < FEWEST:
            return cls(steps=len(true), spearman=math.nan, pair_accuracy=math.nan)
        return cls(steps=len(true), spearman=spearman(learned, true), pair_accuracy=pair_accuracy(learned, true))


@dataclass(frozen=True, kw_only=True)
class Earned:
    """What a policy earns in whole episodes, by both rewards."""

    policy: str
    true: Sample
    learned: Sample

    def clearly(self, other: Earned, reward: Literal["true", "learned"]) -> int:
        """1 where it earns clearly more than another by a reward, -1 for clearly less, 0 where chance explains it."""
        here, there = getattr(self, reward), getattr(other, reward)
        error = (
            math.sqrt(here.variance_of_mean + there.variance_of_mean) if min(here.size, there.size) > 1 else math.inf
        )
        apart = here.mean - there.mean
        return int(np.sign(apart)) if abs(apart) > APART * error else 0


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A step on which the two rewards disagree about where it stands among the others.

    Attributes:
        text: what the model reads.
        learned: its reward.
        true: the environment's.
        learned_place: where the model puts it among all, from 0, the worst, to 1; in the middle of equal ones.
        true_place: where it stands.
        shares: what drove the model's score, field by field (:func:`rmgym.evaluation.attribution.attribute`); of a
            potential, whose scores are differences, none.
    """

    text: str
    learned: float
    true: float
    learned_place: float
    true_place: float
    shares: tuple[Share, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that speaks against a model, and how much."""

    light: Light
    text: str


@dataclass(frozen=True, kw_only=True)
class ModelCheck:
    """What a look at a reward model came to.

    Attributes:
        env: the task.
        model: name of the model.
        digest: which one.
        light: ``green`` where nothing speaks against it, ``amber`` or ``red`` by the gravest finding, ``none`` where
            the true reward does not tell.
        findings: what speaks against it.
        agreement: step by step: of ``all``, by policy, and by how steps end (``goes on``, ``terminated``,
            ``truncated``).
        alignment: Somers' D of whole episodes of all policies (:func:`rmgym.metrics.order_ci`).
        tau: Kendall's tau-b of the same (:func:`rmgym.metrics.trajectory_alignment`), which ties make smaller.
        earned: both returns by policy.
        exact: on all transitions; a text says why not.
        disagreements: steps that a person may look at, and rate next.
    """

    env: str
    model: str
    digest: str
    light: Light
    findings: tuple[Finding, ...]
    agreement: Mapping[str, Agreement]
    alignment: Interval
    tau: float
    earned: tuple[Earned, ...]
    exact: ExactCheck | str
    disagreements: tuple[Disagreement, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as values of JSON, NaN where something is not defined."""
        return {
            **asdict(self),
            "alignment": self.alignment._asdict(),
            "earned": [
                {"policy": e.policy, "true": e.true._asdict(), "learned": e.learned._asdict()} for e in self.earned
            ],
        }


def check_model(
    model: Model,
    env: str | EnvSpec,
    *,
    steps: int = 6000,
    policies: Mapping[str, Source] | None = None,
    seed: int = HELD_OUT_SEED,
    gamma: float | None = None,
) -> ModelCheck:
    """Look at a reward model before an agent learns from it, by steps and whole episodes of several policies.

    What cannot be seen without an agent that goes for the reward is not seen here: pass agents among the policies, such
    as one that learned from this model for a few thousand steps (:class:`rmgym.sb3.AgentPlayer`).

    Args:
        model: a folder, hub id, control's name or model.
        env: Gymnasium id, or a spec.
        steps: how many are taken, in equal parts by each policy, in whole episodes.
        policies: who takes them beside ``random``, ``sticky`` and ``networks``, by name.
        seed: of the first episode.
        gamma: discount of the agents to come, where the best response to the reward can be computed; by default a
            potential's own, or 0.99.

    Raises:
        RunError: the environment cannot be made, or a policy cannot act there.
        ModelError: there is no such model, or it was fitted for another card.
    """
    spec = EnvSpec(id=env) if isinstance(env, str) else env
    sources: dict[str, Source] = {**{name: name for name in BEHAVIOURS}, **(policies or {})}
    with closing(build_env(spec)) as live:
        source = RewardSource(live, model, card=spec.card, language=spec.language)
    taken = collect(spec, steps, seed=seed, policy=sources, progress=False)
    learned, true = source(taken, taken.true_reward).learned, taken.true_reward.astype(np.float64)
    counted = learned if source.potential is None else learned * source.potential.discounts(taken)
    names = np.array(sources_of(taken))
    whole = in_whole_episode(taken)
    ends = np.where(taken.terminated, "terminated", np.where(taken.truncated, "truncated", "goes on"))
    regions = {"all": np.ones(len(taken), np.bool_)}
    regions |= {name: names == name for name in sources} | {end: ends == end for end in np.unique(ends).tolist()}
    returns = {kind: _returns(taken[whole], reward[whole]) for kind, reward in (("true", true), ("learned", counted))}
    first = np.unique(taken.episode[whole], return_index=True)[1]
    by = names[whole][first]
    earned = tuple(
        Earned(policy=name, **{kind: Sample.of(values[by == name]) for kind, values in returns.items()})
        for name in sources
    )
    exact = check_exactly(spec, source.loaded, gamma=gamma, taken=taken)
    agreement = {name: Agreement.of(learned[rows], true[rows]) for name, rows in regions.items()}
    alignment = order_ci(returns["learned"], returns["true"])
    bonus = None if source.potential is not None else survival_bonus(taken[whole], learned[whole])
    findings = (
        *_about_returns(alignment, earned, returns["true"]),
        *_about_steps(agreement, learned, true, is_potential=source.potential is not None),
        *_about_response(exact),
        *([] if bonus is None else [Finding(light="amber", text=bonus)]),
    )
    varies = bool(np.ptp(true) > 0) or len(np.unique(returns["true"])) > 1
    knows = varies or (isinstance(exact, ExactCheck) and not math.isnan(exact.share))
    lights: list[Light] = [finding.light for finding in findings]
    grave: Light = "red" if "red" in lights else "amber" if "amber" in lights else "green"
    return ModelCheck(
        env=spec.task,
        model=name_of(source.loaded),
        digest=digest_of(source.loaded),
        light=grave if knows else "none",
        findings=findings,
        agreement=agreement,
        alignment=alignment,
        tau=trajectory_alignment(returns["learned"], returns["true"]) if len(returns["true"]) > 1 else math.nan,
        earned=earned,
        exact=exact,
        disagreements=() if source.model is None else _disagreements(source, taken, learned, true),
    )


def _returns(steps: Transitions, reward: Floats) -> Floats:
    """Sums over episodes, ``[E]``, in the order of their numbers."""
    _, which = np.unique(steps.episode, return_inverse=True)
    return np.bincount(which, reward).astype(np.float64)


def _about_returns(alignment: Interval, earned: Sequence[Earned], true: Floats) -> list[Finding]:
    """What whole episodes say."""
    if len(true) < 5:
        text = f"only {len(true)} whole episodes: what episodes are worth is not known; take more steps (--steps)"
        return [Finding(light="amber", text=text)]
    against = list[Finding]()
    if not np.ptp(true) > 0:
        text = "all episodes have one true return: only steps can be compared; add agents (--agent), or label outcomes"
        against.append(Finding(light="amber", text=text))
    elif alignment.value <= 0 or alignment.high < ALIGNED:
        text = f"episodes are not put in their order: Somers' D {_interval(alignment)}"
        against.append(Finding(light="red", text=text))
    elif alignment.low < ALIGNED:
        text = f"episodes are put in their order roughly, as far as so many tell: Somers' D {_interval(alignment)}"
        against.append(Finding(light="amber", text=text))
    for i, one in enumerate(earned):
        for other in earned[i + 1 :]:
            if one.clearly(other, "true") * one.clearly(other, "learned") < 0:
                liked, better = (one, other) if one.clearly(other, "learned") > 0 else (other, one)
                text = (
                    f"'{liked.policy}' earns more of the learned reward than '{better.policy}' "
                    f"({liked.learned.mean:.4g} and {better.learned.mean:.4g}), and less of the true one "
                    f"({liked.true.mean:.4g} and {better.true.mean:.4g})"
                )
                against.append(Finding(light="red", text=text))
    return against


def _about_steps(
    agreement: Mapping[str, Agreement], learned: Floats, true: Floats, *, is_potential: bool
) -> list[Finding]:
    """What single steps say."""
    if is_potential or not np.ptp(true) > 0:
        return []
    if not np.ptp(learned) > 0:
        return [Finding(light="red", text=f"the learned reward is {learned[0]:.4g} at every step")]
    return [
        Finding(light="amber", text=f"steps are ordered the wrong way round ({name}): Spearman {of.spearman:.2f}")
        for name, of in agreement.items()
        if of.spearman < -APART / math.sqrt(of.steps)
    ]


def _about_response(exact: ExactCheck | str) -> list[Finding]:
    """What the best policy under the learned reward says."""
    if isinstance(exact, str) or math.isnan(exact.share) or exact.share >= LED_THERE:
        return []
    text = (
        f"whoever is best by the learned reward earns {exact.response:.4g}; the best possible is {exact.best:.4g}, and "
        f"random actions earn {exact.random:.4g}"
    )
    return [Finding(light="red" if exact.share < LED_ASTRAY else "amber", text=text)]


def _disagreements(source: RewardSource, steps: Transitions, learned: Floats, true: Floats) -> tuple[Disagreement, ...]:
    """The distinct steps on which the rewards disagree most, by their places among all."""
    texts = source.textualizer.batch(steps)
    first, _ = distinct(texts)
    places = [_places(reward)[first] for reward in (learned, true)]
    order = np.argsort(-np.abs(places[0] - places[1]), kind="stable")[:_SHOWN]
    shown = texts[first[order]]
    shares: list[tuple[Share, ...]] = [()] * len(shown)
    if source.model is not None and source.potential is None:
        shares = [explained.shares for explained in attribute(source.model, shown, texts)]
    return tuple(
        Disagreement(
            text=text,
            learned=float(learned[first[i]]),
            true=float(true[first[i]]),
            learned_place=float(places[0][i]),
            true_place=float(places[1][i]),
            shares=drove,
        )
        for i, text, drove in zip(order.tolist(), shown.strings(), shares, strict=True)
    )


def _places(reward: Floats) -> Floats:
    """Where each of some rewards stands among all, 0 to 1; of equal ones in the middle."""
    ordered = np.sort(reward)
    below, at_most = (np.searchsorted(ordered, reward, side=side) for side in ("left", "right"))
    places: Floats = (below + at_most - 1) / 2 / max(len(reward) - 1, 1)
    return places


def _interval(value: Interval) -> str:
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}] over {value.seeds} episodes"
