"""A suite: environments x algorithms x rewards x seeds, as one TOML file. Unknown keys are errors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict
from pydantic import Field as Rule
from pydantic.dataclasses import dataclass

from rmgym.errors import RunError, nearest
from rmgym.options import read_options, refuse_unknown
from rmgym.specs import EnvSpec
from rmgym.storage.foreign import is_there, read_toml

if TYPE_CHECKING:
    from rmgym.feedback.plan import QuestionPlan

_strict = ConfigDict(extra="forbid")
Name = Annotated[str, Rule(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A name that is also a folder's name."""
Count = Annotated[int, Rule(ge=1)]
Target = Literal["reward", "outcome", "progress"]

CONTROLS = ("true", "constant", "random")
"""Rewards that need neither labels nor fitting."""


@dataclass(frozen=True, kw_only=True, config=_strict)
class Environment:
    """One environment of the grid; a plain id stands for ``{id = "..."}``.

    Attributes:
        id: Gymnasium id.
        kwargs: arguments of ``gymnasium.make``.
        target: what the scripted teacher rates here: the true reward of a step, its outcome (for environments whose
            true reward is constant, such as CartPole), or its progress by the optimal value function (for sparse
            rewards, where the environment's transition table is known, such as FrozenLake).
        steps: training steps, where they differ from the suite's.
        name: a short name, needed where one id occurs with several ``kwargs``.
        horizon: steps of every training and collecting episode (:class:`rmgym.FixedHorizonWrapper`).
        card: path of an environment card, from where the suite is run.
        language: language of the texts.
        measure: a function of your own by which evaluations are measured too, as ``module:function``.
    """

    id: str
    kwargs: dict[str, Any] = Rule(default_factory=dict)
    horizon: Count | None = None
    card: str | None = None
    language: str = "en"
    target: Target = "reward"
    steps: Count | None = None
    name: Name | None = None
    measure: str | None = None

    @property
    def folder(self) -> str:
        """Its folder's name."""
        return self.name or self.id.replace("/", "-").replace(":", "-")

    @property
    def spec(self) -> EnvSpec:
        """The environment itself."""
        card = None if self.card is None else str(Path(self.card).resolve())
        return EnvSpec(id=self.id, kwargs=self.kwargs, horizon=self.horizon, card=card, language=self.language)


@dataclass(frozen=True, kw_only=True, config=_strict)
class Reward:
    """One reward of the grid: where it comes from, from which labels, fitted how.

    Attributes:
        name: its name in tables and plots.
        model: a built-in name, a folder of a fitted model, a control (``true``, ``constant``, ``random``), or
            ``shuffled``: the reward named by ``of``, fitted on the same labels in permuted order.
        of: see ``model``.
        ratings: rated steps.
        preferences: compared pairs of segments.
        segment: steps per segment.
        levels: distinct ratings; None for the exact value.
        edges: how levels are cut: equally wide, or equally often used.
        select: how rated steps are chosen.
        collect_steps: random steps collected to choose from; by default enough, as of ``rmgym label``.
        reset_every: steps after which a collecting episode is reset; 0 lets it end by itself, which outcomes need.
            By default 25 (or ``segment``, where longer ones are compared), 0 for outcomes.
        fit: fields of :class:`rmgym.FitOptions`.
        options: options of the model.
    """

    name: Name
    model: str
    of: str | None = None
    ratings: Annotated[int, Rule(ge=0)] = 100
    preferences: Annotated[int, Rule(ge=0)] = 0
    segment: Count = 25
    levels: Annotated[int, Rule(ge=2)] | None = None
    edges: Literal["width", "quantile"] = "width"
    select: Literal["coverage", "random"] = "coverage"
    collect_steps: Count | None = None
    reset_every: Annotated[int, Rule(ge=0)] | None = None
    fit: dict[str, Any] = Rule(default_factory=dict)
    options: dict[str, Any] = Rule(default_factory=dict)

    @property
    def is_fitted(self) -> bool:
        """Whether the suite collects, labels and fits for it (controls and given folders are used as they are)."""
        is_place = "/" in self.model and not self.model.startswith("hf:")
        return self.model not in CONTROLS and not is_place and not is_there(Path(self.model))

    def question_plan(self, target: Target, seed: int = 0) -> QuestionPlan:
        """What the scripted teacher is asked for it, with the defaults of ``rmgym label``."""
        from rmgym.feedback.plan import QuestionPlan

        return QuestionPlan(
            ratings=self.ratings,
            preferences=self.preferences,
            length=self.segment,
            method=self.select,
            whole_episodes=target == "outcome",
            steps=self.collect_steps,
            reset_every=self.reset_every,
            seed=seed,
        )


def _expand(listed: Any) -> Any:
    return [{"id": e} if isinstance(e, str) else e for e in listed] if isinstance(listed, list) else listed


@dataclass(frozen=True, kw_only=True, config=_strict)
class Suite:
    """A grid of runs.

    Attributes:
        name: the suite's name.
        environments: ids or tables.
        algorithms: names of agent cards, or files of them (``.toml``), from where the suite is run.
        reward: rewards to compare.
        seeds: seeds; each counts for collecting, fitting and training alike.
        steps: training steps of each run.
        eval_every: steps between evaluations; None for a tenth of ``steps``.
        episodes: held-out episodes per evaluation.
        about: one sentence for the report.
    """

    name: Name
    environments: Annotated[list[Environment], BeforeValidator(_expand), Rule(min_length=1)]
    algorithms: Annotated[list[str], Rule(min_length=1)]
    reward: Annotated[list[Reward], Rule(min_length=1)]
    seeds: Annotated[list[int], Rule(min_length=1)]
    steps: Count = 100_000
    eval_every: Count | None = None
    episodes: Count = 10
    about: str = ""


def load_suite(path: str | os.PathLike[str]) -> Suite:
    """Read a suite.

    Raises:
        RunError: the file is missing, is not TOML, or holds a key or value that a suite may not.
    """
    file = Path(path)
    try:
        content = read_toml(file)
    except OSError as error:
        raise RunError("a suite is a readable file", got=str(file), fix="check the path") from error
    except ValueError as error:
        raise RunError("a suite is valid TOML", got=f"{file}: {error}", fix="correct that line") from error
    _refuse_keys_of_a_fit(file, content)
    suite = read_options(Suite, content, str(file), RunError, "see docs/suites.md, and benchmarks/suites for examples")
    _check(file, suite)
    return suite


def algorithm_name(algorithm: str) -> str:
    """What an algorithm of a suite, and its folder, is called: of a file its own name, wherever it lies."""
    return Path(algorithm).stem if algorithm.endswith(".toml") else algorithm


def _check(file: Path, suite: Suite) -> None:
    """Refuse what the keys alone cannot: doubled names, unknown algorithms and models, shuffling of nothing."""
    from rmgym.cards import find_agent_card
    from rmgym.models.registry import available_models

    for kind, names in (
        ("environment", [e.folder for e in suite.environments]),
        ("reward", [r.name for r in suite.reward]),
        ("algorithm", [algorithm_name(a) for a in suite.algorithms]),
        ("seed", [str(s) for s in suite.seeds]),
    ):
        if doubled := sorted({n for n in names if names.count(n) > 1}):
            raise RunError(f"{file}: each {kind} occurs once", got=doubled, fix="give each its own 'name'")
    for algorithm in suite.algorithms:
        find_agent_card(algorithm)
    for environment in suite.environments:
        if environment.measure is not None:
            from rmgym.evaluation.measure import Measure, named_measure  # loads scipy: only where it is needed

            if (function := named_measure(environment.measure)) is not None:
                Measure.of(function)
    fitted = {r.name: r for r in suite.reward if r.is_fitted and r.model != "shuffled"}
    for reward in suite.reward:
        if reward.model == "shuffled":
            if reward.of not in fitted:
                rule = f"{file}: 'of' of the shuffled reward {reward.name!r} names a fitted reward of the suite"
                raise RunError(rule, got=reward.of, fix=nearest(str(reward.of), fitted))
        elif reward.of is not None:
            raise RunError(f"{file}: 'of' is for model = 'shuffled'", got=reward.name, fix="remove 'of'")
        elif reward.is_fitted:
            if reward.model not in available_models():
                rule = f"{file}: the model of reward {reward.name!r} is built in, or a folder with a '/' in its path"
                fix = nearest(reward.model, available_models())
                if reward.model.startswith("hf:"):
                    fix = f"write model = 'hf', options = {{ backbone = {reward.model.removeprefix('hf:')!r} }}"
                raise RunError(rule, got=reward.model, fix=fix)
            _check_fit(file, reward)
            _check_options(file, reward)
            if reward.ratings + reward.preferences == 0:
                raise RunError(f"{file}: fitting needs labels", got=reward.name, fix="set 'ratings'")


def _refuse_keys_of_a_fit(file: Path, content: Mapping[str, Any]) -> None:
    """Say where a key stands that a reward does not have, but its ``fit`` does; ``labels`` are ratings."""
    listed = content.get("reward")
    for reward in listed if isinstance(listed, list) else []:
        for key in set(reward) - set(Reward.__dataclass_fields__) if isinstance(reward, dict) else ():
            from rmgym.training import FitOptions  # loads torch: only where something is wrong

            if key == "labels" or key in FitOptions.__dataclass_fields__:
                fix = "write ratings = ..." if key == "labels" else f"write fit = {{ {key} = ... }}"
                raise RunError(f"{file}: unknown key 'reward.{key}'", got=key, fix=fix)


def _check_options(file: Path, reward: Reward) -> None:
    """Refuse misspelt options of a model before anything is collected for it."""
    if not reward.options:
        return
    from rmgym.models.registry import model_class  # likewise

    kind = getattr(model_class(reward.model), "options_kind", None)
    if kind is not None:
        options = {key: value for key, value in reward.options.items() if key != "preset" or reward.model != "seq2seq"}
        refuse_unknown(kind, options, f"{file}: 'reward.options' of {reward.name!r}", RunError)


def _check_fit(file: Path, reward: Reward) -> None:
    """Refuse misspelt options of a fit before anything is collected for it."""
    if not reward.fit:
        return
    from rmgym.training import FitOptions  # loads torch: only where there is something to check

    refuse_unknown(FitOptions, reward.fit, f"{file}: 'reward.fit' of {reward.name!r}", RunError)
