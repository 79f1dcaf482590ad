"""``rmgym label``: have steps rated, or segments compared, by a script, your function, a language model, or you."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rmgym.cli.asked_steps import AskedSteps, are_asked, put_questions, refuse_other_card
from rmgym.cli.options import takes_environment
from rmgym.cli.output import AsJson, err, out, print_json
from rmgym.cli.tables import Tables
from rmgym.cli.teachers import LLM, PERSON, SCRIPTED, Levels, TeacherOptions, levels_of, teacher_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmgym.feedback.store import LabelStore
    from rmgym.feedback.teachers.person import Person
    from rmgym.specs import EnvSpec
    from rmgym.text import Textualizer


@takes_environment
def label(
    env: EnvSpec,
    teacher: Annotated[
        str,
        typer.Option(
            metavar="WHO",
            help="Who answers: scripted (the true reward), human (you, in the terminal), llm (a language model that is "
            "measured first), or a function of your own as my_module:function, which may be in the current folder; or "
            "several, with commas between them, who share the questions.",
        ),
    ] = SCRIPTED,
    teacher_option: TeacherOptions = None,
    db: Annotated[Path, typer.Option(help="Label database; made if missing.")] = Path("labels.sqlite"),
    questions: Annotated[
        Path | None,
        typer.Option(help="Write open questions to a new table (.csv, .jsonl, .parquet) to be answered elsewhere."),
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="Read answers from such a table: its columns 'id' and 'answer'.")
    ] = None,
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
    levels: Levels = None,
    edges: Annotated[
        Literal["width", "quantile"], typer.Option(help="Scripted: levels of equal width, or of equal count.")
    ] = "width",
    annotator: Annotated[str | None, typer.Option(help="Name stored with the answers.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps to collect; by default enough for the questions.")] = None,
    reset_every: Annotated[
        int | None, typer.Option(help="As in 'rmgym collect'; by default 25, or 0 for outcomes.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of collecting and choosing; same seed, same questions.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Have steps rated and segments compared; answers are kept in a database.

    You can stop at any time: every answer is stored when it is given, and the same command goes on. What was answered
    stays: later steps are rated on the scale of the first ones, and --edges counts for those alone.
    """
    from rmgym.errors import FeedbackError
    from rmgym.feedback.plan import QuestionPlan
    from rmgym.feedback.scales import Scale, check_scales
    from rmgym.feedback.store import LabelStore
    from rmgym.feedback.teachers.panel import BOTH, Panel, check_habits
    from rmgym.feedback.teachers.person import Person
    from rmgym.feedback.teachers.scripted import ScriptedTeacher

    tables = Tables(questions, answers, teacher) if questions or answers else None
    if edges != "width" and (tables or SCRIPTED not in teacher.split(",")):
        got = f"--edges {edges} with {'a table' if tables else teacher}"
        raise FeedbackError("the scripted teacher's levels have edges", got=got, fix="leave --edges out")
    source = AskedSteps.named(env, data)

    def scripted() -> ScriptedTeacher:
        value = source.optimal_value() if target == "progress" else None
        return ScriptedTeacher(target=target, levels=levels_of(levels) or None, edges=edges, value=value)

    by_person = tables is not None or teacher == PERSON
    if by_person and teacher_option:
        got = f"--teacher-option {teacher_option[0]} with {'a table' if tables else teacher}"
        raise FeedbackError("people as they are need none of their habits", got=got, fix="leave it out")
    program = (
        None if by_person else teacher_of(teacher, scripted, levels, teacher_option, target=target, others=(PERSON,))
    )
    if isinstance(program, Panel) and annotator is not None:
        raise FeedbackError("several teachers answer under their own names", got=annotator, fix="leave it out")
    plan = QuestionPlan(
        ratings=ratings,
        preferences=preferences,
        length=length,
        method=select,
        whole_episodes=bool({SCRIPTED, LLM} & {*teacher.split(",")}) and target == "outcome",
        steps=steps,
        reset_every=reset_every,
        seed=seed,
    )
    if program is not None:
        check_habits(program, rated=ratings > 0, compared=length if preferences else 0, fix=BOTH)
    text = source.textualizer()
    store = LabelStore(db)
    names = [annotator or getpass.getuser()]
    if program is not None:
        names = [*program.members] if isinstance(program, Panel) else [annotator or program.source]
        put_questions(store, program, names, source, text, plan)
    else:
        name = names[0]
        person = Person() if tables else Person(levels=levels_of(levels))
        refuse_other_card(store, text, env.id)
        if tables is None:
            check_scales(name, {*store.scales(name), Scale(person.source, person.levels)})
        else:
            tables.read(store, name, levels_of(levels))
        if (tables is None or questions) and not are_asked(store, plan):
            put_questions(store, person, names, source, text, plan)
        if tables is None:
            _interview(store, person, name, text, as_json)
        else:
            tables.write(store, name)
    _report(store, names, as_json)


def _interview(store: LabelStore, person: Person, annotator: str, text: Textualizer, as_json: bool) -> None:
    """Ask the person in the terminal whatever is pending."""
    from rmgym.cli.interview import interview
    from rmgym.text.reading import StepReader

    reader = StepReader(text.card, text.language)
    interview(store, annotator, levels=person.levels, reader=reader, console=err if as_json else out)


def _report(store: LabelStore, annotators: Sequence[str], as_json: bool) -> None:
    progress = [store.progress(name) for name in annotators]
    answered, asked, annotator = sum(each for each, _ in progress), progress[0][1], ", ".join(annotators)
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
