"""When the reward model changes, no agent learns from a mixture of two rewards."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import rmgym
from rmgym.errors import ModelError, RunError
from rmgym.sb3.buffers import DeferredReplayBuffer
from tests.doubles import COUNTER, ToyReward
from tests.sb3.small import DQN_SMALL, PPO_SMALL, parameters

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
    env_id, settings = KINDS[kind]
    if "history" in kind:
        card = tmp_path / "card.toml"
        card.write_text('id = "CartPole-v1"\nextends = "CartPole-v1.toml"\nhistory = 2\n')
        settings = {**settings, "card": card}
    settings = {"learning_rate": 0.0, **settings}  # both take the same steps
    new = ToyReward(weight=-2.0)
    buffers: dict[str, DeferredReplayBuffer] = {}
    for name, first in {"exchanged": ToyReward(), "new": new}.items():
        agent = rmgym.sb3.make_agent(kind.partition(" ")[0], env_id, reward_model=first, seed=1, **settings).learn(
            steps
        )
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
    model: Any = rmgym.create_reward_model("minilm", width=16, roles=8).accept_random_weights()
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


def test_a_saved_buffer_is_relabelled_for_the_composition_it_is_loaded_beside(tmp_path: Any) -> None:
    agents: list[Any] = [
        rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(), composition=parts, **DQN_SMALL)
        for parts in (None, {"learned_weight": 0.5})
    ]
    agents[0].learn(90).save_replay_buffer(tmp_path / "buffer.pkl")
    agents[1].load_replay_buffer(tmp_path / "buffer.pkl")
    rmgym.sb3.score_rollouts(agents[1], ToyReward())
    agents[1].replay_buffer.score_pending()
    before, after = (agent.replay_buffer.rewards[:90] for agent in agents)
    assert np.array_equal(after, 0.5 * before)
    assert after.any()


@pytest.fixture
def stale() -> Any:
    """An agent whose buffer was scored to its last row, and whose model was exchanged then; and the new rewards."""
    agent = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(), **DQN_SMALL).learn(90)
    buffer: DeferredReplayBuffer = agent.replay_buffer  # type: ignore[attr-defined]
    buffer.score_pending()
    buffer.sample(4)
    rmgym.sb3.exchange_reward_model(agent, new := ToyReward(weight=3.0))
    texts = rmgym.textualizer(COUNTER).batch(buffer._steps.take(np.arange(buffer.pos)))
    return agent, new.predict(texts).mean


class TestNothingPending:
    def test_a_sample_has_the_new_rewards(self, stale: Any) -> None:
        agent, rewards = stale
        batch = agent.replay_buffer._get_samples(np.arange(agent.replay_buffer.pos))
        assert np.array_equal(batch.rewards.numpy()[:, 0], rewards)

    def test_an_update_learns_from_the_new_rewards(self, stale: Any) -> None:
        agent, rewards = stale
        agent.train(1, 8)
        assert np.array_equal(agent.replay_buffer.rewards[: len(rewards), 0], rewards)

    def test_a_saved_buffer_has_the_new_rewards(self, stale: Any, tmp_path: Any) -> None:
        agent, rewards = stale
        agent.save_replay_buffer(tmp_path / "buffer.pkl")
        with (tmp_path / "buffer.pkl").open("rb") as file:
            assert np.array_equal(pickle.load(file).rewards[: len(rewards), 0], rewards)

    def test_n_step_returns_are_made_of_the_new_rewards(self) -> None:
        settings: dict[str, Any] = {**DQN_SMALL, "n_steps": 3, "gamma": 0.9, "learning_rate": 0.0, "seed": 1}
        new = ToyReward(weight=3.0)
        returns = []
        for first in (ToyReward(), new):
            agent = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=first, **settings).learn(90)
            agent.replay_buffer.score_pending()  # type: ignore[attr-defined]
            if first is not new:
                rmgym.sb3.exchange_reward_model(agent, new)
            returns.append(agent.replay_buffer._get_samples(np.arange(60)).rewards.numpy())  # type: ignore[attr-defined]
        assert np.array_equal(*returns)

    def test_a_model_fitted_further_is_noticed(self) -> None:
        model: Any = rmgym.create_reward_model("minilm", width=16, roles=8).accept_random_weights()
        agent = rmgym.sb3.make_agent("dqn", "CartPole-v1", reward_model=model, **DQN_SMALL).learn(100)
        buffer: DeferredReplayBuffer = agent.replay_buffer  # type: ignore[attr-defined]
        buffer.score_pending()
        buffer.sample(4)
        before = buffer.rewards[: buffer.pos].copy()
        model.offset.fill_(5.0)
        buffer.sample(4)
        assert buffer.rewards[: len(before)] == pytest.approx(before + 5, abs=1e-5)


@pytest.mark.parametrize("steps", [90, 260])  # before and after the ring has gone round
def test_learned_returns_are_those_of_the_new_model(steps: int) -> None:
    settings: dict[str, Any] = {**DQN_SMALL, "learning_rate": 0.0, "seed": 1}
    agent = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(), **settings).learn(steps)
    other = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(weight=3.0), **settings).learn(steps)
    rmgym.sb3.exchange_reward_model(agent, ToyReward(weight=3.0))
    buffers = [one.replay_buffer for one in (agent, other)]  # type: ignore[attr-defined]
    for buffer in buffers:
        buffer.score_pending()
    exchanged, expected = (list(buffer.learned_returns.finished) for buffer in buffers)
    assert exchanged
    assert exchanged == pytest.approx(expected[-len(exchanged) :])


def test_learned_returns_of_rollouts_mix_no_two_models() -> None:
    settings: dict[str, Any] = {**PPO_SMALL, "learning_rate": 0.0, "seed": 1, "n_envs": 1}
    agent = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), **settings).learn(48)
    rmgym.sb3.exchange_reward_model(agent, new := ToyReward(weight=3.0))
    agent.learn(48, reset_num_timesteps=False)
    other = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=new, **settings).learn(48)
    before = len(other.rollout_buffer.learned_returns.finished)  # type: ignore[attr-defined]
    other.learn(48, reset_num_timesteps=False)
    finished = [list(a.rollout_buffer.learned_returns.finished) for a in (agent, other)]  # type: ignore[attr-defined]
    assert finished[0] == pytest.approx(finished[1][before + 1 :])  # all but the episode that both models rewarded


def test_true_rewards_are_known_before_the_learned_ones() -> None:
    """Also in rows that the ring has come back to."""
    agent = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(), **{**DQN_SMALL, "learning_starts": 1_000})
    agent.learn(170)
    buffer: DeferredReplayBuffer = agent.replay_buffer  # type: ignore[attr-defined]
    before = buffer.true_rewards.copy()
    buffer.score_pending()
    steps = buffer._steps.take(np.arange(150))
    assert np.array_equal(before[:, 0], steps.true_reward)


def test_rollouts_are_scored_with_the_new_model() -> None:
    settings = {**PPO_SMALL, "learning_rate": 0.0, "n_envs": 2}
    agent = rmgym.sb3.make_agent("ppo", COUNTER, reward_model=ToyReward(), **settings).learn(96)
    rmgym.sb3.exchange_reward_model(agent, ToyReward(weight=2.0))
    agent.learn(96, reset_num_timesteps=False)
    other = rmgym.sb3.make_agent("ppo", COUNTER, reward_model=ToyReward(weight=2.0), **settings).learn(96)
    other.learn(96, reset_num_timesteps=False)
    assert np.array_equal(agent.rollout_buffer.rewards, other.rollout_buffer.rewards)  # type: ignore[attr-defined]
    assert np.array_equal(parameters(agent), parameters(other))


@pytest.mark.filterwarnings("ignore::rmgym.errors.ConstantUncertaintyWarning")
def test_an_exchange_may_put_the_reward_together_otherwise() -> None:
    parts, model = {"uncertainty_penalty": -2.0}, ToyReward(std=0.25)
    agents: list[Any] = [
        rmgym.sb3.make_agent("dqn", COUNTER, reward_model=model, composition=first, **DQN_SMALL).learn(90)
        for first in (None, parts)
    ]
    rmgym.sb3.exchange_reward_model(agents[0], model, composition=parts)
    rewards = list[Any]()
    for agent in agents:
        agent.replay_buffer.score_pending()
        rewards.append(agent.replay_buffer.rewards[:90])
    texts = rmgym.textualizer(COUNTER).batch(agents[0].replay_buffer._steps.take(np.arange(90)))
    assert rewards[0][:, 0] == pytest.approx(model.predict(texts).mean + 0.5)
    assert agents[0].rmgym == agents[1].rmgym
    rmgym.sb3.exchange_reward_model(agents[0], model)  # which leaves it as it is
    assert agents[0].rmgym == agents[1].rmgym
    with pytest.raises(RunError, match="'uncertainty_penalty'"):
        rmgym.sb3.exchange_reward_model(agents[0], ToyReward(), composition={"uncertainty_penalty": float("nan")})
    assert agents[0].rmgym == agents[1].rmgym


@pytest.mark.filterwarnings("ignore::rmgym.errors.ConstantUncertaintyWarning")
def test_composed_returns_of_rollouts_mix_no_two_compositions() -> None:
    settings: dict[str, Any] = {**PPO_SMALL, "learning_rate": 0.0, "seed": 1, "n_envs": 1}
    model = ToyReward(std=1.0)
    agent: Any = rmgym.sb3.make_agent(
        "ppo", "CartPole-v1", reward_model=model, composition={"learned_weight": 2.0}, **settings
    ).learn(48)
    assert agent.rollout_buffer.composed_returns.finished
    rmgym.sb3.exchange_reward_model(agent, model, composition={"uncertainty_penalty": 1.0})
    agent.learn(48, reset_num_timesteps=False)
    buffer = agent.rollout_buffer
    assert 0 < len(buffer.composed_returns.finished) == len(buffer.learned_returns.finished)
    ends = np.flatnonzero(buffer.episode_starts[:, 0])[-2:]
    last = slice(int(ends[0]), int(ends[1]))
    assert buffer.composed_returns.finished[-1] == pytest.approx(
        buffer.learned_rewards[last].sum() - (last.stop - last.start), rel=1e-5
    )


def test_a_saved_agent_remembers_the_model_it_ended_with(tmp_path: Any) -> None:
    agent = rmgym.sb3.make_agent("ppo", COUNTER, reward_model=ToyReward(), **PPO_SMALL)
    rmgym.sb3.exchange_reward_model(agent, new := ToyReward(weight=2.0))
    path = rmgym.sb3.save_agent(agent, tmp_path / "agent.zip")
    with pytest.raises(RunError, match="digest"):
        rmgym.sb3.load_agent(path, ToyReward())
    rmgym.sb3.load_agent(path, new)


def test_a_model_that_does_not_fit_changes_nothing() -> None:
    agent = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(), **DQN_SMALL)
    with pytest.raises(ModelError, match="card"):
        rmgym.sb3.exchange_reward_model(agent, ToyReward(card_hash="another"))
    assert agent.rmgym["reward"]["digest"] == ToyReward().digest  # type: ignore[attr-defined]
    agent.learn(60)
    per_step = rmgym.sb3.make_agent("dqn", COUNTER, reward_model=ToyReward(), when="step", **DQN_SMALL)
    with pytest.raises(RunError, match="score_rollouts"):
        rmgym.sb3.exchange_reward_model(per_step, ToyReward())
