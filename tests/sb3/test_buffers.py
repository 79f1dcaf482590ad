"""Deferred scoring: the same training as with a model call per step, in far fewer calls."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env

from rmgym.errors import PlaceholderRewardError, RunError
from rmgym.sb3.agents import make_agent, score_rollouts
from rmgym.sb3.buffers import DeferredReplayBuffer, DeferredRolloutBuffer
from rmgym.sb3.learned_returns import LearnedReturns
from rmgym.text import textualizer
from rmgym.transitions import Transitions
from tests.doubles import COUNTER, ToyReward
from tests.sb3.small import DQN_SMALL, PPO_SMALL, SMALL, StopAt, parameters


@pytest.mark.parametrize(
    ("algo", "env_id", "options"),
    [
        ("ppo", "Pendulum-v1", {"env_kwargs": {"max_episode_steps": 30}, "n_envs": 4}),
        ("ppo", "CartPole-v1", {"env_kwargs": {"max_episode_steps": 12}, "n_envs": 2}),
        ("ppo", "MountainCar-v0", {"env_kwargs": {"max_episode_steps": 30}, "n_envs": 2}),  # normalises observations
        ("dqn", "CartPole-v1", {"env_kwargs": {"max_episode_steps": 12}}),
        ("dqn", "CartPole-v1", {"n_envs": 2, "gradient_steps": -1}),
        ("dqn", "FrozenLake-v1", {"env_kwargs": {"is_slippery": False}, "composition": {"true_weight": 1.0}}),
    ],
)
def test_training_is_the_same_as_with_a_call_per_step(algo: str, env_id: str, options: dict[str, Any]) -> None:
    steps = 400 if algo == "ppo" else 330
    told = {**SMALL[algo], **options}
    models = {"step": ToyReward(), "rollout": ToyReward()}
    agents = {
        when: make_agent(algo, env_id, reward_model=model, when=when, seed=3, **told).learn(steps)  # type: ignore[arg-type]
        for when, model in models.items()
    }
    untrained = make_agent(algo, env_id, reward_model="constant", when="step", seed=3, **told)
    assert np.array_equal(parameters(agents["step"]), parameters(agents["rollout"]))
    assert not np.array_equal(parameters(agents["step"]), parameters(untrained))
    if env_id == "FrozenLake-v1":  # its steps are numbered and looked up in a table: each was asked about once
        assert sum(models["step"].calls) == sum(models["rollout"].calls) < agents["step"].num_timesteps
        return
    n_envs = agents["step"].n_envs
    assert len(models["step"].calls) == agents["step"].num_timesteps // n_envs
    chunk = PPO_SMALL["n_steps"] if algo == "ppo" else DQN_SMALL["train_freq"]
    assert len(models["rollout"].calls) <= len(models["step"].calls) / chunk + 1


def test_n_step_returns_are_scored_too() -> None:
    told = {**DQN_SMALL, "n_steps": 3, "gamma": 0.9}
    deferred = make_agent("dqn", "CartPole-v1", reward_model=ToyReward(), **told).learn(300)
    per_step = make_agent("dqn", "CartPole-v1", reward_model=ToyReward(), when="step", **told).learn(300)
    assert np.array_equal(parameters(deferred), parameters(per_step))


def test_a_time_limit_keeps_its_value_bootstrap_and_a_termination_has_none() -> None:
    agent = make_agent(
        "ppo", "CartPole-v1", reward_model=ToyReward(), n_envs=2, env_kwargs={"max_episode_steps": 18},
        **{**PPO_SMALL, "learning_rate": 0.0, "gamma": 0.9},
    )  # fmt: skip
    buffer = agent.rollout_buffer  # type: ignore[attr-defined]
    recorder = agent.get_env()
    recorder.drain()  # type: ignore[union-attr]
    agent.learn(96)
    steps: Transitions = recorder.drain()  # type: ignore[union-attr]
    assert steps.truncated.any()
    assert steps.terminated.any()
    with torch.no_grad():  # nothing was learnt at rate 0, so the values are those of the rollout
        values = agent.policy.predict_values(torch.as_tensor(steps.next_obs)).numpy().reshape(-1)  # type: ignore[operator]
    expected = ToyReward().predict(textualizer("CartPole-v1").batch(steps)).mean + np.where(
        steps.truncated, 0.9 * values, 0
    )
    assert buffer.rewards == pytest.approx(expected.reshape(48, 2), abs=1e-5)


@pytest.mark.parametrize("n_envs", [1, 3])
def test_replay_rewards_belong_to_their_rows(n_envs: int) -> None:
    """Over the ring's end, across a training that a callback broke off, with true rewards beside."""
    model = ToyReward()
    agent = make_agent("dqn", COUNTER, reward_model=model, n_envs=n_envs, **{**DQN_SMALL, "buffer_size": 50 * n_envs})
    agent.learn(1_000, callback=StopAt(37))
    agent.learn(90 * n_envs, reset_num_timesteps=False)
    buffer: DeferredReplayBuffer = agent.replay_buffer  # type: ignore[attr-defined]
    buffer.score_pending()
    assert buffer.full
    truncated = buffer.timeouts.astype(bool)
    rows = Transitions.from_arrays(
        buffer.observations.reshape(-1, 2),
        buffer.actions.reshape(-1),
        buffer.next_observations.reshape(-1, 2),
        (buffer.dones.astype(bool) & ~truncated).reshape(-1),
        truncated.reshape(-1),
    )
    expected = model.predict(textualizer(COUNTER).batch(rows)).mean
    assert np.array_equal(buffer.rewards.reshape(-1), expected)
    true = 10 * rows.next_obs[:, 0] + rows.action
    assert np.array_equal(buffer.true_rewards.reshape(-1), true)


def test_a_replay_buffer_that_was_emptied_holds_nothing_of_before() -> None:
    told = {**DQN_SMALL, "learning_starts": 1_000}
    agents = [make_agent("dqn", COUNTER, reward_model=ToyReward(), **told) for _ in range(2)]
    for agent, steps in zip(agents, (48, 0), strict=True):
        agent.learn(steps)
        agent.replay_buffer.reset()  # type: ignore[attr-defined]
        agent.set_random_seed(1)
        agent.learn(32)
        agent.replay_buffer.score_pending()  # type: ignore[attr-defined]
    emptied, new = (agent.replay_buffer for agent in agents)  # type: ignore[attr-defined]
    assert np.array_equal(emptied.rewards[:32], new.rewards[:32])
    assert np.array_equal(emptied.true_rewards, new.true_rewards, equal_nan=True)
    assert list(emptied.learned_returns.finished) == list(new.learned_returns.finished)


def test_a_rollout_that_a_callback_broke_off_is_forgotten() -> None:
    agent = make_agent("ppo", COUNTER, reward_model=ToyReward(), n_envs=2, **PPO_SMALL)
    agent.learn(1_000, callback=StopAt(5))
    agent.learn(96, reset_num_timesteps=False)
    buffer: DeferredRolloutBuffer = agent.rollout_buffer  # type: ignore[attr-defined]
    assert buffer.learned_rewards.shape == (48, 2)


@pytest.mark.parametrize(("cls", "algo"), [(PPO, "ppo"), (DQN, "dqn")])
def test_a_loaded_agent_without_its_model_never_trains(cls: Any, algo: str, tmp_path: Any) -> None:
    agent = make_agent(algo, "CartPole-v1", reward_model=ToyReward(), n_envs=1, **SMALL[algo]).learn(60)
    agent.save(tmp_path / "agent.zip")
    assert b"ToyReward" not in (tmp_path / "agent.zip").read_bytes()
    loaded = cls.load(tmp_path / "agent.zip", env=make_vec_env("CartPole-v1"))
    with pytest.raises(PlaceholderRewardError, match="load_agent"):
        loaded.learn(60)
    score_rollouts(loaded, ToyReward())
    assert not np.array_equal(parameters(loaded.learn(200)), parameters(agent))


def test_a_pickled_replay_buffer_is_scored_and_has_no_model() -> None:
    agent = make_agent("dqn", COUNTER, reward_model=ToyReward(), **{**DQN_SMALL, "learning_starts": 1_000}).learn(30)
    buffer: DeferredReplayBuffer = agent.replay_buffer  # type: ignore[attr-defined]
    assert np.isnan(buffer.rewards[:30]).all()  # nothing was sampled, so nothing was scored
    stored = pickle.dumps(buffer)
    assert b"ToyReward" not in stored
    loaded = pickle.loads(stored)
    assert np.array_equal(loaded.rewards, buffer.rewards)
    assert loaded.rewards[:30].all()
    with pytest.raises(PlaceholderRewardError):
        loaded.sample(4)


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_another_environment_is_noticed(algo: str) -> None:
    agent = make_agent(algo, "CartPole-v1", reward_model=ToyReward(), n_envs=1, **SMALL[algo])
    agent.set_env(make_vec_env("CartPole-v1"))
    with pytest.raises(RunError, match="score_rollouts"):
        agent.learn(100)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=20), st.integers(1, 19))
def test_learned_returns_add_up_over_blocks(ends: list[list[bool]], cut: int) -> None:
    done = np.array(ends)
    rewards = np.arange(done.size, dtype=np.float32).reshape(done.shape) - 3
    step, expected, count = np.zeros(done.shape, int), list[float](), np.zeros(2, int)
    for t in range(len(done)):
        step[t] = count
        count = np.where(done[t], 0, count + 1)
    for t in range(len(done)):
        for e in np.flatnonzero(done[t]):
            expected.append(float(rewards[t - step[t, e] : t + 1, e].sum()))
    returns = LearnedReturns(2)
    for block in (slice(None, cut), slice(cut, None)):
        flat = step[block].reshape(-1)
        steps = Transitions.from_arrays(flat, flat, flat, done[block].reshape(-1), step=flat)
        returns.add(steps, rewards[block])
    assert list(returns.finished) == expected


def test_half_an_episode_has_no_learned_return() -> None:
    """As after a step that a callback broke off, or where the buffer came to an episode that had begun."""
    returns = LearnedReturns(1)
    step = np.array([3, 4, 0, 1, 0, 2])
    done = np.array([False, True, False, True, False, True])
    steps = Transitions.from_arrays(step, step, step, done, step=step)
    returns.add(steps, np.arange(6, dtype=np.float32).reshape(6, 1))
    assert list(returns.finished) == [2.0 + 3.0]


def test_two_halves_of_two_episodes_are_no_episode() -> None:
    """Between them somebody else has played, and came to the step with the next number by chance."""
    returns = LearnedReturns(1)
    step, episode = np.array([0, 1, 2, 3]), np.array([0, 0, 7, 7])
    steps = Transitions.from_arrays(step, step, step, step == 3, step=step, episode=episode)
    returns.add(steps, np.ones((4, 1), np.float32))
    assert not returns.finished


@pytest.mark.parametrize("algo", ["sac", "dqn"])
def test_an_update_at_every_step_does_not_ask_the_model_at_every_step(algo: str) -> None:
    """Rows are scored when one of them is drawn, and the agent is that of scoring per step."""
    env_id = {"sac": "Pendulum-v1", "dqn": "CartPole-v1"}[algo]
    small: dict[str, Any] = {
        "learning_starts": 60, "train_freq": 1, "gradient_steps": 1, "batch_size": 4,
        "policy_kwargs": {"net_arch": [8]},
    }  # fmt: skip
    models = {"step": ToyReward(), "rollout": ToyReward()}
    agents = {
        when: make_agent(algo, env_id, reward_model=model, when=when, seed=5, n_envs=1, **small).learn(400)  # type: ignore[arg-type]
        for when, model in models.items()
    }
    assert np.array_equal(parameters(agents["step"]), parameters(agents["rollout"]))
    assert len(models["step"].calls) == 400
    assert len(models["rollout"].calls) < 60
    agents["rollout"].replay_buffer.score_pending()  # type: ignore[attr-defined]
    assert sum(models["rollout"].calls) == 400
