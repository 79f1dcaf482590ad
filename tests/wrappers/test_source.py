"""One reward source for all wrappers: a model's reward, or with ``true`` the environment's own and no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO

import rmgym
from rmgym.errors import ConstantUncertaintyWarning, ModelError
from rmgym.models import registry
from rmgym.models.controls import RandomReward
from rmgym.serving.server import score_app
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


@pytest.fixture(scope="module")
def unfitted() -> Any:
    return rmgym.create_reward_model("minilm", width=16, roles=8)


def test_a_model_that_was_never_fitted_rewards_nothing(unfitted: Any, tmp_path: Path) -> None:
    agent = PPO("MlpPolicy", gym.make("CartPole-v1"), n_steps=16, batch_size=16)
    env, buffer = agent.env, agent.rollout_buffer
    vector = gym.make_vec("CartPole-v1", 1)
    texts = rmgym.textualizer("CartPole-v1").batch(rmgym.collect("CartPole-v1", 10, progress=False))
    cached = rmgym.CachedReward(unfitted, tmp_path / "scores.sqlite")
    for attempt in (
        lambda: rmgym.LearnedRewardWrapper(gym.make("CartPole-v1"), unfitted),
        lambda: rmgym.LearnedRewardWrapper(gym.make("CartPole-v1"), unfitted.save(tmp_path / "model")),
        lambda: rmgym.LearnedRewardWrapper(gym.make("CartPole-v1"), cached),
        lambda: rmgym.LearnedRewardVectorWrapper(vector, unfitted),
        lambda: rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=unfitted),
        lambda: rmgym.sb3.score_rollouts(agent, unfitted),
        lambda: rmgym.sb3.evaluate(agent, "CartPole-v1", unfitted, episodes=1),
        lambda: rmgym.distil(unfitted, texts, progress=False),
        lambda: score_app(unfitted),
    ):
        with pytest.raises(ModelError, match="fitted before it rewards anything") as refused:
            attempt()
        assert "rmgym.fit" in refused.value.fix
    assert (agent.env, agent.rollout_buffer) == (env, buffer), "a refused agent is as it was"


def test_random_weights_are_accepted_on_purpose_and_remembered(tmp_path: Path) -> None:
    model: Any = rmgym.create_reward_model("minilm", width=16, roles=8)
    digest = model.digest
    assert load(model.accept_random_weights()) is model
    assert model.digest == digest
    loaded = rmgym.load_reward_model(model.save(tmp_path / "model"))
    assert load(loaded) is loaded
    assert "random weights" in loaded.describe()["fitted_on"]["nothing"]


def test_a_penalty_that_shifts_all_rewards_alike_is_told_once() -> None:
    steps = rmgym.collect(COUNTER, 100, progress=False)
    penalty = {"uncertainty_penalty": 2.0}
    source = RewardSource(gym.make(COUNTER), ToyReward(std=0.25), composition=penalty)

    def step_by_step() -> None:
        for row in range(100):
            source(steps[row : row + 1], [0.0])

    with pytest.warns(ConstantUncertaintyWarning, match=r"=-2 takes the same, -0\.5"):
        RewardSource(gym.make(COUNTER), ToyReward(std=0.25), composition={"uncertainty_penalty": -2.0})(
            steps, np.zeros(100)
        )
    with pytest.warns(ConstantUncertaintyWarning, match=r"=2 takes the same, 0\.5, from every reward") as told:
        step_by_step()
    assert len(told) == 1

    ensemble: Any = rmgym.create_reward_model("ensemble", heads=2, width=16, roles=8)
    source = RewardSource(gym.make(COUNTER), ensemble.accept_random_weights(), composition=penalty)
    source(steps, np.zeros(100))  # a warning is an error here


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
