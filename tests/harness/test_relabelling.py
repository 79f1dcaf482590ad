"""When the reward model changes, no agent learns from a mixture of two rewards."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import rmgym
from rmgym.errors import HarnessError, ModelError
from rmgym.harness.buffers import DeferredReplayBuffer
from tests.doubles import COUNTER, ToyReward
from tests.harness.small import DQN_SMALL, PPO_SMALL, parameters

SAC_SMALL: dict[str, Any] = {
    "learning_starts": 40, "train_freq": 8, "gradient_steps": 2, "batch_size": 16, "buffer_size": 150,
    "policy_kwargs": {"net_arch": [8]},
}  # fmt: skip
KINDS = {
    "dqn": ("CartPole-v1", DQN_SMALL),
    "dqn with a history": ("CartPole-v1", DQN_SMALL),
    "dqn in two environments": (COUNTER, {**DQN_SMALL, "n_envs": 2, "gradient_steps": -1}),
    "dqn with 3-step returns": ("CartPole-v1", {**DQN_SMALL, "n_steps": 3}),
    "sac": ("Pendulum-v1", SAC_SMALL),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [100, 260])  # before and after the ring has gone round
def test_rows_are_those_of_an_agent_that_had_the_new_model_from_the_start(kind: str, steps: int, tmp_path: Any) -> None:
    env_id, told = KINDS[kind]
    if "history" in kind:
        card = tmp_path / "card.toml"
        card.write_text('id = "CartPole-v1"\nextends = "CartPole-v1.toml"\nhistory = 2\n')
        told = {**told, "card": card}
    told = {"learning_rate": 0.0, **told}  # both take the same steps
    new = ToyReward(weight=-2.0)
    buffers: dict[str, DeferredReplayBuffer] = {}
    for name, first in {"exchanged": ToyReward(), "new": new}.items():
        agent = rmgym.sb3.make_agent(kind.partition(" ")[0], env_id, reward_model=first, seed=1, **told).learn(steps)
        if name == "exchanged":
            rmgym.sb3.exchange_reward_model(agent, new)
        agent.learn(40, reset_num_timesteps=False)
        buffers[name] = agent.replay_buffer  # type: ignore[attr-defined]
        buffers[name].score_pending()
    rows = len(buffers["new"].rewards) if buffers["new"].full else buffers["new"].pos
    assert rows * buffers["new"].n_envs >= min(steps, 150) // 2
    assert np.array_equal(buffers["exchanged"].rewards, buffers["new"].rewards)
    assert np.array_equal(buffers["exchanged"].true_rewards, buffers["new"].true_rewards, equal_nan=True)


def test_a_model_that_was_fitted_further_is_noticed() -> None:
    model: Any = rmgym.create_reward_model("minilm", width=16, layers=1, attention_heads=2)
    agent = rmgym.sb3.make_agent("dqn", "CartPole-v1", reward_model=model, **DQN_SMALL).learn(100)
    buffer: DeferredReplayBuffer = agent.replay_buffer  # type: ignore[attr-defined]
    buffer.score_pending()
    before = buffer.rewards[: buffer.pos].copy()
    model.offset.fill_(5.0)
    agent.learn(20, reset_num_timesteps=False)
    buffer.score_pending()
    assert buffer.rewards[: len(before)] == pytest.approx(before + 5, abs=1e-5)


def test_rows_are_scored_again_only_when_the_model_changes() -> None:
    model = ToyReward()
    agent = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=model, **DQN_SMALL).learn(120)
    agent.replay_buffer.score_pending()  # type: ignore[attr-defined]
    assert sum(model.calls) <= 120
    rmgym.sb3.exchange_reward_model(agent, other := ToyReward(weight=1.0))
    agent.learn(40, reset_num_timesteps=False)
    agent.replay_buffer.score_pending()  # type: ignore[attr-defined]
    assert sum(other.calls) <= 160


def test_a_saved_buffer_is_relabelled_for_the_model_it_is_loaded_beside() -> None:
    agent = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(), **DQN_SMALL).learn(90)
    stored = pickle.dumps(agent.replay_buffer)  # type: ignore[attr-defined]
    other = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(weight=3.0), **DQN_SMALL)
    loaded = pickle.loads(stored)
    loaded.attach(other.replay_buffer._recorder)  # type: ignore[attr-defined]
    other.replay_buffer = loaded  # type: ignore[attr-defined]
    other.learn(30)
    loaded.score_pending()
    texts = rmgym.textualizer(COUNTER).batch(loaded._steps.take(np.arange(loaded.pos)))
    assert np.array_equal(loaded.rewards[: loaded.pos, 0], ToyReward(weight=3.0).predict(texts).mean)


def test_rollouts_are_scored_with_the_new_model() -> None:
    told = {**PPO_SMALL, "learning_rate": 0.0, "n_envs": 2}
    agent = rmgym.sb3.make_agent("ppo", COUNTER, reward_model=ToyReward(), **told).learn(96)
    rmgym.sb3.exchange_reward_model(agent, ToyReward(weight=2.0))
    agent.learn(96, reset_num_timesteps=False)
    other = rmgym.sb3.make_agent("ppo", COUNTER, reward_model=ToyReward(weight=2.0), **told).learn(96)
    other.learn(96, reset_num_timesteps=False)
    assert np.array_equal(agent.rollout_buffer.rewards, other.rollout_buffer.rewards)  # type: ignore[attr-defined]
    assert np.array_equal(parameters(agent), parameters(other))


def test_a_saved_agent_remembers_the_model_it_ended_with(tmp_path: Any) -> None:
    agent = rmgym.sb3.make_agent("ppo", COUNTER, reward_model=ToyReward(), **PPO_SMALL)
    rmgym.sb3.exchange_reward_model(agent, new := ToyReward(weight=2.0))
    path = rmgym.sb3.save_agent(agent, tmp_path / "agent.zip")
    with pytest.raises(HarnessError, match="digest"):
        rmgym.sb3.load_agent(path, ToyReward())
    rmgym.sb3.load_agent(path, new)


def test_a_model_that_does_not_fit_changes_nothing() -> None:
    agent = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(), **DQN_SMALL)
    with pytest.raises(ModelError, match="card"):
        rmgym.sb3.exchange_reward_model(agent, ToyReward(card_hash="another"))
    assert agent.rmgym["digest"] == ToyReward().digest  # type: ignore[attr-defined]
    agent.learn(60)
    per_step = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(), when="step", **DQN_SMALL)
    with pytest.raises(HarnessError, match="score_rollouts"):
        rmgym.sb3.exchange_reward_model(per_step, ToyReward())
