"""``rmgym check``: is a reward model right where it counts, before an agent learns from it?"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from rmgym.cli.completion import model_names
from rmgym.cli.options import takes_environment
from rmgym.cli.output import AllowRemote, AsJson, out, print_json, table

if TYPE_CHECKING:
    from rmgym.environments.behaviours import Source
    from rmgym.metrics import Sample
    from rmgym.runs.model_check import ModelCheck
    from rmgym.specs import EnvSpec

_COLOURS = {"green": "green", "amber": "yellow", "red": "red", "none": "blue"}
_ABOUT = {
    "green": "nothing that was looked at speaks against it",
    "amber": "not wrong where it was looked at, with reservations",
    "red": "an agent is likely to be led astray",
    "none": "the true reward tells nothing here to compare with",
}


@takes_environment
def check(
    model: Annotated[str, typer.Argument(help="A reward model's folder, or its name.", autocompletion=model_names)],
    env: EnvSpec,
    steps: Annotated[int, typer.Option(help="Steps to look at, in equal parts by each policy.")] = 6000,
    agent: Annotated[
        list[Path] | None,
        typer.Option(help="A saved agent, or the folder of its run, that takes steps too; load what you trust."),
    ] = None,
    probe: Annotated[
        int | None,
        typer.Option(min=1, help="Train an agent on the model for so many steps, and look at what it does."),
    ] = None,
    algo: Annotated[str, typer.Option(help="Algorithm of the probe, see 'rmgym agents'.")] = "ppo",
    seed: Annotated[int, typer.Option(help="Another seed, other steps.")] = 0,
    allow_remote: AllowRemote = False,
    as_json: AsJson = False,
) -> None:
    """Look at a reward model before any agent learns from it: a light, and reasons.

    Steps and whole episodes of policies that know nothing, of agents and of a probe are rewarded twice, learned and
    true. What only an agent that goes for the reward would find is seen with --probe or --agent alone.
    """
    from rmgym.errors import RunError
    from rmgym.models.registry import load_reward_model
    from rmgym.runs.model_check import HELD_OUT_SEED, check_model

    if env.horizon is not None and (agent or probe):
        got, fix = f"a fixed horizon of {env.horizon}", "leave the agents out, or the horizon"
        raise RunError("agents play episodes as they are", got=got, fix=fix)
    loaded = "true" if model == "true" else load_reward_model(model, allow_remote=allow_remote)
    with TemporaryDirectory() as folder:
        players: dict[str, Source] = {}
        if agent or probe:
            from rmgym.sb3 import AgentPlayer, make_agent, save_agent

            if probe:
                learner = make_agent(algo, env, reward_model=loaded, seed=seed, total_steps=probe)
                learner.learn(probe)
                save_agent(learner, Path(folder) / "probe.zip")
                players["probe"] = AgentPlayer(Path(folder) / "probe.zip")
            players |= {str(path): AgentPlayer(path) for path in agent or ()}
        looked = check_model(loaded, env, steps=steps, policies=players, seed=HELD_OUT_SEED + seed)
    if as_json:
        print_json(looked.to_json())
        return
    _show(looked)


def _show(looked: ModelCheck) -> None:
    from rich.text import Text

    light = Text(looked.light if looked.light != "none" else "no light", style=f"bold {_COLOURS[looked.light]}")
    out.print(light, Text(f" {looked.model} in {looked.env}: {_ABOUT[looked.light]}"), sep="")
    for finding in looked.findings:
        out.print(Text(f"- {finding.text}", style=_COLOURS[finding.light]))
    headers = ("steps of", "episodes", "true return", "learned return", "Spearman", "in order")
    rows = [
        (e.policy, f"{e.true.size}", _sample(e.true), _sample(e.learned), *_of_steps(looked, e.policy))
        for e in looked.earned
    ]
    others = [name for name in looked.agreement if name not in {e.policy for e in looked.earned}]
    rows += [(name, "", "", "", *_of_steps(looked, name)) for name in others]
    out.print(table(headers, rows, right=headers[1:]))
    aligned = looked.alignment
    ends = f"[{_number(aligned.low)}, {_number(aligned.high)}]"
    out.print(
        f"order of whole episodes: Somers' D {_number(aligned.value)} {ends}, tau-b {_number(looked.tau)}", markup=False
    )
    exact = looked.exact
    if isinstance(exact, str):
        out.print(f"distance and best response: n/a, because {exact}", markup=False)
    else:
        out.print(f"distance from the true reward on all transitions, 0 to 1: STARC {exact.starc:.3f}")
        best = f"{_number(exact.response)} (best possible {_number(exact.best)}, random {_number(exact.random)})"
        out.print(f"true return of the best policy by the learned reward: {best}", markup=False)
    if looked.disagreements and looked.light != "none":
        out.print("rate these next: by their places among all steps the rewards disagree most on them")
    for each in looked.disagreements[:3] if looked.light != "none" else ():
        places = f"learned {each.learned:.3g} (place {each.learned_place:.0%}), true {each.true:.3g}"
        out.print(f"- {places} (place {each.true_place:.0%}): {each.text}", markup=False, soft_wrap=True)
        drove = "; ".join(f"{share.field} {share.value}: {share.amount:+.3g}" for share in each.shares[:3])
        if drove:
            out.print(f"  what drove it: {drove}", markup=False, soft_wrap=True)


def _of_steps(looked: ModelCheck, name: str) -> tuple[str, str]:
    agreement = looked.agreement[name]
    return _number(agreement.spearman), _number(agreement.pair_accuracy)


def _sample(sample: Sample) -> str:
    return _number(sample.mean) if sample.size < 2 else f"{sample.mean:.4g} ± {sample.std:.2g}"


def _number(value: float) -> str:
    return f"{value:.3g}" if value == value else "-"  # not NaN
