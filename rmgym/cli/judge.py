"""``rmgym judge``: how good a language model is at telling steps of an environment apart, in numbers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rmgym.cli.asked_steps import AskedSteps
from rmgym.cli.options import takes_environment
from rmgym.cli.output import AsJson, out, print_json
from rmgym.cli.teachers import TeacherOptions, language_model

if TYPE_CHECKING:
    from rmgym.judge.skill import Reliability
    from rmgym.specs import EnvSpec


@takes_environment
def judge(
    env: EnvSpec,
    teacher_option: TeacherOptions = None,
    ask: Annotated[
        Literal["rating", "preference", "both"], typer.Option(help="Which kind of answers is measured.")
    ] = "both",
    length: Annotated[int, typer.Option(help="Steps per compared segment.")] = 25,
    target: Annotated[
        Literal["reward", "outcome"],
        typer.Option(help="What orders the pairs: the true reward, or, where that is constant, what follows."),
    ] = "reward",
    data: Annotated[
        Path | None, typer.Option(help="Steps from 'rmgym collect'; without it, steps are collected now.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps to collect; by default enough for the pairs.")] = None,
    seed: Annotated[int, typer.Option(help="Of collecting.")] = 0,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Save the judge as a reward model, if its ratings are any good.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a language model on pairs of known order, and make a reward model of it where it is better than chance.

    What it has answered is kept: the same command again asks nothing. A judge that is no better than chance is shown
    with its numbers, and is saved only with --teacher-option accept_unreliable=true.
    """
    from rmgym.errors import JudgeError
    from rmgym.feedback.plan import QuestionPlan
    from rmgym.feedback.teachers.scripted import ScriptedTeacher
    from rmgym.judge.reward_model import JudgeRewardModel

    if out_folder is not None and ask == "preference":
        raise JudgeError("a judge rewards by its ratings", got="--ask preference with --out", fix="take --ask both")
    teacher = language_model(lambda: ScriptedTeacher(target=target), teacher_option)
    plan = QuestionPlan(
        ratings=0,
        preferences=4 * teacher.trial.pairs,  # some are ties
        length=length,
        whole_episodes=target == "outcome",
        steps=steps,
        seed=seed,
    )
    source = AskedSteps.named(env, data)
    transitions = source.transitions(plan)
    texts = source.textualizer().batch(transitions)
    kinds: tuple[Literal["rating", "preference"], ...] = ("rating", "preference") if ask == "both" else (ask,)
    skills = [teacher.measure(kind, transitions, texts, 1 if kind == "rating" else length) for kind in kinds]
    if out_folder is not None:
        skills[0].check(accept_unreliable=teacher.trial.accept_unreliable)
        model = JudgeRewardModel(teacher.judge, teacher.asking, reliability=skills[0], judge=teacher.opinions)
        model.save(out_folder)
    if as_json:
        facts = [{**asdict(skill), **_interval(skill), "reliable": skill.is_reliable} for skill in skills]
        spent = str(teacher.opinions.inquiry.spending)
        print_json({"judge": teacher.source, "measured": facts, "spent": spent, "out": out_folder and str(out_folder)})
        return
    for skill in skills:
        verdict = "" if skill.is_reliable else "; no better than chance: refused as a teacher"
        out.print(f"{skill}{verdict}", markup=False, soft_wrap=True)
    out.print(f"{teacher.source}: {teacher.opinions.inquiry.spending}", markup=False, soft_wrap=True)
    if out_folder is not None:
        out.print(f"reward model: {out_folder}", markup=False, soft_wrap=True)


def _interval(skill: Reliability) -> dict[str, float]:
    accuracy = skill.accuracy
    return {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high}
