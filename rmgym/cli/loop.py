"""``rmgym loop``: collect, ask, fit, train, and ask again where the agent goes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rmgym.cli.completion import agent_names, model_names
from rmgym.cli.options import takes_environment
from rmgym.cli.output import AsJson, both_returns, narrate, out, print_json, table
from rmgym.cli.teachers import (
    SCRIPTED,
    Levels,
    MeasureName,
    TeacherName,
    TeacherOptions,
    levels_of,
    teacher_of,
)

if TYPE_CHECKING:
    from rmgym.runs.loop import LoopResult
    from rmgym.specs import EnvSpec


@takes_environment
def loop(
    env: EnvSpec,
    labels: Annotated[int, typer.Option(help="How many questions are asked in all.")] = 100,
    algo: Annotated[
        str, typer.Option(help="Agent card: a name ('rmgym agents') or a file.", autocompletion=agent_names)
    ] = "ppo",
    ask: Annotated[
        Literal["rating", "preference", "both", "ladder"],
        typer.Option(
            help="Rate single steps, compare segments, both, half of the labels each, or place each step among all "
            "before it."
        ),
    ] = "rating",
    teacher: TeacherName = SCRIPTED,
    teacher_option: TeacherOptions = None,
    target: Annotated[
        Literal["reward", "outcome", "progress", "prospect"],
        typer.Option(
            help="The scripted teacher judges a step by its true reward, by what follows from it, or, where there is a "
            "transition table, by its gain in optimal value or by what is the most that could follow."
        ),
    ] = "reward",
    gamma: Annotated[
        float | None,
        typer.Option(
            help="Discount of outcomes, by default 0.95: the teacher looks about 1 / (1 - GAMMA) steps ahead."
        ),
    ] = None,
    potential: Annotated[
        bool,
        typer.Option(
            "--potential", help="Have states judged, and reward a step by what it gained (outcomes of sparse tasks)."
        ),
    ] = False,
    levels: Levels = None,
    model: Annotated[
        str, typer.Option(help="The reward model that is fitted, see 'rmgym models'.", autocompletion=model_names)
    ] = "minilm",
    length: Annotated[int, typer.Option(help="Steps per compared segment.")] = 15,
    kappa: Annotated[
        float,
        typer.Option(help="Standard deviations added to the reward's mean: below 0 to keep away from the unknown."),
    ] = 0.0,
    kappa_last: Annotated[
        float | None, typer.Option(help="What KAPPA has become by the last round; by default it stays.")
    ] = None,
    no_clean: Annotated[
        bool, typer.Option("--no-clean", help="Use all answers, each as good as another; see 'rmgym fit'.")
    ] = False,
    stop_when_settled: Annotated[
        bool, typer.Option("--stop-when-settled", help="Ask no more once the order of the policies has settled.")
    ] = False,
    demonstrations: Annotated[
        Path | None, typer.Option(help="Steps of somebody who can do it, to ask about first ('rmgym.collect').")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="A finished loop to go on from with further labels, and a new agent."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="The loop's folder; by default runs/loop-ENV-ALGO-LABELS-seedK.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What reports call this reward.")] = None,
    steps: Annotated[int | None, typer.Option(help="The agent's steps; by default the agent card's.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations; by default a tenth.")] = None,
    episodes: Annotated[int, typer.Option(help="Held-out episodes of each evaluation.")] = 10,
    measure: MeasureName = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the loop in that folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train an agent on a reward that is learned on the way, from questions about what the agent does.

    Three tenths of the labels, at least 35, are asked for before training, by coverage over steps of a few behaviours;
    the others in rounds while the agent trains: about where it goes, what it takes for good, and what the model is
    unsure of.
    """
    from rmgym.environments.tabular import tabular_value
    from rmgym.errors import RunError
    from rmgym.evaluation.measure import named_measure
    from rmgym.feedback.teachers.scripted import ScriptedTeacher
    from rmgym.runs.loop import loop as run
    from rmgym.runs.loop_options import LoopOptions

    if potential and teacher == SCRIPTED and target not in ("outcome", "prospect"):
        raise RunError(
            "a potential is of what follows from a state", got=f"target {target}", fix="take target outcome or prospect"
        )
    if gamma is not None and (teacher != SCRIPTED or target != "outcome"):
        got = f"--gamma {gamma:g} with {f'--target {target}' if teacher == SCRIPTED else teacher}"
        raise RunError("gamma is the discount of the scripted teacher's outcomes", got=got, fix="leave it out")

    def scripted() -> ScriptedTeacher:
        value = tabular_value(env) if target in ("progress", "prospect") else None
        knows = ScriptedTeacher(target=target, levels=levels_of(levels) or None, value=value)
        return knows if gamma is None else replace(knows, gamma=gamma)

    who = teacher_of(teacher, scripted, levels, teacher_option, target=target)
    judged = _judged(target if teacher == SCRIPTED else teacher, teacher_option or ())
    asked = "labels" if ask == "both" else f"{ask}s"
    folder = (
        to
        or Path("runs")
        / f"loop-{env.id.replace('/', '-')}-{Path(algo).stem}-{model}-{labels}-{asked}-{judged}"
        f"{'-potential' if potential else ''}{f'-kappa{kappa:g}' if kappa else ''}-seed{seed}"
        f"{'' if start is None else f'-after-{start.name}'}"
    )
    if not as_json:
        narrate("rmgym.runs.train")
        narrate("rmgym.runs.loop_rounds")
    result = run(
        env,
        algo,
        who,
        labels=labels,
        out=folder,
        start=start,
        demonstrations=demonstrations,
        options=LoopOptions(
            kind=ask,
            model=model,
            length=length,
            whole_episodes=target == "outcome",
            potential=potential,
            kappa=kappa,
            kappa_last=kappa_last,
            clean=not no_clean,
            stop_when_settled=stop_when_settled,
        ),
        total_steps=steps,
        seed=seed,
        eval_every=eval_every,
        episodes=episodes,
        reward_name=name,
        measure=named_measure(measure),
        resume=resume,
        verbose=0 if as_json else 1,
    )
    if as_json:
        print_json({**result.to_json(), "out": str(folder)})
    else:
        _report(result)


def _judged(by: str, options: Sequence[str]) -> str:
    """How the default folder tells by whom, and how: without what changes no answer, in what a file may be called."""
    from rmgym.judge.judge_options import AskingOptions

    other = {field.name for field in fields(AskingOptions)}
    how = (option.replace("=", "") for option in sorted(options) if option.partition("=")[0] not in other)
    return re.sub(r"[^\w.+-]", "-", "-".join([by.replace(":", ".").replace(",", "+"), *how]))


def _report(result: LoopResult) -> None:
    from rmgym.bench.asked import HEADERS, cells

    out.print(table(HEADERS, cells(result.rounds, result.run.comparison), right=HEADERS[:-1]))
    out.print(
        f"at the end: {both_returns(result.run.final)}\n"
        f"kept, of step {result.run.best['steps']:,.0f}, on other episodes: {both_returns(result.run.best)}\n"
        f"loop: {result.path}\nagent: {result.agent}\nreward model: {result.model}\nreport: rmgym report {result.path}",
        markup=False,
    )
