"""The agent's network sees wrapped observations; the text is made from the raw ones, final ones included."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import rmgym
from rmgym.environments.raw_observation import RAW, for_policy
from rmgym.errors import CardError, RunError
from rmgym.sb3 import evaluate
from rmgym.trees import leaves, take
from tests.doubles import ToyReward

FLAT = ["gymnasium.wrappers.FlattenObservation"]


def blackjack() -> gym.Env[Any, Any]:
    return for_policy(gym.make("Blackjack-v1"), FLAT)


def played(venv: Any, steps: int) -> Any:
    """Steps that the wrapper recorded under random actions, and the infos it handed on."""
    env, rng = rmgym.sb3.LearnedRewardVecEnv(venv, ToyReward(), when="rollout"), np.random.default_rng(0)
    env.drain()
    env.seed(0)
    env.reset()
    infos = [info for _ in range(steps) for info in env.step(rng.integers(0, 2, env.num_envs))[3]]
    return env, env.drain(), infos


@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv])
def test_recorded_steps_are_those_of_the_raw_environments(kind: Any) -> None:
    env, steps, infos = played(kind([blackjack, blackjack]), 40)
    assert env.observation_space == gym.spaces.Box(0, 1, (45,), np.int64)
    assert not any(RAW in info for info in infos)
    assert steps.terminated.sum() > 10
    raw = DummyVecEnv([lambda: _Untupled(gym.make("Blackjack-v1"))] * 2)
    raw.seed(0)
    before, rng = raw.reset(), np.random.default_rng(0)
    for t in range(40):
        after, _, dones, said = raw.step(rng.integers(0, 2, 2))
        for e in range(2):
            row, final = 2 * t + e, said[e]["terminal_observation"] if dones[e] else after[e]
            assert [int(leaf[0]) for leaf in leaves(take(steps.obs, [row])).values()] == before[e].tolist()
            assert [int(leaf[0]) for leaf in leaves(take(steps.next_obs, [row])).values()] == final.tolist()
        before = after
    env.close()


class _Untupled(gym.ObservationWrapper[Any, Any, Any]):
    """Blackjack's tuple as an array that says the same."""

    observation_space = gym.spaces.Box(0, 40, (3,), np.int64)

    def observation(self, observation: Any) -> Any:
        return np.array(observation)


def test_an_agent_is_trained_evaluated_saved_and_loaded(tmp_path: Any) -> None:
    model = ToyReward()
    told = {"n_envs": 2, "n_steps": 32, "batch_size": 32}
    agents = {
        when: rmgym.sb3.make_agent("ppo", "Blackjack-v1", reward_model=model, when=when, seed=0, **told).learn(128)
        for when in ("step", "rollout")
    }
    weights = [np.concatenate([p.detach().numpy().ravel() for p in a.policy.parameters()]) for a in agents.values()]
    np.testing.assert_array_equal(*weights)
    compared = evaluate(agents["rollout"], "Blackjack-v1", model, episodes=5)
    assert set(np.unique(compared.true_return)) <= {-1.0, 0.0, 1.0}
    assert compared.steps.obs[0].max() <= 21
    by_hand = model.predict(rmgym.textualizer("Blackjack-v1").batch(compared.steps)).mean
    np.testing.assert_allclose(compared.learned_reward, by_hand)
    rmgym.sb3.save_agent(agents["rollout"], tmp_path / "agent.zip")
    again = rmgym.sb3.load_agent(tmp_path / "agent.zip", model)
    assert again.observation_space == agents["rollout"].observation_space
    again.learn(64, reset_num_timesteps=False)


def test_minigrid_is_seen_as_an_array_and_told_in_words() -> None:
    agent = rmgym.sb3.make_agent("ppo", "MiniGrid-DoorKey-5x5-v0", reward_model=ToyReward(), seed=0, n_envs=1)
    assert agent.observation_space.shape == (147,)
    text = agent.env.venv.textualizer if hasattr(agent.env, "venv") else agent.env.textualizer
    assert isinstance(text.observation_space, gym.spaces.Dict)
    check_env(for_policy(gym.make("MiniGrid-DoorKey-5x5-v0"), ["minigrid.wrappers.FlatObsWrapper"]), warn=False)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gymnasium.wrappers.FlatenObservation", "did you mean 'FlattenObservation'"),
        ("gymnasium.wrappers.ClipAction", "changes observations alone"),
        ("minigrid.wrappers.FlatObsWrapper", "fits its environment"),
    ],
)
def test_wrong_wrappers_are_refused(path: str, said: str) -> None:
    with pytest.raises(CardError, match=said):
        for_policy(gym.make("Blackjack-v1"), [path])


def test_a_card_names_wrappers_of_gymnasium_and_minigrid_alone() -> None:
    from pydantic import ValidationError

    from rmgym.cards import EnvCard

    with pytest.raises(ValidationError, match=r"gymnasium.wrappers or minigrid.wrappers"):
        EnvCard(id="X-v0", task={"en": "Go."}, policy_wrappers=["os.system"])


class Forgets(gym.Wrapper[Any, Any, Any, Any]):
    """Returns an info of its own."""

    def step(self, action: Any) -> Any:
        return (*super().step(action)[:4], {})


@pytest.mark.parametrize("put", [rmgym.LearnedRewardWrapper, rmgym.sb3.LearnedRewardVecEnv])
def test_a_wrapper_above_that_forgets_the_info_is_refused(put: Any) -> None:
    def scaled() -> gym.Env[Any, Any]:
        env = rmgym.RawObservation(gym.make("MountainCarContinuous-v0"))
        return Forgets(gym.wrappers.RescaleObservation(env, -1, 1))

    single = put is rmgym.LearnedRewardWrapper
    env = put(scaled() if single else DummyVecEnv([scaled]), ToyReward())
    env.reset()
    with pytest.raises(RunError, match="hand its info on"):
        env.step(np.zeros(1, np.float32) if single else np.zeros((1, 1), np.float32))


def test_absorbing_steps_are_below() -> None:
    env = rmgym.RawObservation(gym.make("CartPole-v1"))
    with pytest.raises(RunError, match="the other way round"):
        rmgym.FixedHorizonWrapper(gym.wrappers.FlattenObservation(env), 9)
