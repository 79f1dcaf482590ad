"""``rmgym ui``: the labelling page."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rmgym.cli.asked_steps import AskedSteps, are_asked, put_questions, refuse_other_card
from rmgym.cli.completion import model_names
from rmgym.cli.extras import require
from rmgym.cli.options import takes_environment
from rmgym.cli.output import AsJson, err, out, print_json
from rmgym.cli.teachers import levels_of

if TYPE_CHECKING:
    from rmgym.feedback.agreement import Values
    from rmgym.feedback.plan import QuestionPlan
    from rmgym.feedback.questions import Question
    from rmgym.specs import EnvSpec
    from rmgym.ui.pictures import Pictures

_STEPS = ".parquet"


@takes_environment
def ui(
    env: EnvSpec,
    db: Annotated[Path, typer.Option(help="Label database; made if missing.")] = Path("labels.sqlite"),
    annotator: Annotated[
        list[str] | None, typer.Option(help="Who may label; once for each. By default you alone.")
    ] = None,
    overlap: Annotated[
        float,
        typer.Option(help="Share of the questions that all annotators answer, 0 to 1, to see whether they agree."),
    ] = 0.0,
    data: Annotated[
        Path | None, typer.Option(help="Steps from 'rmgym collect'; without it, steps are collected now.")
    ] = None,
    ask: Annotated[
        Literal["rating", "ladder"],
        typer.Option(help="Have steps rated, or each placed on a ladder among those before it."),
    ] = "rating",
    ratings: Annotated[int, typer.Option(help="Steps to have rated, or placed.")] = 100,
    preferences: Annotated[int, typer.Option(help="Pairs of segments to have compared.")] = 0,
    length: Annotated[int, typer.Option(help="Steps per segment.")] = 25,
    select: Annotated[Literal["coverage", "random"], typer.Option(help="How questions are chosen.")] = "coverage",
    levels: Annotated[int | None, typer.Option(help="Ratings are 1 to LEVELS, by default 10.")] = None,
    low: Annotated[
        int | None, typer.Option(help="Place among the steps of one that shows what a low rating is.")
    ] = None,
    high: Annotated[int | None, typer.Option(help="The same for a high rating.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps to collect; by default enough for the questions.")] = None,
    seed: Annotated[int, typer.Option(help="Of collecting and choosing; same seed, same questions.")] = 0,
    refit: Annotated[
        str | None,
        typer.Option(
            help="Fit this reward model meanwhile, show how good it is, and let it order the questions.",
            autocompletion=model_names,
        ),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Show what the environment draws, where it can.")] = True,
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback is for annotators elsewhere.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8766,
    as_json: AsJson = False,
) -> None:
    """Label steps and segments on a page in the browser, alone or with others.

    ENV may be a file of steps too. Each annotator gets a link, which stays the same. Answers are kept in a database, as
    those of 'rmgym label' are: every one is stored before the next question is shown, and the same command goes on.
    """
    require("ui", "fastapi", "jinja2", "krippendorff", "PIL", "uvicorn")
    from rmgym.errors import FeedbackError
    from rmgym.feedback.plan import QuestionPlan
    from rmgym.feedback.store import LabelStore
    from rmgym.feedback.teachers.person import Person
    from rmgym.models.remote.connection import is_loopback
    from rmgym.serving.listening import listen, run
    from rmgym.storage.sqlite import connect_to_read
    from rmgym.text.reading import StepReader
    from rmgym.ui.access import Access, secret_beside
    from rmgym.ui.clips import Viewer
    from rmgym.ui.desk import Desk
    from rmgym.ui.ladder_desk import LadderDesk
    from rmgym.ui.pages import Pages
    from rmgym.ui.pictures import Pictures
    from rmgym.ui.refits import Refits, check_fittable, refitting
    from rmgym.ui.sessions import sessions_beside
    from rmgym.ui.site import Site

    if ask == "ladder" and preferences:
        fix = "leave --preferences out, or --ask ladder"
        raise FeedbackError("a ladder is of steps alone", got=f"{preferences} comparisons too", fix=fix)
    if data is None and env.id.endswith(_STEPS):
        env, data = _of_file(env), Path(env.id)
    if refit is not None:
        check_fittable(refit)
    plan = QuestionPlan(ratings=ratings, preferences=preferences, length=length, method=select, steps=steps, seed=seed)
    names = annotator or [getpass.getuser()]
    source, store = AskedSteps.named(env, data), LabelStore(db)
    text, person = source.textualizer(), Person(levels=levels_of(levels))
    refuse_other_card(store, text, env.id)
    access = Access(secret_beside(db), names)
    if not are_asked(store, plan):
        source = replace(source, recorded=source.transitions(plan))
        put_questions(store, person, names, source, text, plan)
    if low is not None or high is not None:
        source = replace(source, recorded=source.transitions(plan))
    examples = {word: source.example(row, text) for word, row in (("low", low), ("high", high)) if row is not None}
    desk = (
        LadderDesk(store, names, overlap=overlap)
        if ask == "ladder"
        else Desk(store, names, levels=person.levels, overlap=overlap)
    )
    asked = [*desk.questions.values()]
    drawn = Pictures(are_coming=pictures)
    viewer = Viewer(StepReader(text.card, text.language), asked)
    refits = None if refit is None else Refits(refitting(db, refit), desk.reorder)
    pages = Pages(env.id, desk=desk, viewer=viewer, pictures=drawn, refits=refits, examples=examples)
    app = Site(access, sessions_beside(db), desk, pages, drawn, refits).app(any_host=not is_loopback(host))
    listening, url = listen(host, port)
    if pictures:
        Thread(
            target=_take, args=(drawn, partial(_draw, source, plan, [*asked, *examples.values()])), daemon=True
        ).start()
    if refits is not None:
        os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that fit; the page itself computes nothing
        refits.consider(desk.answered)
    links = {name: f"{url}/#token={access.token(name)}" for name in names}
    about = f"{len(asked)} questions about {env.id} in {db}"
    # Whoever closes SQLite's last connection waits until its log is put into the file: that is no answer's affair.
    with closing(connect_to_read(db, timeout=5)):
        run(app, listening, on_ready=lambda server: _say(about, links, desk.values(), as_json))


def _of_file(env: EnvSpec) -> EnvSpec:
    """The environment that a file of steps is of.

    Raises:
        FeedbackError: the file does not say.
    """
    from rmgym.environments.collect import collected_in
    from rmgym.errors import FeedbackError
    from rmgym.transitions import Transitions

    origin = collected_in(Transitions.load(env.id))
    if origin is None:
        fix = "name the environment, and the file by --data"
        raise FeedbackError("a file of steps says where they were collected", got=env.id, fix=fix)
    return replace(env, id=origin.id)


def _take(pictures: Pictures, drawing: Callable[[], Iterator[tuple[str, bytes]]]) -> None:
    """Take pictures from a process that draws while the page is there already."""
    from rmgym.ui.aside import aside

    pictures.take(aside(drawing))
    if pictures.trouble:
        err.print(f"no more pictures. {pictures.trouble}", markup=False, soft_wrap=True)


def _draw(source: AskedSteps, plan: QuestionPlan, questions: list[Question]) -> Iterator[tuple[str, bytes]]:
    """Draw the clips; steps are collected again where nobody kept them."""
    from rmgym.ui.pictures import draw

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws without a screen
    steps = source.transitions(plan)
    return draw(steps, source.textualizer().batch(steps), questions)


def _say(about: str, links: dict[str, str], values: Mapping[str, Values], as_json: bool) -> None:
    """Say where the page is, and how far its annotators agree; those that read a pipe are waiting for it."""
    from rmgym.feedback.agreement import agreement, agreement_of_each

    if as_json:
        agreed = {
            kind: {**asdict(agreement(of)), "of_each": {name: asdict(a) for name, a in agreement_of_each(of).items()}}
            for kind, of in values.items()
        }
        print_json({"about": about, "links": links, "agreement": agreed})
    else:
        for name, link in links.items():
            out.print(f"{name}: {link}", markup=False, soft_wrap=True)
        out.print(f"{about}. Ctrl-C stops; the same command goes on.", markup=False, soft_wrap=True)
    sys.stdout.flush()
