"""No reward that is not there yet is learnt from or reported: it is scored, summed up as the true one, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import (
    VecCheckNan,
    VecEnvWrapper,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from rmgym.errors import PlaceholderRewardError, RunError, TrueRewardWarning
from rmgym.sb3 import LearnedRewardVecEnv, exchange_reward_model, make_agent, score_rollouts
from rmgym.text import textualizer
from rmgym.transitions import Transitions
from tests.doubles import COUNTER, CounterEnv, ToyReward
from tests.sb3.small import DQN_SMALL, PPO_SMALL, counters, parameters, ppo

REPLAY: dict[str, Any] = {**DQN_SMALL, "learning_starts": 20, "buffer_size": 200}
SAC_SMALL: dict[str, Any] = {
    "learning_starts": 20, "train_freq": 1, "gradient_steps": 1, "batch_size": 16, "buffer_size": 150,
    "policy_kwargs": {"net_arch": [8]},
}  # fmt: skip
own_episodes = pytest.mark.filterwarnings("ignore::rmgym.errors.TrueRewardWarning")


def dqn(env: Any = None) -> Any:
    return DQN("MlpPolicy", counters(1) if env is None else env, seed=1, device="cpu", **REPLAY)


AGENTS: list[Callable[..., Any]] = [ppo, dqn]


def counted(buffer: Any) -> np.ndarray:
    """What the model says about the step of each row, which a counter tells from where it led."""
    buffer.score_pending()
    rows = slice(buffer.buffer_size if buffer.full else buffer.pos)
    after, action = buffer.next_observations[rows, 0], buffer.actions[rows, 0, 0]
    truncated = buffer.timeouts[rows, 0].astype(bool)
    ended = buffer.dones[rows, 0].astype(bool)
    before = after - np.stack([action - 1, np.ones(len(action))], 1).astype(np.float32)
    steps = Transitions.from_arrays(before, action, after, ended & ~truncated, truncated)
    return ToyReward().predict(textualizer(COUNTER).batch(steps)).mean


class Scaled(VecEnvWrapper):
    """Scales rewards."""

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        obs, rewards, dones, infos = self.venv.step_wait()
        return obs, rewards * 0.1, dones, infos


class ScaledAgain(Scaled):
    """Scales rewards in a copy, item by item."""

    def step_wait(self) -> Any:
        obs, rewards, dones, infos = self.venv.step_wait()
        return obs, np.array([0.1 * float(reward) for reward in rewards], np.float32), dones, infos


class TestAnotherBuffer:
    def test_a_rollout_buffer_set_by_hand(self) -> None:
        agent = ppo()
        score_rollouts(agent, ToyReward())
        agent.rollout_buffer = RolloutBuffer(48, agent.observation_space, agent.action_space, n_envs=2)
        before = parameters(agent)
        with pytest.raises(PlaceholderRewardError, match="score_rollouts"):
            agent.learn(96)
        assert np.array_equal(parameters(agent), before)

    @pytest.mark.parametrize("normalized", [False, True])
    def test_a_replay_buffer_from_elsewhere(self, normalized: bool, tmp_path: Path) -> None:
        plain = dqn().learn(60)
        plain.save_replay_buffer(tmp_path / "plain.pkl")
        agent = dqn(VecNormalize(counters(1), norm_reward=False) if normalized else None)
        score_rollouts(agent, ToyReward())
        agent.load_replay_buffer(tmp_path / "plain.pkl")
        before = parameters(agent)
        with pytest.raises(PlaceholderRewardError, match="score_rollouts"):
            agent.learn(60)
        assert np.array_equal(parameters(agent), before)
        with pytest.raises(RunError, match="other rewards"):
            score_rollouts(agent, ToyReward())

    def test_rewards_that_no_environment_gave(self) -> None:
        agent = dqn()
        score_rollouts(agent, ToyReward())
        buffer, obs = agent.replay_buffer, np.zeros((1, 2), np.float32)
        assert isinstance(buffer, ReplayBuffer)
        with pytest.raises(PlaceholderRewardError, match="its own environment"):
            buffer.add(obs, obs, np.zeros((1, 1)), np.ones(1), np.zeros(1), [{}])

    def test_rewards_are_filled_in_once(self) -> None:
        """A callback may change rewards when the rollout ends, and compute the advantages again."""

        class Doubled(BaseCallback):
            def _on_step(self) -> bool:
                return True

            def _on_rollout_end(self) -> None:
                buffer = self.locals["rollout_buffer"]
                before = buffer.advantages.copy()
                buffer.compute_returns_and_advantage(self.locals["values"], self.locals["dones"])
                assert np.array_equal(buffer.advantages, before)
                buffer.rewards *= 2
                buffer.compute_returns_and_advantage(self.locals["values"], self.locals["dones"])
                seen.append(buffer.rewards.copy())

        seen = list[np.ndarray]()
        agent = ppo()
        score_rollouts(agent, ToyReward())
        agent.learn(192, callback=Doubled())
        per_step = ppo(LearnedRewardVecEnv(counters(), ToyReward()))
        per_step.learn(192, callback=Doubled())
        assert np.array_equal(seen[:2], seen[2:])
        assert np.array_equal(parameters(agent), parameters(per_step))


class TestAnotherAgent:
    @pytest.mark.parametrize("make", AGENTS)
    def test_the_callers_wrappers_stay_as_they_are(self, make: Callable[..., Any]) -> None:
        """The other agent on them learns from the true reward, as before."""
        plain = counters(1)
        shared = VecNormalize(VecMonitor(plain), norm_reward=False)
        scored, other = make(shared), make(shared)
        score_rollouts(scored, ToyReward())
        assert other.get_env() is shared
        assert shared.venv.venv is plain  # type: ignore[attr-defined]
        assert scored.get_vec_normalize_env() is scored.get_env() is not shared
        other.learn(48)
        own = VecNormalize(VecMonitor(counters(1)), norm_reward=False)
        assert np.array_equal(parameters(other), parameters(make(own).learn(48)))

    def test_frames_are_not_shared(self) -> None:
        shared = VecFrameStack(counters(1), 2)
        agent = ppo(shared)
        score_rollouts(agent, ToyReward())
        agent.get_env().reset()
        before = agent.get_env().stacked_obs.stacked_obs.copy()
        shared.reset()
        shared.step(np.array([2]))
        assert np.array_equal(agent.get_env().stacked_obs.stacked_obs, before)

    def test_statistics_are_the_callers_too(self) -> None:
        mine = VecNormalize(counters(), norm_reward=False)
        agent = ppo(mine)
        score_rollouts(agent, ToyReward())
        agent.learn(96)
        assert mine.obs_rms.count > 96  # type: ignore[union-attr]
        assert mine.obs_rms is agent.get_vec_normalize_env().obs_rms

    @pytest.mark.parametrize("make", AGENTS)
    def test_an_agent_that_does_not_score_is_stopped(self, make: Callable[..., Any]) -> None:
        shared = LearnedRewardVecEnv(counters(1), ToyReward(), when="rollout")
        scored, blind = make(shared), make(shared)
        score_rollouts(scored, ToyReward())
        with pytest.raises(PlaceholderRewardError, match="score_rollouts"):
            blind.learn(48)
        scored.learn(48)

    @pytest.mark.parametrize("make", AGENTS)
    def test_the_last_to_be_attached_has_the_environment(self, make: Callable[..., Any]) -> None:
        shared = LearnedRewardVecEnv(counters(1), ToyReward(), when="rollout")
        first, second = make(shared), make(shared)
        score_rollouts(first, ToyReward())
        first.learn(48)
        score_rollouts(second, ToyReward())
        second.learn(48)
        with pytest.raises(PlaceholderRewardError, match="another agent"):
            first.learn(48)
        with pytest.raises(PlaceholderRewardError, match="another agent"):
            exchange_reward_model(first, ToyReward(weight=2.0))
        first.set_env(LearnedRewardVecEnv(counters(1), ToyReward(), when="rollout"))
        score_rollouts(first, ToyReward())
        other, kept = first.get_env(), first.replay_buffer if make is dqn else first.rollout_buffer
        first.set_env(second.get_env())
        with pytest.raises(PlaceholderRewardError, match="another environment"):
            first.learn(48)
        assert kept.current() is other
        first.set_env(counters(1))
        score_rollouts(first, ToyReward())
        first.learn(48)
        second.learn(48)


class Watched(BaseCallback):
    """Plays in the agent's own environment every so often, without a look at the rewards, as for a video."""

    def _on_step(self) -> bool:
        if self.n_calls % 31 == 0:
            self.training_env.reset()
            for _ in range(self.n_calls % 9):
                self.training_env.step(np.ones(self.training_env.num_envs, int))
        return True


@own_episodes
@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped")
@pytest.mark.parametrize("callback", [None, "evaluation"])
def test_episodes_of_others_leave_every_row_its_own_reward(callback: str | None) -> None:
    """Also where training was broken off by a callback in between, and in learned returns."""
    agent = dqn()
    score_rollouts(agent, ToyReward())
    playing = Watched() if callback is None else EvalCallback(agent.get_env(), eval_freq=31, n_eval_episodes=2)
    agent.learn(60, callback=playing)
    agent.learn(90, callback=playing, reset_num_timesteps=False)
    buffer = agent.replay_buffer
    assert np.array_equal(buffer.rewards[: buffer.pos, 0], counted(buffer))
    ended = buffer.dones[: buffer.pos, 0].astype(bool)
    assert 0 < len(buffer.learned_returns.finished) <= ended.sum()
    rows = buffer._steps.take(np.arange(buffer.pos))
    whole = [
        float(buffer.rewards[last - rows.step[last] : last + 1, 0].sum(dtype=np.float64))
        for last in np.flatnonzero(ended)
        if last >= rows.step[last] and rows.episode[last - rows.step[last]] == rows.episode[last]
    ]
    assert list(buffer.learned_returns.finished) == pytest.approx(whole)


@own_episodes
def test_sac_too() -> None:
    agent = SAC("MlpPolicy", make_vec_env("Pendulum-v1", env_kwargs={"max_episode_steps": 20}), seed=1, **SAC_SMALL)
    model = ToyReward()
    score_rollouts(agent, model)
    agent.learn(110, callback=EvalCallback(agent.get_env(), eval_freq=25, n_eval_episodes=1, verbose=0))  # type: ignore[arg-type]
    buffer: Any = agent.replay_buffer
    buffer.score_pending()
    steps = buffer._steps.take(np.arange(110))
    assert np.array_equal(steps.next_obs, buffer.next_observations[:110, 0])
    assert np.array_equal(steps.action, 2 * buffer.actions[:110, 0])
    assert np.array_equal(buffer.rewards[:110, 0], model.predict(textualizer("Pendulum-v1").batch(steps)).mean)


def true_return(agent: Any, seed: int) -> float:
    """Of one episode, by hand."""
    env, total, over = CounterEnv(), 0.0, False
    obs, _ = env.reset(seed=seed)
    while not over:
        obs, reward, terminated, truncated, _ = env.step(int(agent.predict(obs, deterministic=True)[0]))
        total, over = total + reward, terminated or truncated
    return total


class TestReports:
    @pytest.mark.parametrize("monitored", [False, True])
    def test_evaluate_policy_tells_the_true_return_and_warns_once(self, monitored: bool) -> None:
        agent = ppo(VecMonitor(counters(1)) if monitored else counters(1))
        score_rollouts(agent, ToyReward())
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            agent.learn(48)
            agent.get_env().seed(0)
            returns = evaluate_policy(agent, agent.get_env(), n_eval_episodes=1, return_episode_rewards=True)[0]
            expected = true_return(agent, seed=0)
            evaluate_policy(agent, agent.get_env(), n_eval_episodes=2)
            agent.learn(48, reset_num_timesteps=False)
        assert [warning.category for warning in told if "wrapped" not in str(warning.message)] == [TrueRewardWarning]
        assert returns == [expected]

    @own_episodes
    @pytest.mark.parametrize("order", ["monitor outside", "scored first"])
    def test_vec_monitor_tells_the_true_return(self, order: str) -> None:
        if order == "monitor outside":
            agent = ppo(VecMonitor(counters()))
            score_rollouts(agent, ToyReward())
        else:
            agent = ppo(VecMonitor(LearnedRewardVecEnv(counters(), ToyReward(), when="rollout")))
            score_rollouts(agent, ToyReward())

        class Returns(BaseCallback):
            def _on_step(self) -> bool:
                for info in self.locals["infos"]:
                    if "episode" in info:
                        seen.append((info["episode"]["r"], info["true_return"]))
                return True

        seen = list[tuple[float, float]]()
        agent.learn(96, callback=Returns())
        assert len(seen) > 10
        assert [r for r, _ in seen] == [true for _, true in seen]
        assert any(true for _, true in seen)

    def test_normalised_observations_warn_of_nothing(self) -> None:
        agent = ppo(VecNormalize(counters(), norm_reward=False))
        score_rollouts(agent, ToyReward())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            agent.learn(96)


class TestRewardsThatAreChanged:
    @own_episodes
    @pytest.mark.parametrize("make", AGENTS)
    @pytest.mark.parametrize("wrapper", [Scaled, ScaledAgain])
    def test_scaling_above_is_refused(self, make: Callable[..., Any], wrapper: type[VecEnvWrapper]) -> None:
        agent = make(counters(1))
        score_rollouts(agent, ToyReward())
        agent.set_env(wrapper(agent.get_env()))
        with pytest.raises(PlaceholderRewardError, match="composition="):
            agent.learn(48)

    @pytest.mark.parametrize("make", AGENTS)
    @pytest.mark.parametrize("later", ["wrapped", "switched on"])
    def test_normalised_rewards_are_refused_later_too(self, make: Callable[..., Any], later: str) -> None:
        agent = make(VecNormalize(counters(1), norm_reward=False) if later == "switched on" else counters(1))
        score_rollouts(agent, ToyReward())
        if later == "wrapped":
            agent.set_env(VecNormalize(agent.get_env()))
        else:
            agent.get_env().norm_reward = True
        before = parameters(agent)
        with pytest.raises(RunError, match="scored"):
            agent.learn(48)
        assert np.array_equal(parameters(agent), before)

    def test_what_adds_to_a_replay_buffers_rewards_is_refused(self) -> None:
        class Bonus(Scaled):
            def step_wait(self) -> Any:
                obs, rewards, dones, infos = self.venv.step_wait()
                rewards[0] += 5.0
                return obs, rewards, dones, infos

        found = list[np.ndarray]()
        for make in AGENTS:
            agent = make(counters(1))
            score_rollouts(agent, ToyReward())
            agent.set_env(Bonus(agent.get_env()))
            if make is dqn:
                with pytest.raises(PlaceholderRewardError, match="composition="):
                    agent.learn(48)
            else:
                found = [parameters(agent.learn(48))]
                found.append(parameters(make(Bonus(LearnedRewardVecEnv(counters(1), ToyReward()))).learn(48)))
        assert np.array_equal(*found)


def test_check_nan_is_refused_above_and_works_below() -> None:
    with pytest.raises(RunError, match="VecCheckNan"):
        score_rollouts(ppo(VecCheckNan(counters())), ToyReward())
    agent = ppo(LearnedRewardVecEnv(VecCheckNan(counters()), ToyReward(), when="rollout"))
    score_rollouts(agent, ToyReward())
    agent.learn(96)


def test_a_chain_that_returns_true_rewards_has_no_agent() -> None:
    agent = ppo(LearnedRewardVecEnv(counters(), ToyReward(), when="rollout", reward="true"))
    with pytest.raises(RunError, match="records steps"):
        score_rollouts(agent, ToyReward())


def test_made_agents_hold_no_zero_before_they_score() -> None:
    agent = make_agent("ppo", COUNTER, reward_model=ToyReward(), n_envs=2, **PPO_SMALL)

    class Looks(BaseCallback):
        def _on_step(self) -> bool:
            seen.append(self.locals["rollout_buffer"].rewards[: self.locals["n_steps"]].copy())
            return True

    seen = list[np.ndarray]()
    agent.learn(96, callback=Looks())
    assert np.isnan(seen[-1]).all()
    assert not np.isnan(agent.rollout_buffer.rewards).any()  # type: ignore[attr-defined]
