"""The steps that people, scripts and tables are asked about, and the questions about them."""

from __future__ import annotations

import warnings
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rmgym.cli.output import err

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmgym.feedback.plan import QuestionPlan
    from rmgym.feedback.questions import Question
    from rmgym.feedback.store import LabelStore
    from rmgym.feedback.teachers.base import Teacher
    from rmgym.feedback.teachers.panel import Panel
    from rmgym.feedback.teachers.values import StateValue
    from rmgym.specs import EnvSpec
    from rmgym.text import Textualizer
    from rmgym.transitions import Transitions


@dataclass(frozen=True, kw_only=True)
class AskedSteps:
    """The environment, and the steps to ask about: from a file, or else collected when they are needed."""

    env: EnvSpec
    recorded: Transitions | None

    @classmethod
    def named(cls, env: EnvSpec, data: Path | None) -> AskedSteps:
        """Read the file, if one is named; where no arguments are given, the environment has those of the file.

        Raises:
            FeedbackError: the file is of another environment.
        """
        from rmgym.environments.collect import collected_in
        from rmgym.errors import FeedbackError
        from rmgym.transitions import Transitions

        if data is None:
            return cls(env=env, recorded=None)
        recorded = Transitions.load(data)
        origin = collected_in(recorded)
        if origin is None or origin.id != env.id:
            got = f"{data} of {None if origin is None else origin.id}, not {env.id}"
            raise FeedbackError("labels are about steps of the environment named", got=got, fix="name that one")
        if env.horizon not in (None, origin.horizon):
            got = f"{data} collected with {origin.horizon}, not {env.horizon}"
            raise FeedbackError("a horizon is fixed when steps are collected", got=got, fix="leave --fixed-horizon out")
        if env.kwargs and env.kwargs != origin.kwargs:
            got = f"{data} collected in {origin.task}, not {env.task}"
            raise FeedbackError("arguments are set when steps are collected", got=got, fix="leave --env-kwargs out")
        return cls(
            env=replace(env, kwargs=origin.kwargs, horizon=origin.horizon, wrappers=origin.wrappers), recorded=recorded
        )

    def textualizer(self) -> Textualizer:
        """What puts the steps into words."""
        from rmgym.environments.build import build_env
        from rmgym.text import textualizer

        with closing(build_env(self.env)) as live:
            return textualizer(live, card=self.env.card, language=self.env.language)

    def optimal_value(self) -> StateValue:
        """What an expert expects of a state."""
        from rmgym.environments.tabular import tabular_value

        return tabular_value(self.env)

    def example(self, row: int, text: Textualizer) -> Question:
        """A recorded step as a question to rate it.

        Raises:
            FeedbackError: there is no such step.
        """
        from rmgym.errors import FeedbackError
        from rmgym.feedback.questions import Question

        assert self.recorded is not None
        if not 0 <= row < len(self.recorded):
            raise FeedbackError("an example is one of the steps", got=row, fix=f"pass 0 to {len(self.recorded) - 1}")
        return Question(id=0, kind="rating", left=text.batch(self.recorded[[row]]), right=None)

    def transitions(self, plan: QuestionPlan) -> Transitions:
        """The steps of the file, or collected now."""
        from rmgym.environments.collect import collect

        if self.recorded is not None:
            return self.recorded
        return collect(self.env, plan.collect_steps, seed=plan.seed, reset_every=plan.collect_reset_every)


def put_questions(
    store: LabelStore,
    teacher: Teacher | Panel,
    annotators: Sequence[str],
    source: AskedSteps,
    text: Textualizer,
    plan: QuestionPlan,
) -> None:
    """Put the questions to a teacher; what it warns of is shown in a line."""
    from rmgym.feedback.ask import ask
    from rmgym.feedback.teachers.panel import Panel

    transitions = source.transitions(plan)
    kept = [(name, scale) for name in annotators for scale in store.scales(name) if scale.levels >= 0]
    name = None if isinstance(teacher, Panel) else annotators[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ask(store, teacher, transitions, text.batch(transitions), plan, annotator=name)
    for warning in caught:
        err.print(f"warning: {warning.message}", markup=False)
    for annotator, scale in kept if plan.ratings else ():
        err.print(f"{annotator} keeps the scale of the earlier ratings: {scale}", markup=False, soft_wrap=True)


def refuse_other_card(store: LabelStore, text: Textualizer, env_id: str) -> None:
    """Refuse a person's database that is about something else before they are asked anything from it."""
    from rmgym.errors import FeedbackError

    info = store.info()
    if info["card_hash"] not in (None, text.card_hash):
        raise FeedbackError(
            "one database holds labels of one environment, card and language",
            got=f"{env_id} in {text.language!r}; {store.path} is about {info['env_id']} in {info['language']!r}",
            fix="choose another file: --db",
        )


def are_asked(store: LabelStore, plan: QuestionPlan) -> bool:
    """Whether so many questions are there already, so that no steps need to be collected."""
    counts = store.info()["counts"]
    return bool(counts["rating_queries"] >= plan.ratings and counts["preference_queries"] >= plan.preferences)
