"""``rmgym collect``: real steps of an environment, as a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rmgym.cli.output import AsJson, out, parse_json_option, print_json


def collect(
    env: Annotated[str, typer.Argument(help="Environment id, such as Pendulum-v1.")],
    out_file: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    steps: Annotated[int, typer.Option(help="How many steps.")] = 4000,
    seed: Annotated[int, typer.Option(help="Same seed, same steps.")] = 0,
    reset_every: Annotated[
        int, typer.Option(help="Start a new episode after this many steps; 0 lets every episode end by itself.")
    ] = 25,
    env_kwargs: Annotated[str | None, typer.Option(help="Arguments of the environment, a JSON object.")] = None,
    fixed_horizon: Annotated[
        int | None, typer.Option(help="Let every episode last so many steps; after its end nothing happens any more.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Collect real steps of an environment with random actions.

    Frequent resets visit more kinds of states. For labels by outcome collect with --reset-every 0.
    """
    from rmgym.harness.collect import collect as run

    kwargs = parse_json_option("--env-kwargs", env_kwargs)
    transitions = run(
        env, steps, seed=seed, reset_every=reset_every or None, env_kwargs=kwargs, fixed_horizon=fixed_horizon
    )
    transitions.save(out_file)
    facts = {
        "out": str(out_file),
        "steps": len(transitions),
        "episodes": int(transitions.episode[-1]) + 1,
        "terminated": int(transitions.terminated.sum()),
        "truncated": int(transitions.truncated.sum()),
        **transitions.metadata,
    }
    if as_json:
        print_json(facts)
    else:
        out.print(
            f"{facts['steps']} steps of {env} in {facts['episodes']} episodes "
            f"({facts['terminated']} terminated, {facts['truncated']} truncated) -> {out_file}",
            markup=False,
            soft_wrap=True,
        )
