"""``rmgym collect``: real steps of an environment, as a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from rmgym.cli.options import takes_environment
from rmgym.cli.output import AsJson, out, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rmgym.environments.behaviours import Behaviour, Source
    from rmgym.specs import EnvSpec

_STEPS = 4000


@takes_environment
def collect(
    env: EnvSpec,
    out_file: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    steps: Annotated[int | None, typer.Option(help="How many steps (4000; of a dataset: all).")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same steps.")] = 0,
    reset_every: Annotated[
        int, typer.Option(help="Start a new episode after this many steps; 0 lets every episode end by itself.")
    ] = 25,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="How to act: 'random' (the default), 'sticky', each action about ten times, or by 'networks' with "
            "random weights. Several --policy and --agent take equal parts of the steps."
        ),
    ] = None,
    agent: Annotated[
        list[Path] | None,
        typer.Option(help="A saved agent, or the folder of its run, which plays whole episodes; load what you trust."),
    ] = None,
    minari: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Take the steps of a Minari dataset of this environment, and play nothing."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let them take the place of a file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Collect real steps of an environment.

    Frequent resets visit more kinds of states, and agents those that matter to one. For labels by outcome collect with
    --reset-every 0. Or take over the steps of a Minari dataset.
    """
    from rmgym.environments import collect as run
    from rmgym.environments.trajectories import transitions_of
    from rmgym.errors import RunError
    from rmgym.storage.atomic import refuse_existing

    if not overwrite:
        refuse_existing(out_file, what="steps")
    if minari is not None:
        if policy or agent:
            fix = "leave --policy and --agent out, or collect into another file"
            raise RunError("the steps of a dataset are somebody's already", got=f"--minari {minari}", fix=fix)
        transitions = transitions_of(minari, env, steps=steps)
    else:
        sources = _sources(policy or (), agent or ())
        transitions = run(
            env, _STEPS if steps is None else steps, seed=seed, reset_every=reset_every or None, policy=sources
        )
    transitions.save(out_file, overwrite=overwrite)
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
            f"{facts['steps']} steps of {env.id} in {facts['episodes']} episodes "
            f"({facts['terminated']} terminated, {facts['truncated']} truncated) -> {out_file}",
            markup=False,
            soft_wrap=True,
        )


def _sources(policies: Sequence[str], agents: Sequence[Path]) -> dict[str, Source]:
    """Who takes steps, by name."""
    names = policies or ([] if agents else ["random"])
    sources: dict[str, Source] = {name: cast("Behaviour", name) for name in names}
    if agents:
        from rmgym.sb3 import AgentPlayer

        sources |= {str(path): AgentPlayer(path) for path in agents}
    return sources
