"""Agents from cards: what they are made of, what they remember, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from rmgym.errors import CardError, ModelError, RunError
from rmgym.models.controls import ConstantReward, RandomReward
from rmgym.sb3 import (
    LearnedRewardVecEnv,
    evaluate,
    exchange_reward_model,
    load_agent,
    make_agent,
    save_agent,
    score_rollouts,
)
from rmgym.sb3.deferred import learned_env
from rmgym.sb3.spec import spec_of
from rmgym.text import textualizer
from tests.doubles import COUNTER, ToyReward
from tests.hostile import IN_THE_WAY, put_in_the_way
from tests.sb3.small import DQN_SMALL, PPO_SMALL, SMALL, parameters

CARD = """
name = "mine"
algorithm = "stable_baselines3.PPO"
n_envs = 3
total_steps = 500
[hyperparameters]
n_steps = 24
batch_size = 24
clip_range = "linear:0.4"
policy_kwargs = { net_arch = { pi = [4], vf = [5] }, activation_fn = "relu" }
[[environment]]
id = "Pendulum*"
source = "a test"
n_envs = 2
normalize = true
[environment.hyperparameters]
learning_rate = "linear:0.01"
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(CARD)
    return file


def test_a_card_and_its_override_and_the_call_are_combined(card: Path) -> None:
    agent: Any = make_agent(card, "Pendulum-v1", reward_model="constant", n_epochs=1)
    assert isinstance(agent, PPO)
    assert (agent.n_envs, agent.n_steps, agent.n_epochs, agent.batch_size) == (2, 24, 1, 24)
    assert [agent.lr_schedule(left) for left in (1.0, 0.5, 0.0)] == pytest.approx([0.01, 0.005, 0.0])
    assert agent.clip_range(0.5) == pytest.approx(0.2)
    assert agent.policy.mlp_extractor.policy_net[0].out_features == 4
    assert agent.policy.mlp_extractor.value_net[0].out_features == 5
    assert isinstance(agent.policy.mlp_extractor.policy_net[1], nn.ReLU)
    assert isinstance(agent.env, VecNormalize)
    assert not agent.env.norm_reward
    assert isinstance(agent.env.venv, LearnedRewardVecEnv)
    assert agent.rmgym["total_steps"] == 500
    other: Any = make_agent(card, COUNTER, reward_model="constant", n_envs=1, batch_size=12, total_steps=9)
    assert (other.n_envs, other.batch_size, other.rmgym["total_steps"]) == (1, 12, 9)
    assert isinstance(other.env, LearnedRewardVecEnv)


def test_installed_cards_make_agents() -> None:
    ppo: Any = make_agent("ppo", "CartPole-v1", reward_model="constant")
    dqn: Any = make_agent("dqn", "CartPole-v1", reward_model="constant")
    assert isinstance(ppo, PPO)
    assert ppo.clip_range(0.5) == pytest.approx(0.1)
    assert isinstance(dqn, DQN)
    assert (dqn.train_freq.frequency, dqn.gradient_steps) == (256, 128)


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_monitor_is_inside(algo: str) -> None:
    """SB3's own ``ep_rew_mean`` is the true return: here always 1 per step, while the learned one is 7."""
    agent = make_agent(algo, "CartPole-v1", reward_model=ConstantReward(7.0), n_envs=1, **SMALL[algo]).learn(96)
    assert agent.ep_info_buffer
    assert all(info["r"] == info["l"] for info in agent.ep_info_buffer)


def test_the_true_reward_passes_through() -> None:
    told: dict[str, Any] = {**PPO_SMALL, "use_sde": True, "sde_sample_freq": 4}
    ours = make_agent("ppo", "Pendulum-v1", reward_model="true", seed=5, n_envs=2, **told).learn(96)
    card = ours.rmgym["hyperparameters"]  # type: ignore[attr-defined]
    plain = PPO("MlpPolicy", make_vec_env("Pendulum-v1", 2, seed=5), seed=5, device="cpu", **card).learn(96)
    assert np.array_equal(parameters(ours), parameters(plain))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        ({"learning_rat": 1}, RunError, "learning_rate"),
        ({"policy_kwargs": {"net_arc": [4]}}, RunError, "net_arch"),
        ({"policy_kwargs": {"activation_fn": "rleu"}}, CardError, "relu"),
        ({"learning_rate": "linear:fast"}, CardError, "linear:1e-3"),
        ({"learning_rate": "fast"}, RunError, "'learning_rate' of PPO is a number"),
        ({"gamma": {}}, RunError, r"'gamma' of PPO is a number(?s:.)*0\.99"),
        ({"n_steps": [1]}, RunError, "'n_steps' of PPO is a number"),
        ({"n_steps": 10**13}, RunError, "can be built"),
        ({"rollout_buffer_class": int}, RunError, "when="),
        ({"env_id": "CartPole-v9"}, RunError, "CartPole-v1"),
        ({"env_id": "CratPole-v1"}, RunError, "CartPole-v1"),
        ({"algo": "pppo"}, CardError, "ppo"),
        ({"algo": "dqn", "env_id": "Pendulum-v1"}, RunError, "action space"),
        ({"n_envs": 0}, RunError, "n_envs=1"),
        ({"env_kwargs": {"gravitty": 1}}, RunError, "gravitty"),
        ({"env_kwargs": {"x": object()}}, RunError, "JSON"),
        ({"reward_model": "no/such/model"}, ModelError, "rmgym fit"),
        ({"composition": {"clipp": 1}}, RunError, "clip"),
        ({"when": "later"}, RunError, "'rollout'"),
    ],
)
def test_bad_input(call: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        make_agent(**{"algo": "ppo", "env_id": "CartPole-v1", "reward_model": "constant", **call})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("batch_size", "batchsize", r"mine.toml: PPO has no hyperparameter 'batchsize'(.|\n)*batch_size"),
        ("learning_rate", "learning_rates", r"mine.toml \(environment 'Pendulum\*'\)(.|\n)*learning_rate"),
        ("stable_baselines3.PPO", "stable_baselines3.PPPO", "PPO"),
        ('algorithm = "stable', 'policy = "MlpPolic"\nalgorithm = "stable', "MlpPolicy"),
        ("n_steps = 24", "n_steps = 24\nseed = 1", "seed="),
    ],
)
def test_a_wrong_card_names_file_and_key(card: Path, old: str, new: str, said: str) -> None:
    card.write_text(CARD.replace(old, new))
    with pytest.raises(CardError, match=said):
        make_agent(card, "Pendulum-v1", reward_model="constant")


def test_cells_are_not_normalised(card: Path) -> None:
    card.write_text(CARD.replace("Pendulum*", "FrozenLake*"))
    with pytest.raises(RunError, match="normalize = false"):
        make_agent(card, "FrozenLake-v1", reward_model="constant")


def test_a_saved_agent_remembers_its_reward_model(tmp_path: Path) -> None:
    where = ConstantReward(2.0).save(tmp_path / "model")
    agent = make_agent("ppo", "MountainCar-v0", reward_model=where, n_envs=2, **PPO_SMALL).learn(96)
    path = save_agent(agent, tmp_path / "agent.zip")
    loaded = load_agent(path)
    assert loaded.rmgym == agent.rmgym  # type: ignore[attr-defined]
    assert loaded.rmgym["reward"]["digest"] == ConstantReward(2.0).digest  # type: ignore[attr-defined]
    assert json.dumps(loaded.rmgym)  # type: ignore[attr-defined]
    mine, theirs = agent.get_vec_normalize_env(), loaded.get_vec_normalize_env()
    assert mine is not None
    assert theirs is not None
    assert np.array_equal(mine.obs_rms.mean, theirs.obs_rms.mean)  # type: ignore[union-attr]
    before, after = (evaluate(a, "MountainCar-v0", where, episodes=2) for a in (agent, loaded))
    assert np.array_equal(before.steps.obs, after.steps.obs)
    loaded.learn(96)
    assert (loaded.rollout_buffer.learned_rewards == 2.0).all()  # type: ignore[attr-defined]
    with pytest.raises(RunError, match="another reward model"):
        load_agent(path, ConstantReward(3.0))
    agent.learn(96, reset_num_timesteps=False).save(tmp_path / "plain.zip")  # statistics of before are not those of now
    with pytest.raises(RunError, match="save_agent"):
        load_agent(tmp_path / "plain.zip")


def test_a_model_given_as_an_object_is_asked_for(tmp_path: Path) -> None:
    agent = make_agent("dqn", COUNTER, reward_model=ToyReward(), **DQN_SMALL)
    path = save_agent(agent, tmp_path / "agent.zip")
    with pytest.raises(RunError, match="pass reward_model="):
        load_agent(path)
    assert load_agent(path, ToyReward()).learn(60).num_timesteps == 64


def test_what_is_not_a_saved_agent(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no")
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu").save(tmp_path / "plain.zip")
    for name, said in (("text.zip", "zip"), ("missing.zip", "zip"), ("plain.zip", "score_rollouts")):
        with pytest.raises(RunError, match=said):
            load_agent(tmp_path / name)


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_a_saved_agent_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    put_in_the_way(tmp_path / "agent.zip", kind)
    with pytest.raises(RunError, match="a zip that Stable-Baselines3 wrote"):
        load_agent(tmp_path / "agent.zip")


@pytest.mark.parametrize("normalized", [False, True])
def test_score_rollouts_on_an_agent_of_your_own(normalized: bool) -> None:
    def agent(env: Any) -> Any:
        env = VecNormalize(env, norm_reward=False) if normalized else env
        return PPO("MlpPolicy", env, n_steps=32, batch_size=32, n_epochs=2, seed=2, device="cpu")

    deferred = agent(make_vec_env("Pendulum-v1", 2))
    score_rollouts(deferred, ToyReward())
    deferred.learn(128)
    per_step = agent(LearnedRewardVecEnv(make_vec_env("Pendulum-v1", 2), ToyReward())).learn(128)
    assert np.array_equal(parameters(deferred), parameters(per_step))
    assert (deferred.rmgym["env"]["id"], deferred.rmgym["algorithm"]) == ("Pendulum-v1", "stable_baselines3.PPO")
    score_rollouts(deferred, ToyReward())  # again: nothing changes
    with pytest.raises(RunError, match="another reward model"):
        score_rollouts(deferred, ToyReward(weight=2.0))


def test_what_cannot_be_scored_afterwards() -> None:
    normalized = PPO("MlpPolicy", VecNormalize(make_vec_env("CartPole-v1")), n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(RunError, match="norm_reward=False"):
        score_rollouts(normalized, "constant")
    experienced = DQN("MlpPolicy", "CartPole-v1", learning_starts=100, buffer_size=50, device="cpu").learn(10)
    with pytest.raises(RunError, match="before training"):
        score_rollouts(experienced, "constant")
    per_step = PPO("MlpPolicy", LearnedRewardVecEnv(make_vec_env("CartPole-v1"), "constant"), n_steps=8, batch_size=8)
    with pytest.raises(RunError, match="when='rollout'"):
        score_rollouts(per_step, "constant")


def test_normalised_whole_numbers_reach_the_agent_as_they_are() -> None:
    """SB3's buffers take their dtype from the space, which VecNormalize leaves ``uint8`` for what is no picture."""
    agent = make_agent("ppo", "MiniGrid-Empty-5x5-v0", reward_model="random", seed=0, **PPO_SMALL)
    assert agent.get_vec_normalize_env() is not None
    agent.learn(96)
    seen = agent.rollout_buffer.observations
    assert seen.dtype == np.float32
    assert ((seen > 0) & (seen < 1)).any()
    assert (seen < 0).any()


def test_a_function_is_remembered_by_what_it_does_and_not_by_its_address() -> None:
    def schedule(rate: float) -> Any:
        return lambda left: rate * left

    def remembered(rate: float) -> Any:
        settings = {**PPO_SMALL, "learning_rate": schedule(rate)}
        spec = spec_of(make_agent("ppo", COUNTER, reward_model="constant", **settings))
        assert spec is not None
        return spec.hyperparameters["learning_rate"]

    assert remembered(0.1) == remembered(0.1) != remembered(0.2)


def test_the_control_random_is_another_function_for_each_training_seed(tmp_path: Path) -> None:
    agents = [make_agent("ppo", COUNTER, reward_model="random", seed=seed, **PPO_SMALL) for seed in (0, 1, 1)]
    digests = [spec_of(agent).reward.digest for agent in agents]  # type: ignore[union-attr]
    assert digests == [RandomReward(seed).digest for seed in (0, 1, 1)]
    assert len(set(digests)) == 2
    one, other = (evaluate(agent, None, "random", episodes=2).learned_reward for agent in agents[:2])
    texts = textualizer(COUNTER).batch(evaluate(agents[1], None, "true", episodes=2).steps)
    assert np.array_equal(other, RandomReward(1).predict(texts).mean)
    assert not np.array_equal(one[:5], other[:5])

    loaded = load_agent(save_agent(agents[1], tmp_path / "agent.zip"))
    assert learned_env(loaded).digest == digests[1]  # type: ignore[union-attr]
    score_rollouts(loaded, "random")  # the same again
    exchange_reward_model(loaded, "constant")
    exchange_reward_model(loaded, "random")
    assert learned_env(loaded).digest == digests[1]  # type: ignore[union-attr]
    plain = PPO("MlpPolicy", make_vec_env("CartPole-v1"), seed=4, **PPO_SMALL)
    score_rollouts(plain, "random")
    assert learned_env(plain).digest == RandomReward(4).digest  # type: ignore[union-attr]
