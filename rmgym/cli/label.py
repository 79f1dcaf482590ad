"""``rmgym label``: have steps rated, or segments compared, by a scripted teacher or by you."""

from __future__ import annotations

import getpass
import warnings
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from rmgym.cli.output import AsJson, err, out, parse_json_option, print_json

if TYPE_CHECKING:
    from rmgym.feedback.queries import Method, Rows
    from rmgym.feedback.store import LabelStore
    from rmgym.feedback.teachers import ScriptedTeacher
    from rmgym.text import TextBatch, Textualizer
    from rmgym.transitions import Transitions


def label(
    env: Annotated[str, typer.Argument(help="Environment id, such as Pendulum-v1.")],
    teacher: Annotated[Literal["scripted", "human"], typer.Option(help="Who answers.")] = "scripted",
    db: Annotated[Path, typer.Option(help="Label database; made if missing.")] = Path("labels.sqlite"),
    data: Annotated[
        Path | None, typer.Option(help="Steps from 'rmgym collect'; without it, steps are collected now.")
    ] = None,
    ratings: Annotated[int, typer.Option(help="Steps to have rated.")] = 100,
    preferences: Annotated[int, typer.Option(help="Pairs of segments to have compared.")] = 0,
    length: Annotated[int, typer.Option(help="Steps per segment.")] = 25,
    select: Annotated[Literal["coverage", "random"], typer.Option(help="How questions are chosen.")] = "coverage",
    target: Annotated[
        Literal["reward", "outcome", "progress"],
        typer.Option(
            help="Scripted: the step's true reward, what follows from it (where the reward is constant), or its gain "
            "in optimal value (sparse rewards with a known transition table)."
        ),
    ] = "reward",
    levels: Annotated[int, typer.Option(help="Ratings are 1 to LEVELS; 0: exact values (scripted only).")] = 10,
    edges: Annotated[
        Literal["width", "quantile"], typer.Option(help="Scripted: levels of equal width, or of equal count.")
    ] = "width",
    annotator: Annotated[str | None, typer.Option(help="Name stored with the answers.")] = None,
    language: Annotated[str, typer.Option(help="Language of the text: en, zh.")] = "en",
    card: Annotated[Path | None, typer.Option(help="Environment card to use instead of the installed one.")] = None,
    env_kwargs: Annotated[str | None, typer.Option(help="Arguments of the environment, a JSON object.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps to collect; by default enough for the questions.")] = None,
    reset_every: Annotated[
        int | None, typer.Option(help="As in 'rmgym collect'; by default 25, or 0 for outcomes.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of collecting and choosing; same seed, same questions.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Have steps rated and segments compared; answers are kept in a database.

    You can stop at any time: every answer is stored when it is given, and the same command goes on.
    """
    from rmgym.errors import FeedbackError
    from rmgym.feedback.store import LabelStore
    from rmgym.feedback.teachers import ScriptedTeacher
    from rmgym.harness.collect import make_env
    from rmgym.harness.experts import tabular_value
    from rmgym.text import textualizer

    if ratings < 0 or preferences < 0 or ratings + preferences == 0:
        raise FeedbackError(
            "something is asked", got=f"{ratings} ratings, {preferences} preferences", fix="--ratings 100"
        )
    plan = _Plan(
        env_id=env,
        env_kwargs=parse_json_option("--env-kwargs", env_kwargs),
        data=data,
        ratings=ratings,
        preferences=preferences,
        length=length,
        method=select,
        steps=steps,
        reset_every=reset_every,
        whole_episodes=teacher == "scripted" and target == "outcome",
        seed=seed,
    )
    kwargs = plan.environment_arguments()
    with closing(make_env(env, kwargs)) as made:
        say = textualizer(made, card=card, language=language)
    store = LabelStore(db)
    if teacher == "scripted":
        value = tabular_value(env, kwargs) if target == "progress" else None
        scripted = ScriptedTeacher(target=target, levels=levels or None, edges=edges, value=value)
        name = annotator or scripted.source
        _ask_script(store, scripted, name, plan, say)
    else:
        name = annotator or getpass.getuser()
        _ask_person(store, name, levels, plan, say, as_json)
    _report(store, name, as_json)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What to ask about, and where the steps come from."""

    env_id: str
    env_kwargs: dict[str, Any]
    data: Path | None
    ratings: int
    preferences: int
    length: int
    method: Method
    steps: int | None
    reset_every: int | None
    whole_episodes: bool
    seed: int

    def environment_arguments(self) -> dict[str, Any]:
        """The arguments given, else those the data were collected with."""
        if self.data is None or self.env_kwargs:
            return self.env_kwargs
        return dict(self.transitions().metadata.get("env_kwargs") or {})

    def transitions(self) -> Transitions:
        """Steps from the file, or collected now.

        Raises:
            FeedbackError: the file is of another environment.
        """
        from rmgym.errors import FeedbackError
        from rmgym.feedback.teachers import in_ended_episode
        from rmgym.harness.collect import collect
        from rmgym.transitions import Transitions

        if self.data is not None:
            found = Transitions.load(self.data)
            if found.metadata.get("env_id") != self.env_id:
                got = f"{self.data} of {found.metadata.get('env_id')}, not {self.env_id}"
                raise FeedbackError("labels are about steps of the environment named", got=got, fix="name that one")
        else:
            steps = self.steps or max(4000, 3 * self.preferences * self.length)
            cut = max(25, self.length if self.preferences else 0) if self.reset_every is None else self.reset_every
            if self.whole_episodes and self.reset_every is None:
                cut = 0
            found = collect(self.env_id, steps, seed=self.seed, reset_every=cut or None, env_kwargs=self.env_kwargs)
        ended = in_ended_episode(found)
        # How a cut episode would have ended is not known; without any that ended, the teacher says what is wrong.
        return found[ended] if self.whole_episodes and ended.any() else found

    def rows(self, transitions: Transitions, texts: TextBatch) -> Rows:
        """The steps to rate, ``int64 [ratings]``."""
        from rmgym.feedback.queries import select_steps

        if not self.ratings:
            return np.zeros(0, np.int64)
        return select_steps(transitions, texts, self.ratings, method=self.method, seed=self.seed)

    def pairs(self, transitions: Transitions, texts: TextBatch) -> Rows:
        """First rows of the segments to compare, ``int64 [preferences, 2]``."""
        from rmgym.feedback.queries import select_segments

        if not self.preferences:
            return np.zeros((0, 2), np.int64)
        return select_segments(
            transitions, self.preferences, self.length, method=self.method, seed=self.seed, texts=texts
        )


def _ask_script(store: LabelStore, teacher: ScriptedTeacher, name: str, plan: _Plan, say: Textualizer) -> None:
    """Have a script answer all questions at once."""
    from rmgym.feedback.scripted import ask_script

    transitions = plan.transitions()
    texts = say.batch(transitions)
    rows, pairs = plan.rows(transitions, texts), plan.pairs(transitions, texts)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ask_script(store, teacher, transitions, texts, rows=rows, pairs=pairs, length=plan.length, annotator=name)
    for warning in said:
        err.print(f"warning: {warning.message}", markup=False)


def _ask_person(store: LabelStore, name: str, levels: int, plan: _Plan, say: Textualizer, as_json: bool) -> None:
    """Add the questions unless they are there, then ask them in the terminal."""
    from rmgym.cli.interview import interview
    from rmgym.errors import FeedbackError
    from rmgym.feedback.reading import StepReader

    if levels < 2:
        raise FeedbackError("a person rates on at least 2 levels", got=levels, fix="pass --levels 10")
    info = store.info()
    if info["card_hash"] not in (None, say.card_hash):
        raise FeedbackError(
            "one database holds labels of one environment, card and language",
            got=f"{plan.env_id} in {say.language!r}; {store.path} is about {info['env_id']} in {info['language']!r}",
            fix="choose another file: --db",
        )
    counts = info["counts"]
    if counts["rating_queries"] < plan.ratings or counts["preference_queries"] < plan.preferences:
        transitions = plan.transitions()
        texts = say.batch(transitions)
        store.add_rating_queries(transitions, texts, plan.rows(transitions, texts))
        store.add_preference_queries(transitions, texts, plan.pairs(transitions, texts), plan.length)
    reader = StepReader(say.card, say.language)
    interview(store, name, levels=levels, reader=reader, console=err if as_json else out)


def _report(store: LabelStore, annotator: str, as_json: bool) -> None:
    answered, asked = store.progress(annotator)
    info = store.info()
    if as_json:
        print_json({"db": str(store.path), "annotator": annotator, "answered": answered, "asked": asked, **info})
        return
    counts = info["counts"]
    out.print(
        f"{store.path}: {counts['ratings']} ratings, {counts['preferences']} preferences, {counts['skipped']} skipped; "
        f"{annotator} answered {answered} of {asked}",
        markup=False,
        soft_wrap=True,
    )
