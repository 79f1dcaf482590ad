"""Trying an environment: what passes, and what is said of what does not."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from typer.testing import CliRunner

from rmgym.cli.main import app
from rmgym.runs.check import check_environment
from tests.doubles import COUNTER, CounterEnv


class Broken(CounterEnv):
    """Its third step of all fails."""

    def step(self, action: Any) -> Any:
        self.taken = getattr(self, "taken", 0) + 1
        if self.taken == 3:
            raise ZeroDivisionError("the physics came apart")
        return super().step(action)


class Wide(CounterEnv):
    """Shows more numbers than anyone reads."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = gym.spaces.Box(-1, 1, (513,))


gym.register("Broken-v0", Broken)
gym.register("Wide-v0", Wide)


@pytest.mark.parametrize(
    ("env_id", "card", "algorithm"),
    [
        (COUNTER, None, "ppo"),
        ("Pendulum-v1", "Pendulum-v1.toml", "sac"),
        ("Blackjack-v1", "Blackjack-v1.toml", "ppo"),
        ("MiniGrid-Empty-5x5-v0", "MiniGrid-Empty-5x5-v0.toml", "ppo"),
    ],
)
def test_a_sound_environment_passes(env_id: str, card: str | None, algorithm: str) -> None:
    came = check_environment(env_id, steps=40, train_steps=200)
    assert (came.status, came.stage, came.reason) == ("passed", "train", "")
    assert (came.card, came.algorithm) == (card, algorithm)
    assert not any("unwrapped version" in warning for warning in came.warnings)


class Unfaithful(CounterEnv):
    """Counts in steps that four decimals do not show, from one; or, with ``zero=0``, from zero, where they are told."""

    def __init__(self, zero: float = 1.0) -> None:
        super().__init__()
        self.zero, self.observation_space = zero, gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)

    def _seen(self) -> np.ndarray:
        return self.zero + 1e-6 * self._obs.astype(np.float64)


gym.register("Unfaithful-v0", Unfaithful)


@pytest.mark.filterwarnings("ignore:.*infinity")
def test_steps_that_the_text_mixes_up_are_counted() -> None:
    came = check_environment("Unfaithful-v0", steps=25, train_steps=128)
    assert came.status == "passed"
    assert came.texts is not None
    assert came.texts.steps - came.texts.collisions <= 6, "three actions, two endings"
    assert any("different steps have the text of another one" in warning for warning in came.warnings)
    told = check_environment("Unfaithful-v0", env_kwargs={"zero": 0.0}, steps=25, train_steps=128)
    assert told.texts is not None
    assert told.texts.collisions == 0
    assert told.texts.steps == came.texts.steps > 10
    assert not any("text of another one" in warning for warning in told.warnings)


@pytest.mark.parametrize(
    ("env_id", "status", "stage", "reason"),
    [
        ("NoSuch-v0", "not made", "make", "registered with Gymnasium"),
        ("CarRacing-v3", "refused", "words", "CaptionWrapper"),
        ("Wide-v0", "refused", "words", "up to 512 numbers is put into words; received: 513 numbers"),
        ("Broken-v0", "failed", "steps", "ZeroDivisionError: the physics came apart"),
    ],
)
def test_what_does_not_pass_says_where_and_why(env_id: str, status: str, stage: str, reason: str) -> None:
    came = check_environment(env_id)
    assert (came.status, came.stage) == (status, stage)
    assert reason in came.reason
    assert "\n" not in came.reason


def test_on_the_command_line() -> None:
    run = CliRunner().invoke(app, ["envs", "CarRacing-v3", "--check", "--json"])
    assert run.exit_code == 1
    assert json.loads(run.stdout)["observation"] == "Box(96, 96, 3)"
    run = CliRunner().invoke(app, ["envs", "FrozenLake-v1", "--check"])
    assert run.exit_code == 0, run.output
    assert "passed" in run.stdout
