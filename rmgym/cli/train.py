"""``rmgym train``: an agent on a reward model, watched with both rewards."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rmgym.cli.completion import agent_names
from rmgym.cli.options import takes_environment
from rmgym.cli.output import AllowRemote, AsJson, both_returns, narrate, out, print_json
from rmgym.cli.teachers import MeasureName
from rmgym.errors import RunError

if TYPE_CHECKING:
    from rmgym.models.base import RewardModel
    from rmgym.runs.train import RunResult
    from rmgym.specs import EnvSpec


@takes_environment
def train(
    env: EnvSpec,
    reward: Annotated[
        str, typer.Option(help="A reward model's folder, hub id or URL, or a control: true, random, ...")
    ],
    algo: Annotated[
        str, typer.Option(help="Agent card: a name ('rmgym agents') or a file.", autocompletion=agent_names)
    ] = "ppo",
    to: Annotated[
        Path | None, typer.Option("--out", help="The run's folder; by default runs/ENV-ALGO-REWARD-seedK.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What reports call this reward.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Environment steps, rounded up to whole rollouts; by default the agent card's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn in training.")] = 0,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations; by default a tenth.")] = None,
    episodes: Annotated[int, typer.Option(help="Held-out episodes of each evaluation.")] = 10,
    when: Annotated[str, typer.Option(help="Score a whole 'rollout' at once, or every 'step'.")] = "rollout",
    student: Annotated[
        bool, typer.Option("--student", help="Let a fast student stand in for a slow model, and audit it.")
    ] = False,
    tolerance: Annotated[
        float | None, typer.Option(help="Largest error of that student, in standard deviations of the reward (0.1).")
    ] = None,
    kappa: Annotated[
        float,
        typer.Option(help="Standard deviations added to the model's mean: below 0 to keep away from the unknown."),
    ] = 0.0,
    save_best: Annotated[
        Literal["learned", "true"] | None,
        typer.Option(help="Also keep the agent with the best such return, and judge it on other episodes."),
    ] = None,
    measure: MeasureName = None,
    allow_remote: AllowRemote = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train an agent on a reward model; watch learned and true return.

    The agent sees only the reward named by --reward. Every evaluation plays held-out episodes of the true environment
    and writes both returns and their agreement to comparison.csv and TensorBoard.
    """
    from rmgym.evaluation.measure import named_measure
    from rmgym.runs.train import train as run

    if tolerance is not None and not student:
        raise RunError("a tolerance is a student's", got=f"--tolerance {tolerance}", fix="add --student")
    words = [env.id.replace("/", "-"), Path(algo).stem, name or Path(reward).name or reward, f"seed{seed}"]
    words[3:3] = [f"kappa{kappa:g}"] if kappa else []
    folder = to or Path("runs") / "-".join(words)
    if not as_json:
        narrate("rmgym.runs.train")
    result = run(
        algo,
        env,
        _loaded(reward) if allow_remote else reward,
        out=folder,
        total_steps=steps,
        seed=seed,
        eval_every=eval_every,
        episodes=episodes,
        reward_name=name,
        when=when,  # type: ignore[arg-type]  # checked there
        student=None if not student else {} if tolerance is None else {"tolerance": tolerance},
        composition={"uncertainty_penalty": 0.0 - kappa},
        save_best=save_best,
        measure=named_measure(measure),
        resume=resume,
        verbose=0 if as_json else 1,
    )
    if as_json:
        print_json({**result.to_json(), "out": str(folder)})
    else:
        _report(result)


def _loaded(reward: str) -> str | RewardModel:
    """A folder's model, loaded although it sends texts to a server; what is none stays a name."""
    from rmgym.models.registry import load_reward_model

    return load_reward_model(reward, allow_remote=True) if Path(reward).exists() else reward


def _report(result: RunResult) -> None:
    final, best, random = result.final, result.best, result.random
    own = f" (measure {fmean(random.measured):.4g})" if random.measured else ""
    kept = f"kept, of step {best['steps']:,.0f}, on other episodes: {both_returns(best)}\n" if best else ""
    out.print(
        f"{both_returns(final)} "
        f"after {final['steps']:,.0f} steps at {result.outcome.steps_per_second:,.0f}/s; a random policy returns "
        f"{fmean(random.returns):.4g}{own}\n"
        f"{_unknown(result)}"
        f"{kept}run: {result.path}\nreport: rmgym report {result.path}",
        markup=False,
    )


def _unknown(result: RunResult) -> str:
    """A line where the environment's own reward says nothing of the agent."""
    returns = {*result.random.returns, *(row["true_return_mean"] for row in result.comparison)}
    if len(returns) > 1:
        return ""
    judge = "the measure does" if result.spec.measure else "name a measure of your own: --measure my_module:function"
    judge = f"success does; or {judge}" if result.random.success and not result.spec.measure else judge
    return f"every episode has the same true return, so that it says nothing of the agent; {judge}\n"
