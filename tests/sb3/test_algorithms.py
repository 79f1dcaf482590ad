"""Every algorithm of Stable-Baselines3 and sb3-contrib learns the same, whether steps are scored at once or later."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import QRDQN, TQC, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rmgym.errors import CardError, PlaceholderRewardError, RunError
from rmgym.sb3 import LearnedRewardVecEnv, evaluate, load_agent, make_agent, save_agent, score_rollouts
from rmgym.sb3.buffers import DeferredNStepReplayBuffer
from tests.doubles import MASKED, ToyReward
from tests.sb3.small import DQN_SMALL, PPO_SMALL, StopAt, parameters

TINY = {"policy_kwargs": {"net_arch": [8]}}
ROLLOUT: dict[str, Any] = {"n_steps": 20, **TINY}
REPLAY: dict[str, Any] = {
    "learning_starts": 30, "train_freq": 10, "gradient_steps": 3, "batch_size": 16, "buffer_size": 120, **TINY
}  # fmt: skip
LSTM: dict[str, Any] = {**PPO_SMALL, "policy_kwargs": {"net_arch": [8], "lstm_hidden_size": 6}}
PENDULUM, CARTPOLE = ("Pendulum-v1", {"max_episode_steps": 25}), ("CartPole-v1", {"max_episode_steps": 18})
ALGORITHMS: dict[str, tuple[type[BaseAlgorithm], tuple[str, dict[str, Any]], dict[str, Any]]] = {
    "a2c": (A2C, CARTPOLE, ROLLOUT),
    "ppo": (PPO, PENDULUM, PPO_SMALL),
    "dqn": (DQN, CARTPOLE, DQN_SMALL),
    "qrdqn": (QRDQN, CARTPOLE, {**REPLAY, "policy_kwargs": {"net_arch": [8], "n_quantiles": 5}}),
    "sac": (SAC, PENDULUM, REPLAY),
    "td3": (TD3, PENDULUM, {**REPLAY, "action_noise": 0.1}),
    "tqc": (TQC, PENDULUM, {**REPLAY, "policy_kwargs": {"net_arch": {"pi": [8], "qf": [9]}, "n_quantiles": 5}}),
    "recurrentppo": (RecurrentPPO, CARTPOLE, LSTM),
    "maskableppo": (MaskablePPO, (MASKED, {}), PPO_SMALL),
}
NAMES = list(ALGORITHMS)


@pytest.fixture(params=NAMES)
def algo(request: pytest.FixtureRequest) -> str:
    return request.param


def card(folder: Path, algo: str) -> Path:
    """A card that says only which class."""
    cls, policy = ALGORITHMS[algo][0], "MlpLstmPolicy" if algo == "recurrentppo" else "MlpPolicy"
    package = cls.__module__.partition(".")[0]
    file = folder / f"{algo}.toml"
    file.write_text(f'name = "{algo}"\nalgorithm = "{package}.{cls.__name__}"\npolicy = "{policy}"\n')
    return file


def make(folder: Path, algo: str, **options: Any) -> Any:
    _, (env_id, env_kwargs), small = ALGORITHMS[algo]
    said = {"reward_model": ToyReward(), "seed": 3, "env_kwargs": env_kwargs, **small, **options}
    return make_agent(card(folder, algo), env_id, **said)


def venv(algo: str, n_envs: int = 2) -> VecEnv:
    env_id, env_kwargs = ALGORITHMS[algo][1]
    return make_vec_env(lambda: gym.make(env_id, **env_kwargs), n_envs)


def mine(algo: str, env: Any, **options: Any) -> Any:
    """An agent that rmgym did not make. SB3 draws from global states: train one before making the next."""
    small = deepcopy(ALGORITHMS[algo][2])  # SB3 writes into policy_kwargs
    if "action_noise" in small:
        small["action_noise"] = NormalActionNoise(np.zeros(1), np.full(1, small["action_noise"]))
    policy = "MlpLstmPolicy" if algo == "recurrentppo" else "MlpPolicy"
    return ALGORITHMS[algo][0](policy, env, seed=2, device="cpu", **small, **options)  # type: ignore[arg-type]


def same_either_way(folder: Path, algo: str, steps: int = 300, **options: Any) -> Any:
    """Train twice, compare all parameters, and return the deferred agent."""
    models = {"step": ToyReward(), "rollout": ToyReward()}
    agents = {
        when: make(folder, algo, reward_model=model, when=when, **options).learn(steps)
        for when, model in models.items()
    }
    untrained = make(folder, algo, **options)
    assert np.array_equal(parameters(agents["step"]), parameters(agents["rollout"]))
    assert not np.array_equal(parameters(agents["step"]), parameters(untrained))
    assert len(models["rollout"].calls) <= len(models["step"].calls) / 5
    return agents["rollout"]


@pytest.mark.parametrize("n_envs", [1, 2])
def test_training_is_the_same_as_with_a_call_per_step(algo: str, n_envs: int, tmp_path: Path) -> None:
    agent = same_either_way(tmp_path, algo, n_envs=n_envs)
    assert isinstance(agent, ALGORITHMS[algo][0])


def test_an_agent_of_your_own_is_scored_too(algo: str) -> None:
    deferred = mine(algo, venv(algo))
    score_rollouts(deferred, ToyReward())
    deferred.learn(200)
    per_step = mine(algo, LearnedRewardVecEnv(venv(algo), ToyReward())).learn(200)
    assert np.array_equal(parameters(deferred), parameters(per_step))


def test_a_saved_agent_has_no_reward_model_and_trains_on(algo: str, tmp_path: Path) -> None:
    agent = make(tmp_path, algo).learn(120)
    path = save_agent(agent, tmp_path / "agent.zip")
    assert b"ToyReward" not in path.read_bytes()
    if hasattr(agent, "replay_buffer"):
        agent.save_replay_buffer(tmp_path / "replay.pkl")
        assert b"ToyReward" not in (tmp_path / "replay.pkl").read_bytes()
    loaded: Any = load_agent(path, ToyReward())
    assert loaded.rmgym == agent.rmgym
    assert np.array_equal(parameters(loaded), parameters(agent))
    loaded.learn(120)
    assert not np.array_equal(parameters(loaded), parameters(agent))
    buffer = getattr(loaded, "rollout_buffer", None) or loaded.replay_buffer
    assert type(buffer) is type(getattr(agent, "rollout_buffer", None) or agent.replay_buffer)
    env = LearnedRewardVecEnv(venv(algo, agent.n_envs), ToyReward(), when="rollout")
    blind: Any = ALGORITHMS[algo][0].load(path, env=env)
    with pytest.raises(PlaceholderRewardError):
        blind.learn(60)


def test_a_training_that_a_callback_broke_off_goes_on(algo: str, tmp_path: Path) -> None:
    found = []
    for when in ("step", "rollout"):
        agent = make(tmp_path, algo, when=when)
        agent.learn(200, callback=StopAt(57))
        agent.learn(150, reset_num_timesteps=False)
        found.append(parameters(agent))
    assert np.array_equal(*found)


@pytest.mark.parametrize("algo", ["a2c", "sac", "tqc"])
def test_state_dependent_exploration(algo: str, tmp_path: Path) -> None:
    sde = {"use_sde": True, "sde_sample_freq": 4, "policy_kwargs": {"net_arch": [8], "log_std_init": -1.0}}
    kwargs = PENDULUM[1]
    if algo == "a2c":
        told = {**ROLLOUT, **sde, "reward_model": ToyReward(), "seed": 1, "env_kwargs": kwargs}
        agents = [
            make_agent(card(tmp_path, algo), "Pendulum-v1", when=w, **told).learn(200) for w in ("step", "rollout")
        ]  # type: ignore[arg-type]
        assert np.array_equal(parameters(agents[0]), parameters(agents[1]))
    else:
        assert same_either_way(tmp_path, algo, **sde).use_sde


@pytest.mark.parametrize("algo", ["dqn", "qrdqn", "sac", "td3", "tqc"])
def test_n_step_returns(algo: str, tmp_path: Path) -> None:
    agent = same_either_way(tmp_path, algo, n_steps=3, gamma=0.9)
    assert isinstance(agent.replay_buffer, DeferredNStepReplayBuffer)
    assert (agent.replay_buffer.n_steps, agent.replay_buffer.gamma) == (3, 0.9)
    loaded: Any = load_agent(save_agent(agent, tmp_path / "agent.zip"), ToyReward())
    assert (loaded.replay_buffer.n_steps, loaded.replay_buffer.gamma) == (3, 0.9)


@pytest.mark.parametrize("algo", ["a2c", "sac", "qrdqn", "recurrentppo"])
def test_normalised_observations(algo: str) -> None:
    deferred = mine(algo, VecNormalize(venv(algo), norm_reward=False))
    score_rollouts(deferred, ToyReward())
    deferred.learn(200)
    per_step = mine(algo, VecNormalize(LearnedRewardVecEnv(venv(algo), ToyReward()), norm_reward=False)).learn(200)
    assert np.array_equal(parameters(deferred), parameters(per_step))
    with pytest.raises(RunError, match="norm_reward=False"):
        score_rollouts(mine(algo, VecNormalize(venv(algo))), ToyReward())


def test_memory_is_not_saved_at_the_price_of_truncation(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="handle_timeout_termination=False"):
        make(tmp_path, "sac", optimize_memory_usage=True)
    told = {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}}
    deferred = mine("sac", venv("sac", 1), **told)  # an agent of one's own may: rewards are of recorded steps
    score_rollouts(deferred, ToyReward())
    deferred.learn(200)
    per_step = mine("sac", LearnedRewardVecEnv(venv("sac", 1), ToyReward()), **told).learn(200)
    assert np.array_equal(parameters(deferred), parameters(per_step))


def test_action_noise_from_a_card(tmp_path: Path) -> None:
    agent = make(tmp_path, "td3", action_noise=0.2, train_freq=[1, "episode"], learning_rate="linear:1e-3")
    assert agent.action_noise._sigma == pytest.approx(np.full(1, 0.2))
    agent.learn(60)
    assert agent.lr_schedule(0.5) == pytest.approx(5e-4)
    assert agent.rmgym["hyperparameters"]["action_noise"] == 0.2
    for algo, noise in (("td3", -0.1), ("dqn", 0.1)):
        with pytest.raises((CardError, RunError), match="action_noise"):
            make(tmp_path, algo, action_noise=noise)


def test_what_would_train_on_the_true_reward_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "ars.toml").write_text('name = "ars"\nalgorithm = "sb3_contrib.ARS"\npolicy = "LinearPolicy"\n')
    for when in ("step", "rollout"):
        with pytest.raises(RunError, match=r"ARS ranks(.|\n)*sac"):
            make_agent(tmp_path / "ars.toml", "Pendulum-v1", reward_model=ToyReward(), when=when)  # type: ignore[arg-type]


def test_an_evaluation_keeps_the_memory_of_a_recurrent_policy(tmp_path: Path) -> None:
    """Episodes played together, ending one after another, are those that each would be alone."""
    agent = make(tmp_path, "recurrentppo", learning_rate=0.1).learn(200)
    together = evaluate(agent, "CartPole-v1", "constant", episodes=6)
    alone = [evaluate(agent, "CartPole-v1", "constant", episodes=1, seed=10_000 + i) for i in range(6)]
    assert len(set(together.length.tolist())) > 1
    assert together.length.tolist() == [int(one.length[0]) for one in alone]
    state, obs = None, together.steps.obs[: together.length[0]]  # by hand: one episode, one step after another
    for row in range(len(obs)):
        action, state = agent.predict(obs[row], state=state, deterministic=True)
        assert action == together.steps.action[row]
    assert np.abs(state[0]).sum() > 0


def test_an_evaluation_gives_masks_to_an_agent_that_asks(tmp_path: Path) -> None:
    agent = make(tmp_path, "maskableppo").learn(96)
    steps = evaluate(agent, MASKED, "constant", episodes=5, deterministic=False).steps
    assert not ((steps.obs[:, 0] == -2) & (steps.action == 0)).any()
    assert (steps.action == 0).any()
    taken = agent.rollout_buffer
    assert not ((taken.observations[:, 0] == -2) & (taken.actions[:, 0] == 0)).any()
