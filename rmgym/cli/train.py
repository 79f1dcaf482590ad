"""``rmgym train``: an agent on a reward model, watched with both rewards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmgym.cli.output import AsJson, err, out, parse_json_option, print_json
from rmgym.errors import ModelError

if TYPE_CHECKING:
    from rmgym.harness.train import RunResult


def train(
    env: Annotated[str, typer.Argument(help="Environment id, such as Pendulum-v1.")],
    reward: Annotated[
        str, typer.Option(help="A reward model's folder, hub id or URL, or a control: true, random, ...")
    ],
    algo: Annotated[str, typer.Option(help="Agent card: a name ('rmgym agents') or a file.")] = "ppo",
    to: Annotated[
        Path | None, typer.Option("--out", help="The run's folder; by default runs/ENV-ALGO-REWARD-seedK.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What reports call this reward.")] = None,
    steps: Annotated[int | None, typer.Option(help="Environment steps; by default the agent card's.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn in training.")] = 0,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations; by default a tenth.")] = None,
    episodes: Annotated[int, typer.Option(help="Held-out episodes of each evaluation.")] = 10,
    card: Annotated[Path | None, typer.Option(help="Environment card to use instead of the installed one.")] = None,
    env_kwargs: Annotated[str | None, typer.Option(help="Arguments of the environment, a JSON object.")] = None,
    fixed_horizon: Annotated[
        int | None, typer.Option(help="Let every training episode last so many steps, so that its length says nothing.")
    ] = None,
    when: Annotated[
        str,
        typer.Option(help="Score a whole 'rollout', every 'step', or 'amortised': through a student of a slow model."),
    ] = "rollout",
    tolerance: Annotated[
        float | None, typer.Option(help="Largest error of that student, in standard deviations of the reward (0.1).")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="What computes fusion heads: eager, compile, onnx, openvino, or auto: the fastest here.")
    ] = "eager",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train an agent on a reward model; watch learned and true return.

    The agent sees only the reward named by --reward. Every evaluation plays held-out episodes of the true environment
    and writes both returns and their agreement to comparison.csv and TensorBoard.
    """
    from rmgym.harness.train import train as run

    kwargs = parse_json_option("--env-kwargs", env_kwargs)
    words = [env.replace("/", "-"), Path(algo).stem, name or Path(reward).name or reward, f"seed{seed}"]
    folder = to or Path("runs") / "-".join(words)
    if not as_json:
        err.print(f"{algo} on {env}, reward {reward}; TensorBoard: tensorboard --logdir {folder}", markup=False)
    if backend != "eager":
        _use(backend, reward, env, kwargs, card)
    result = run(
        algo,
        env,
        reward,
        out=folder,
        total_steps=steps,
        seed=seed,
        eval_every=eval_every,
        episodes=episodes,
        env_kwargs=kwargs,
        card=card,
        fixed_horizon=fixed_horizon,
        reward_name=name,
        when=when,  # type: ignore[arg-type]  # checked there
        tolerance=tolerance,
        resume=resume,
        verbose=0 if as_json else 1,
    )
    if as_json:
        print_json({**result.run, "out": str(folder), "comparison": result.comparison})
    else:
        _report(result)


def _use(backend: str, reward: str, env: str, env_kwargs: dict[str, Any], card: Path | None) -> None:
    """Try backends on random steps, on the one thread that training has, and say which one it is."""
    from rmgym.harness.collect import collect, make_env
    from rmgym.harness.threads import torch_threads
    from rmgym.models.language_model import LanguageModelReward
    from rmgym.models.registry import load_reward_model
    from rmgym.scoring.backends import choose_backend
    from rmgym.text import textualizer

    model = load_reward_model(reward)  # the one that training will load: models are loaded once
    if not isinstance(model, LanguageModelReward):
        raise ModelError("a backend is for late fusion on a language model", got=model.name, fix="leave --backend out")
    made = make_env(env, env_kwargs)
    texts = textualizer(made, card=card).batch(collect(env, 256, env_kwargs=env_kwargs, progress=False))
    made.close()
    with torch_threads(1):
        err.print(str(choose_backend(model, texts, backend)), markup=False)


def _report(result: RunResult) -> None:
    final, run = result.final, result.run
    out.print(
        f"true return {final['true_return_mean']:.4g} ± {final['true_return_std']:.3g}, learned return "
        f"{final['learned_return_mean']:.4g} ± {final['learned_return_std']:.3g}, Spearman {final['spearman']:.3f} "
        f"after {final['steps']:,.0f} steps at {run['steps_per_second']:,.0f}/s\n"
        f"run: {result.path}\nreport: rmgym report {result.path}",
        markup=False,
    )
