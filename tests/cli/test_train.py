"""``rmgym train`` with real training."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from rmgym.cli.main import app
from rmgym.composition import Composition
from rmgym.evaluation.evaluate import EVALUATION_SEED
from rmgym.models import create_reward_model
from rmgym.runs.record import read_run
from rmgym.sb3 import evaluate, load_agent


def test_trains_watches_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ["train", "CartPole-v1", "--reward", "constant", "--steps", "512", "--eval-every", "256"]
    arguments += ["--episodes", "2", "--seed", "3", "--name", "alive", "--out", str(folder)]
    first = CliRunner().invoke(app, [*arguments, "--json"])
    assert first.exit_code == 0, first.output
    said = json.loads(first.stdout)
    run = read_run(folder)
    assert (run.task, run.algo, run.reward, run.seed, run.status) == ("CartPole-v1", "ppo", "alive", 3, "done")
    assert run.curve["steps"].tolist() == [row["steps"] for row in said["comparison"]]
    # one per step, from the environment and from the model alike
    assert run.last("true_return_mean") == run.last("learned_return_mean") > 0
    assert said["comparison"][-1]["spearman"] is None

    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2
    assert "a run has a folder of its own" in again.stderr
    resumed = CliRunner().invoke(app, [*arguments, "--resume"])
    assert resumed.exit_code == 0
    assert "true return" in resumed.stdout
    anew = CliRunner().invoke(app, [*arguments[:-1], str(tmp_path / "anew")])
    assert anew.stderr.startswith("ppo on CartPole-v1, reward alive; TensorBoard: tensorboard --logdir ")
    lines = [line for line in anew.stdout.splitlines() if "steps  true" in line]
    assert [int(line.split()[0].replace(",", "")) for line in lines] == [row["steps"] for row in said["comparison"]]


def test_standard_deviations_are_added_to_the_reward(tmp_path: Path) -> None:
    model = create_reward_model("no-lm", width=8, heads=3, roles=8).accept_random_weights().save(tmp_path / "model")
    arguments = ["train", "CartPole-v1", "--reward", str(model), "--steps", "256", "--episodes", "1"]
    arguments += ["--out", str(tmp_path / "run")]
    ran = CliRunner().invoke(app, [*arguments, "--kappa", "-0.5"])
    assert ran.exit_code == 0, ran.output
    assert read_run(tmp_path / "run").spec.agent.reward.composition == Composition(uncertainty_penalty=0.5)
    refused = CliRunner().invoke(app, [*arguments, "--resume"])
    assert refused.exit_code == 2
    assert "composition" in refused.stderr


def test_the_best_agent_is_kept_and_judged_on_other_episodes(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ["train", "CartPole-v1", "--reward", "random", "--steps", "1024", "--eval-every", "256"]
    result = CliRunner().invoke(app, [*arguments, "--episodes", "2", "--save-best", "learned", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    run = read_run(folder)
    assert run.outcome is not None
    best = run.outcome.best
    assert best is not None
    assert best["steps"] == run.curve["steps"][run.curve["learned_return_mean"].argmax()]
    agent = load_agent(folder / "best_learned.zip")
    assert agent.num_timesteps == best["steps"]
    played = evaluate(agent, None, "random", episodes=10, seed=EVALUATION_SEED + 2)
    assert best["true_return_mean"] == played.true_return.mean()
    assert f"kept, of step {best['steps']:,.0f}, on other episodes: true return {best['true_return_mean']:.4g}" in (
        " ".join(result.stdout.split())
    )


def test_an_unknown_reward_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    arguments = ["train", "CartPole-v1", "--reward", "constnt", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: a reward is the folder of a fitted model, a hub id")
    assert "did you mean 'constant'?" in result.stderr
    assert not (tmp_path / "run").exists()
