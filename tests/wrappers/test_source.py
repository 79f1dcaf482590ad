"""One reward source for all wrappers: a model's reward, or with ``true`` the environment's own and no model."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import rmgym
from rmgym.errors import ModelError
from rmgym.models import registry
from rmgym.models.controls import RandomReward
from rmgym.wrappers.source import RewardSource, digest_of, is_true, load, name_of
from tests.doubles import COUNTER, ToyReward


def test_the_control_true_has_no_model_and_a_fixed_version() -> None:
    source = RewardSource(gym.make("Pendulum-v1"), "true")
    steps = rmgym.collect("Pendulum-v1", 20, progress=False)
    rewards = source(steps, exact := steps.true_reward.astype(np.float64) / 3)
    assert source.model is None
    assert source.version == digest_of(source.loaded) == name_of(source.loaded) == "true"
    assert np.array_equal(rewards.learned, exact)
    assert np.array_equal(rewards.reward, exact)  # in the environment's own precision


def test_a_composition_weighs_the_control_true_as_it_does_a_model() -> None:
    source = RewardSource(gym.make("Pendulum-v1"), "true", composition={"learned_weight": 2.0, "clip": (-1.0, 1.0)})
    steps = rmgym.collect("Pendulum-v1", 20, progress=False)
    rewards = source(steps, steps.true_reward)
    assert rewards.reward == pytest.approx(2 * np.clip(steps.true_reward, -1, 1))
    assert np.array_equal(rewards.learned, steps.true_reward)


def test_a_model_takes_the_place_of_the_true_reward_and_the_other_way_round() -> None:
    source = RewardSource(gym.make(COUNTER), "true")
    source.exchange(model := ToyReward())
    assert (source.model, source.version) == (model, model.digest)
    source.exchange("true")
    assert source.model is None


def test_a_folder_of_that_name_is_not_the_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    RandomReward(seed=7).save("true")
    assert is_true("true")
    assert name_of(load(Path("true").absolute())) == "random"


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="has 'predict'"):
        load(object())  # type: ignore[arg-type]


def test_a_path_is_resolved_once_for_an_agent_and_its_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rmgym.runs.train import train
    from tests.sb3.small import PPO_SMALL

    RandomReward(seed=7).save(tmp_path / "model")
    read, read_manifest = list[object](), registry.read_manifest
    monkeypatch.setattr(registry, "read_manifest", lambda path: (read.append(path), read_manifest(path))[1])
    resolved, load_reward_model = list[object](), registry.load_reward_model

    def counted(path_or_id: object, **options: str) -> object:
        if isinstance(path_or_id, str | Path):
            resolved.append(path_or_id)
        return load_reward_model(path_or_id, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("rmgym.wrappers.source.load_reward_model", counted)
    train(
        "ppo", COUNTER, tmp_path / "model", out=tmp_path / "run", total_steps=96, eval_every=24, episodes=1,
        progress=False, hyperparameters=PPO_SMALL, n_envs=1,
    )  # fmt: skip
    assert len(resolved) == len(read) == 1
