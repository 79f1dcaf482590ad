"""Runs: their folder, and that being killed changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from rmgym.errors import FeedbackError, JobError, RunError, StorageError, UnseenStepsWarning
from rmgym.evaluation.log import COLUMNS, ComparisonLog
from rmgym.evaluation.random_policy import play_at_random
from rmgym.models.controls import RandomReward
from rmgym.runs.record import read_run
from rmgym.runs.train import RunResult, train
from rmgym.sb3 import evaluate, load_agent
from rmgym.sb3.checkpoints import Checkpoints, latest_checkpoint
from rmgym.sb3.saving import read_saved
from rmgym.specs import EnvSpec, RunSpec
from rmgym.storage.atomic import replacing
from tests.doubles import COUNTER, ToyReward
from tests.sb3.small import SMALL, parameters
from tests.training.small import SmallReward

PENDULUM: dict[str, Any] = {
    "algo": "ppo",
    "env_id": "Pendulum-v1",
    "env_kwargs": {"max_episode_steps": 30},
    "n_envs": 2,
    "total_steps": 1_000,
    "eval_every": 300,
    "episodes": 2,
    "progress": False,
    "hyperparameters": {**SMALL["ppo"], "use_sde": True, "sde_sample_freq": -1},
}
CARTPOLE: dict[str, Any] = {
    **PENDULUM,
    "algo": "dqn",
    "env_id": "CartPole-v1",
    "n_envs": 1,
    "hyperparameters": SMALL["dqn"],
}


def test_a_run_records_that_its_model_never_saw_the_absorbing_state(tmp_path: Path) -> None:
    model = SmallReward.create(numbers=8)
    model.fitted_on = {"absorbing": False}
    short = {
        **PENDULUM,
        "env_id": "CartPole-v1",
        "env_kwargs": None,
        "total_steps": 64,
        "eval_every": 64,
        "episodes": 1,
    }
    short["hyperparameters"] = SMALL["ppo"]
    with pytest.warns(UnseenStepsWarning, match="no step of the absorbing state"):
        result = train(reward_model=model, out=tmp_path / "run", fixed_horizon=40, **short)
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())["result"]["unseen_absorbing"]
    assert recorded == result.outcome.unseen_absorbing
    assert "no step of the absorbing state" in recorded


def final(folder: Path, model: Any = None) -> np.ndarray:
    return parameters(load_agent(folder / "agent.zip", model))


def told(rows: list[dict[str, float]]) -> list[dict[str, str]]:
    """Rows without the time they took, as text: NaN equals NaN."""
    return [{key: repr(float(value)) for key, value in row.items() if key != "wall_seconds"} for row in rows]


def kill_after_checkpoint(settings: dict[str, Any], folder: Path) -> int:
    """Run in another process, kill -9 it after its first checkpoint; returns the steps of the last one."""
    code = f"from rmgym.runs.train import train; train(reward_model='random', out={str(folder)!r}, **{settings!r})"
    with (folder.parent / "log.txt").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 120
            while latest_checkpoint(folder) is None and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    checkpoint = latest_checkpoint(folder)
    assert checkpoint is not None, (folder.parent / "log.txt").read_text()
    return int(checkpoint.name.partition("-")[2])


@pytest.mark.parametrize("settings", [PENDULUM, CARTPOLE], ids=["ppo", "dqn"])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(settings: dict[str, Any], tmp_path: Path) -> None:
    whole = train(reward_model="random", out=tmp_path / "whole", **settings)
    steps = kill_after_checkpoint(settings, tmp_path / "killed")
    assert 0 < steps < 1_000
    assert json.loads((tmp_path / "killed" / "run.json").read_text())["status"] == "running"
    resumed = train(reward_model="random", out=tmp_path / "killed", resume=True, **settings)
    assert np.array_equal(final(whole.path), final(resumed.path))
    assert told(resumed.comparison) == told(whole.comparison)
    assert json.loads((tmp_path / "killed" / "run.json").read_text())["status"] == "done"


class Dies(ToyReward):
    """The same rewards, until it is asked once too often: then the process is 'interrupted'."""

    def predict(self, texts: Any) -> Any:
        if len(self.calls) == 30:
            raise KeyboardInterrupt
        return super().predict(texts)


@pytest.mark.parametrize(
    ("algo", "env_id", "calls", "hyperparameters"),
    [
        ("ppo", "MountainCar-v0", 8, {}),  # normalised observations
        ("dqn", "CartPole-v1", 24, {"n_steps": 3}),  # returns over several steps must not cross the reset
    ],
)
def test_an_interrupted_run_goes_on(
    algo: str, env_id: str, calls: int, hyperparameters: dict[str, Any], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        **PENDULUM, "algo": algo, "env_id": env_id, "hyperparameters": {**SMALL[algo], **hyperparameters}
    }  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        train(reward_model=Dies(calls=[0] * (30 - calls)), out=tmp_path / "broken", checkpoint_every=250, **settings)
    assert latest_checkpoint(tmp_path / "broken") is not None
    model = ToyReward()
    resumed = train(reward_model=model, out=tmp_path / "broken", checkpoint_every=250, resume=True, **settings)
    whole = train(reward_model=ToyReward(), out=tmp_path / "whole", checkpoint_every=250, **settings)
    assert np.array_equal(final(resumed.path, model), final(whole.path, model))
    assert told(resumed.comparison) == told(whole.comparison)


def test_what_was_said_of_a_survival_bonus_is_kept_by_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**CARTPOLE, "total_steps": 384, "eval_every": 64, "checkpoint_every": 128}
    judged: list[int] = []

    def only_at_first(steps: Any, learned_reward: Any) -> str | None:
        judged.append(len(steps))
        return "surviving pays" if len(judged) == 1 else None

    save = Checkpoints.save

    def save_and_die(self: Checkpoints) -> None:
        save(self)
        raise KeyboardInterrupt

    monkeypatch.setattr("rmgym.sb3.callbacks.survival_bonus", only_at_first)
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            train(reward_model="random", out=tmp_path, **settings)
    before = len(judged)
    resumed = train(reward_model="random", out=tmp_path, resume=True, **settings)
    assert before >= 1
    assert resumed.outcome.survival_bonus == "surviving pays"
    assert len(judged) == before, "it is said once"


def test_checkpoints_that_a_kill_at_the_end_left_go_with_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("rmgym.runs.train.remove_checkpoints", killed)
        with pytest.raises(KeyboardInterrupt):
            train(reward_model="random", out=tmp_path, **{**CARTPOLE, "total_steps": 400})
    assert read_run(tmp_path).outcome is not None
    assert latest_checkpoint(tmp_path) is not None
    train(reward_model="random", out=tmp_path, resume=True, **{**CARTPOLE, "total_steps": 400})
    assert not list(tmp_path.glob("*checkpoint-*"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    where = RandomReward(seed=4).save(tmp_path_factory.mktemp("model"))
    threads = torch.get_num_threads()
    made = train("dqn", COUNTER, where, out=tmp_path_factory.mktemp("runs") / "run", **TINY)
    assert torch.get_num_threads() == threads
    return made


TINY: dict[str, Any] = {
    "total_steps": 200,
    "episodes": 3,
    "progress": False,
    "hyperparameters": SMALL["dqn"],
    "seed": 7,
    "reward_name": "noise",
}


def test_the_folder_of_a_run(run: RunResult) -> None:
    record = json.loads((run.path / "run.json").read_text())
    agent = record["settings"]["agent"]
    assert RunSpec.from_json(record["settings"], "run.json").settings() == run.spec.settings() == record["settings"]
    assert (agent["env"]["id"], agent["env"]["kwargs"], agent["algo"], agent["seed"]) == (COUNTER, {}, "dqn", 7)
    assert (agent["total_steps"], record["settings"]["reward_name"], record["status"]) == (200, "noise", "done")
    assert agent["reward"]["digest"] == RandomReward(seed=4).digest
    result = record["result"]
    assert result == run.outcome.to_json()
    assert result["steps_per_second"] == pytest.approx(run.final["steps"] / result["wall_seconds"])
    rows = ComparisonLog(run.path).rows()
    assert tuple(rows[0]) == COLUMNS
    assert [row["steps"] for row in rows] == [*range(20, 201, 20), 208]  # DQN trains in blocks of 16
    assert rows[-1] == run.final == result["final"]
    found = evaluate(load_agent(run.path / "agent.zip"), COUNTER, RandomReward(seed=4), episodes=3)
    assert run.final["true_return_mean"] == found.row()["true_return_mean"]
    assert list(run.path.glob("tensorboard/DQN_1/events*"))
    assert not list(run.path.glob("*checkpoint*"))


def test_a_random_policy_is_played_at_the_beginning(run: RunResult, tmp_path: Path) -> None:
    record = json.loads((run.path / "run.json").read_text())
    expected = play_at_random(EnvSpec(id=COUNTER), Discrete(3), episodes=3, action_seed=7)
    assert run.random == expected
    assert record["notes"] == {"random_policy": json.loads(json.dumps(expected.to_json()))}
    with pytest.raises(KeyboardInterrupt):
        train("dqn", COUNTER, Dies(calls=[0] * 29), out=tmp_path / "run", **TINY)
    begun = read_run(tmp_path / "run")
    assert (begun.status, begun.random) == ("running", expected)


def test_the_record_says_what_the_reward_knows(run: RunResult) -> None:
    reward = json.loads((run.path / "run.json").read_text())["settings"]["agent"]["reward"]
    assert (reward["name"], reward["kind"], reward["labels"]) == ("random", "control", 0)  # whatever it is called


def test_a_finished_run_is_returned_as_it_is(run: RunResult) -> None:
    where = read_saved(run.path / "agent.zip").spec.reward.model
    before = (run.path / "agent.zip").stat().st_mtime_ns
    again = train("dqn", COUNTER, where, out=run.path, resume=True, **TINY)
    assert (again.outcome, again.comparison, again.spec.settings()) == (
        run.outcome,
        run.comparison,
        run.spec.settings(),
    )
    assert (run.path / "agent.zip").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 8}, "seed: 7 -> 8"),
        ({"episodes": 4, "language": "zh"}, "agent.env.language: 'en' -> 'zh'; .*episodes: 3 -> 4"),
        ({"hyperparameters": {**SMALL["dqn"], "gamma": 0.5}}, "hyperparameters"),
        ({"reward_model": "constant"}, "reward.digest"),
        ({"resume": False}, "resume=True"),
    ],
)
def test_another_run_has_another_folder(run: RunResult, change: dict[str, Any], said: str) -> None:
    where = read_saved(run.path / "agent.zip").spec.reward.model
    call = {"reward_model": where, "resume": True, **TINY, **change}
    with pytest.raises(JobError, match=said):
        train("dqn", COUNTER, out=run.path, **call)


def test_what_is_not_a_number_is_null_in_json(tmp_path: Path) -> None:
    done = train("dqn", COUNTER, "constant", out=tmp_path / "run", **{**TINY, "total_steps": 32})
    assert np.isnan(done.final["spearman"])
    assert done.outcome.final["spearman"] is None
    json.loads((tmp_path / "run" / "run.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_file_is_old_or_new(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")

    def fill_the_disk() -> None:
        with replacing(file) as target:
            target.write(b"half")
            raise OSError(28, os.strerror(28))

    with pytest.raises(StorageError, match="intact"):
        fill_the_disk()
    assert file.read_text() == "old"
    with replacing(file) as target:
        target.write(b"new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_steps_and_folder_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="total_steps=1"):
        train("dqn", COUNTER, "constant", out=tmp_path, **{**TINY, "total_steps": 0})
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(JobError, match="record of a run"):
        train("dqn", COUNTER, "constant", out=tmp_path, resume=True, **TINY)


def test_a_card_edited_since_is_another_run(tmp_path: Path) -> None:
    card = tmp_path / "card.toml"
    text = (Path(__file__).parents[2] / "envs" / "CartPole-v1.toml").read_text(encoding="utf-8")
    card.write_text(text, encoding="utf-8")
    call: dict[str, Any] = {"out": tmp_path / "run", "card": card, **TINY}
    train("dqn", "CartPole-v1", "constant", **call)
    assert train("dqn", "CartPole-v1", "constant", resume=True, **call).spec.card_hash is not None
    card.write_text(text.replace("cart position", "trolley position"), encoding="utf-8")
    with pytest.raises(JobError, match="card_hash"):
        train("dqn", "CartPole-v1", "constant", resume=True, **call)


def torque(steps: Any) -> Any:
    return np.abs(steps.action[:, 0])


def test_episodes_are_measured_by_a_function_too(tmp_path: Path) -> None:
    result = train(**PENDULUM, reward_model="constant", out=tmp_path / "run", measure=torque, save_best="true")
    agent = load_agent(tmp_path / "run" / "agent.zip")
    played = evaluate(agent, None, "constant", episodes=2).steps
    returns = np.bincount(played.episode, torque(played))
    assert result.final["measure_mean"] == pytest.approx(returns.mean())
    assert result.final["measure_std"] == pytest.approx(returns.std())
    assert result.best["measure_mean"] != result.final["measure_mean"], "on other episodes"
    assert len(result.random.measured) == 2
    assert 0 < min(result.random.measured) < max(result.random.measured) < 60
    run = read_run(tmp_path / "run")
    assert run.spec.measure is not None
    assert run.spec.measure.startswith("tests.runs.test_train:torque@")
    assert run.curve["measure_mean"].tolist() == [row["measure_mean"] for row in result.comparison]
    with pytest.raises(JobError, match="measure"):
        train(**PENDULUM, reward_model="constant", out=tmp_path / "run", save_best="true", resume=True)
    plain = train(**PENDULUM, reward_model="constant", out=tmp_path / "plain", save_best="true")
    assert "measure_mean" not in plain.final
    assert plain.final["true_return_mean"] == result.final["true_return_mean"], "it changes nothing"
    assert "measure" not in json.loads((tmp_path / "plain" / "run.json").read_text(encoding="utf-8"))["settings"]


def test_a_measure_that_fails_at_once_trains_nothing(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="a finite number for every step"):
        train(**PENDULUM, reward_model="constant", out=tmp_path / "run", measure=lambda steps: steps.step * np.nan)
    assert not (tmp_path / "run" / "comparison.csv").exists()


def test_a_measure_that_fails_later_costs_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls = list[int]()

    def fading(steps: Any) -> Any:
        calls.append(1)
        return np.ones(len(steps)) if len(calls) < 3 else np.full(len(steps), np.nan)

    result = train(**PENDULUM, reward_model="constant", out=tmp_path / "run", measure=fading)
    measured = [row["measure_mean"] for row in result.comparison]
    assert measured[0] == 30
    assert np.isnan(measured[1:]).all()
    assert "there is no measure" in caplog.text
    assert result.outcome.final["measure_mean"] is None


class Won(gym.Wrapper[Any, Any, Any, Any]):
    """CartPole whose info calls an episode a success once it has lasted ten steps."""

    steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.steps = 0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.steps += 1
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward, terminated, truncated, {**info, "is_success": self.steps >= 10}


def won(**kwargs: Any) -> gym.Env[Any, Any]:
    return Won(gym.make("CartPole-v1", **kwargs))


gym.register("rmgym-test/Won-v0", f"{__name__}:won")


def test_success_and_held_out_labels_stand_in_the_record(tmp_path: Path) -> None:
    model = SmallReward.create(numbers=9)
    scores = {"labels": 7, "r2": 0.5, "accuracy": None}
    model.fitted_on = {"absorbing": True, "metrics": {"train": None, "validation": scores}}
    settings = {**PENDULUM, "env_id": "rmgym-test/Won-v0", "env_kwargs": None, "hyperparameters": SMALL["ppo"]}
    settings |= {"total_steps": 64, "eval_every": 32, "episodes": 4}
    result = train(reward_model=model, out=tmp_path / "run", **settings)
    run = read_run(tmp_path / "run")
    assert run.outcome is not None
    assert run.outcome.held_out == scores
    # A step is worth 1, so that a return is a length.
    assert result.random.success == tuple(float(length >= 10) for length in result.random.returns)
    rates = run.curve["success_rate"]
    assert len(rates) == len(run.curve["steps"])
    assert result.final["success_rate"] == rates[-1]
    played = evaluate(load_agent(tmp_path / "run" / "agent.zip", model), None, model, episodes=4)
    assert rates[-1] == np.mean(played.length >= 10)
