"""Who answers: what ``--teacher`` and ``--levels`` mean, for every command that asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from rmgym.cli.options import key_values
from rmgym.errors import FeedbackError, nearest

if TYPE_CHECKING:
    from rmgym.feedback.teachers.base import Teacher
    from rmgym.feedback.teachers.judging import JudgeTeacher
    from rmgym.feedback.teachers.panel import Panel
    from rmgym.feedback.teachers.scripted import ScriptedTeacher

SCRIPTED, PERSON, LLM = "scripted", "human", "llm"
_LEVELS = 10

TeacherName: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="WHO",
        help="Who answers: scripted (the true reward), llm (a language model that is measured first), or a function of "
        "your own as my_module:function, which may be in the current folder; or several, with commas between them, who "
        "share the questions.",
    ),
]
TeacherOptions: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--teacher-option",
        metavar="KEY=VALUE",
        help="Let the scripted teacher answer as people do: rationality, myopia, mistakes, skips, later, ties, "
        "clustered, adversarial, drift, own_scale; people (how many) and seed. Of a language model: judge (smollm2, "
        "a folder, or the URL of an OpenAI-compatible server), served, check (who knows the order of the pairs that it "
        "is measured on), pairs, max_tokens and others. Repeatable.",
    ),
]
MeasureName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:FUNCTION",
        help="Measure the held-out episodes by a function of your own too, which is called as one that labels; it may "
        "be in the current folder.",
    ),
]
Levels: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Ratings are 1 to LEVELS, by default 10; 0: exact values, as those of a function always are."),
]


def levels_of(given: int | None) -> int:
    """The levels that are meant, 0 for exact values."""
    return _LEVELS if given is None else given


def teacher_of(
    name: str,
    scripted: Callable[[], ScriptedTeacher],
    levels: int | None,
    options: Sequence[str] | None,
    *,
    target: str = "reward",
    others: tuple[str, ...] = (),
) -> Teacher | Panel:
    """Who is meant, one or several.

    Args:
        name: as given: the scripted teacher, a language model, ``module:name``, or several with commas between them.
        scripted: makes the scripted teacher.
        levels: as given.
        options: as given: of the language model, or else what the scripted teacher makes of what it knows.
        target: of the scripted teacher, as given; of a language model, what it is measured by.
        others: as for :func:`own_teacher`.

    Raises:
        FeedbackError: there is none of that name, or an option is about another teacher.
    """
    from rmgym.feedback.teachers.panel import Panel

    names = name.split(",")
    if LLM in names and levels:
        fix = "leave it out, and pass levels by --teacher-option"
        raise FeedbackError("a language model's levels are an option of it", got=f"--levels {levels}", fix=fix)
    if SCRIPTED in names or LLM in names:  # what is the scripted teacher's is not about those beside it
        levels, target = None, "reward"
    elif options:
        fix = "leave --teacher-option out: a function answers as it is"
        raise FeedbackError("people as they are know what the scripted teacher knows", got=name, fix=fix)
    if names[1:]:
        others = ()  # who answer later, and are asked alone
    members: dict[str, Teacher] = {}
    for each in names:
        one: Teacher | Panel
        if each == LLM:
            one = language_model(scripted, options)
        elif each == SCRIPTED:
            one = _people(scripted(), () if LLM in names else options)
        else:
            one = own_teacher(each, levels, target=target, others=(LLM, *others))
        if not names[1:]:
            return one
        members.update(one.members if isinstance(one, Panel) else {each: one})
    return Panel(members)


def _people(teacher: ScriptedTeacher, options: Sequence[str] | None) -> Teacher | Panel:
    """The scripted teacher, or people who know what it knows."""
    from rmgym.feedback.teachers.panel import People
    from rmgym.options import read_options

    if not options:
        return teacher
    given = key_values("--teacher-option", options, FeedbackError)
    return read_options(People, given, "--teacher-option", FeedbackError).knowing(teacher)


def language_model(scripted: Callable[[], ScriptedTeacher], options: Sequence[str] | None) -> JudgeTeacher:
    """A language model that is measured by the scripted teacher, or by whoever the options name.

    Args:
        scripted: makes the scripted teacher.
        options: as given.

    Raises:
        FeedbackError: an option is unknown.
        JudgeError: one is impossible.
    """
    from rmgym.feedback.teachers.judging import JudgeTeacherOptions
    from rmgym.options import read_options

    given = key_values("--teacher-option", options or (), FeedbackError)
    read = read_options(JudgeTeacherOptions, given, "--teacher-option", FeedbackError)
    return read.teacher(scripted if read.check == SCRIPTED else lambda: own_teacher(read.check, None))


def own_teacher(name: str, levels: int | None, *, target: str = "reward", others: tuple[str, ...] = ()) -> Teacher:
    """The user's own teacher: a function or a :class:`Teacher` in a module.

    Args:
        name: ``module:name``.
        levels: as given; a function's values are kept as they are.
        target: of the scripted teacher, as given.
        others: teachers that the command knows by a word, beside the scripted one.

    Raises:
        FeedbackError: there is none of that name, or an option is about another teacher.
    """
    from rmgym.feedback.teachers.program import as_teacher
    from rmgym.imports import imported

    if ":" not in name:
        words = (SCRIPTED, *others)
        fix = f"{nearest(name, words)} A function of your own is my_module:function"
        raise FeedbackError(f"a teacher is {', '.join(words)} or module:function", got=name, fix=fix)
    if levels or target != "reward":
        got = f"--levels {levels}" if levels else f"--target {target}"
        fix = "leave it out: the function says how good a step is, and its values are kept as they are"
        raise FeedbackError("levels and targets are the scripted teacher's", got=f"{got} with {name}", fix=fix)
    return as_teacher(imported(name, FeedbackError), name)  # type: ignore[arg-type]  # checked there
