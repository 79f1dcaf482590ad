"""``rmgym distil``: a slow reward model teaches a fast one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rmgym.cli.options import takes_environment
from rmgym.cli.output import AllowRemote, AsJson, out, print_json

if TYPE_CHECKING:
    from rmgym.specs import EnvSpec


@takes_environment
def distil(
    model: Annotated[str, typer.Argument(help="The slow reward model: a folder, hub id or URL.")],
    env: EnvSpec,
    folder: Annotated[Path, typer.Option("--out", help="Folder for the fast model.")],
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="Steps to learn from, as 'rmgym collect' writes; repeatable.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Random steps to collect where no --data is given.")] = 5_000,
    reset_every: Annotated[
        int | None, typer.Option(help="Begin an episode anew after so many of them: more kinds of states.")
    ] = 20,
    student: Annotated[str, typer.Option(help="The fast model's kind, see 'rmgym models'.")] = "minilm",
    fit_steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 3_000,
    seed: Annotated[int, typer.Option(help="Of the random steps, the weights and the held-out episodes.")] = 0,
    allow_remote: AllowRemote = False,
    as_json: AsJson = False,
) -> None:
    """Teach a fast model what a slow one says about visited steps.

    The student is an ordinary reward model. Random steps resemble those of a good agent little: collect some with
    trained agents too, or let 'rmgym train --student' check the student on every rollout.
    """
    from rmgym.distillation.distil import distil as run
    from rmgym.environments import collect
    from rmgym.environments.build import build_env
    from rmgym.models.registry import create_reward_model, load_reward_model
    from rmgym.text import textualizer
    from rmgym.training import FitOptions
    from rmgym.transitions import Transitions

    teacher = load_reward_model(model, allow_remote=allow_remote)
    with closing(build_env(env)) as live:
        say = textualizer(live, card=env.card, language=env.language)
    visited = [Transitions.load(file) for file in data or []] or [
        collect(env, steps, seed=seed, reset_every=reset_every, progress=not as_json)
    ]
    everything = Transitions.concatenate(visited)
    result = run(
        teacher,
        say.batch(everything),
        create_reward_model(student, seed=seed),  # type: ignore[arg-type]  # fit() refuses one without weights
        FitOptions(max_steps=fit_steps, batch_size=64, seed=seed),
        groups=everything.episode,
        out=folder,
        progress=not as_json,
    )
    held_out = result.metrics["validation"]
    if as_json:
        print_json({"path": str(folder), "teacher": teacher.describe(), "metrics": result.metrics})
        return
    if held_out is None:
        out.print(result.metrics["note"], markup=False)
    else:
        out.print(
            f"on {held_out['labels']} held-out steps the student explains {held_out['r2']:.1%} of the variance of "
            f"{teacher.name}'s scores (RMS error {held_out['rmse']:.3g})",
            markup=False,
        )
    out.print(f"saved to {folder}", markup=False)
