"""An agent's own environment, wrappers included: evaluated, saved and loaded as it is, or refused with the reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RescaleAction, TimeAwareObservation
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, VecFrameStack, VecMonitor, VecNormalize

import rmgym
from rmgym.environments.build import build_env, describe_env
from rmgym.errors import RunError
from rmgym.models.controls import RandomReward
from rmgym.sb3 import RewardComparisonCallback, evaluate, load_agent, save_agent, score_rollouts
from rmgym.sb3.spec import spec_of
from rmgym.specs import EnvSpec, Layer
from tests.doubles import COUNTER, DICT, CounterEnv, ToyReward

RESCALED = Layer(entry="gymnasium.wrappers.transform_action:RescaleAction", kwargs={"min_action": -1, "max_action": 1})


def ppo(env: Any, policy: str = "MlpPolicy") -> Any:
    return PPO(policy, env, n_steps=32, batch_size=32, n_epochs=2, seed=3, device="cpu")


def rescaled() -> gym.Env[Any, Any]:
    return RescaleAction(rmgym.RawObservation(gym.make("Pendulum-v1")), -1, 1)


def played(agent: Any, env: gym.Env[Any, Any], seeds: range) -> list[float]:
    """Returns of the agent in an environment, by hand."""
    returns = []
    for seed in seeds:
        obs, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            obs, reward, terminated, truncated, _ = env.step(agent.predict(obs, deterministic=True)[0])
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    return returns


def played_in(agent: Any, chain: VecEnv, seed: int) -> float:
    """The return of one episode in a chain of vector wrappers around one environment, by hand."""
    chain.seed(seed)
    obs, total, dones = chain.reset(), 0.0, np.zeros(1, bool)
    while not dones.any():
        obs, rewards, dones, _ = chain.step(agent.predict(obs, deterministic=True)[0])
        total += float(rewards[0])
    return total


def test_rescaled_actions_mean_in_evaluation_what_they_mean_in_training(tmp_path: Path) -> None:
    agent = ppo(make_vec_env(rescaled, 2, seed=3))
    score_rollouts(agent, where := RandomReward(seed=1).save(tmp_path / "model"))
    agent.learn(128)
    expected = played(agent, rescaled(), range(40, 43))
    compared = evaluate(agent, None, where, episodes=3, seed=40)
    np.testing.assert_allclose(compared.true_return, expected, rtol=1e-5)
    chosen = agent.predict(rescaled().reset(seed=40)[0], deterministic=True)[0]
    np.testing.assert_allclose(compared.steps.action[0], 2 * chosen, rtol=1e-5)  # what the environment got
    elsewhere = evaluate(agent, EnvSpec(id="Pendulum-v1"), "constant", episodes=3, seed=40)
    assert np.abs(elsewhere.true_return - expected).max() > 1, "the plain environment is another task"
    loaded = load_agent(save_agent(agent, tmp_path / "agent.zip"))
    np.testing.assert_allclose(evaluate(loaded, None, where, episodes=3, seed=40).true_return, expected, rtol=1e-5)
    assert spec_of(loaded) == spec_of(agent)


def test_the_callback_evaluates_there_too() -> None:
    agent = ppo(make_vec_env(rescaled, 2, seed=3))
    score_rollouts(agent, ToyReward())
    watch = RewardComparisonCallback(eval_every=64, episodes=2, seed=40)
    agent.learn(64, callback=watch)
    assert watch.last is not None
    np.testing.assert_allclose(watch.last.true_return, played(agent, rescaled(), range(40, 42)), rtol=1e-5)


def test_a_learned_reward_among_the_wrappers_reads_what_it_read_in_training() -> None:
    """The order that everyone types first, with a wrapper below and one above the learned reward."""
    model = ToyReward()
    env = TimeAwareObservation(rmgym.LearnedRewardWrapper(rescaled(), model))
    agent = ppo(env)
    watch = RewardComparisonCallback(model, eval_every=64, episodes=1, seed=40)
    agent.learn(64, callback=watch)
    assert watch.last is not None
    assert watch.last.steps.obs.shape[1] == 3
    np.testing.assert_allclose(
        watch.last.true_return, played(agent, TimeAwareObservation(rescaled()), range(40, 41)), rtol=1e-5
    )
    by_hand = model.predict(rmgym.textualizer(rescaled()).batch(watch.last.steps)).mean
    np.testing.assert_allclose(watch.last.learned_reward, by_hand)


def test_a_horizon_of_60_is_60_after_loading(tmp_path: Path) -> None:
    agent = ppo(make_vec_env(lambda: rmgym.FixedHorizonWrapper(gym.make("CartPole-v1"), 60), 2, seed=0))
    score_rollouts(agent, "random")
    agent.learn(64)
    assert evaluate(agent, None, "random", episodes=2).length.tolist() == [60, 60]
    loaded = load_agent(save_agent(agent, tmp_path / "agent.zip"))
    env: Any = loaded.env
    env.reset()
    ends = [t for t in range(120) if env.step(np.zeros(2, np.int64))[2].any()]
    assert ends == [59, 119]


@pytest.mark.parametrize("outside", [True, False], ids=["stack outside", "stack inside"])
def test_stacked_and_normalised_observations(outside: bool, tmp_path: Path) -> None:
    def chain(venv: VecEnv, **settings: Any) -> VecEnv:
        if outside:
            return VecFrameStack(VecNormalize(venv, norm_reward=False, clip_obs=1.5, **settings), 3)
        return VecNormalize(VecFrameStack(venv, 3), norm_reward=False, clip_obs=1.5, **settings)

    agent = ppo(chain(make_vec_env("Pendulum-v1", 2, seed=0)))
    score_rollouts(agent, "random")
    agent.learn(96, callback=RewardComparisonCallback(eval_every=32, episodes=1))
    loaded = load_agent(save_agent(agent, tmp_path / "agent.zip"), "random")
    mine, theirs = agent.get_vec_normalize_env(), loaded.get_vec_normalize_env()
    assert theirs is not None
    assert theirs.clip_obs == 1.5
    np.testing.assert_array_equal(mine.obs_rms.mean, theirs.obs_rms.mean)  # type: ignore[union-attr]
    by_hand = chain(make_vec_env("Pendulum-v1", 1), training=False)
    normalizer = by_hand if isinstance(by_hand, VecNormalize) else by_hand.venv  # type: ignore[attr-defined]
    normalizer.obs_rms = mine.obs_rms
    expected = played_in(agent, by_hand, 40)
    for judged in (agent, loaded):
        assert evaluate(judged, None, "random", episodes=1, seed=40).true_return[0] == pytest.approx(expected, rel=1e-5)
    assert type(loaded.env) is (VecFrameStack if outside else VecNormalize)


def test_statistics_of_dict_observations_are_saved(tmp_path: Path) -> None:
    venv = VecNormalize(DummyVecEnv([lambda: gym.make(DICT)] * 2), norm_reward=False, norm_obs_keys=["position"])
    agent = ppo(venv, "MultiInputPolicy")
    score_rollouts(agent, "random")
    agent.learn(64)
    loaded: Any = load_agent(save_agent(agent, tmp_path / "agent.zip"), "random").get_vec_normalize_env()
    assert loaded.norm_obs_keys == ["position"]
    np.testing.assert_array_equal(loaded.obs_rms["position"].mean, venv.obs_rms["position"].mean)  # type: ignore[index]


class Halves(gym.Wrapper[Any, Any, Any, Any]):
    """Says nothing of what it was made with."""

    def __init__(self, env: gym.Env[Any, Any], share: float) -> None:
        super().__init__(env)
        self.share = share


class Passes(gym.Wrapper[Any, Any, Any, Any]):
    """Has nothing to say."""


class Rounds(CounterEnv):
    """Another environment under a registered id."""


OTHER = replace(gym.spec(COUNTER), entry_point=Rounds)


class Unknown(VecEnvWrapper):
    """A vector wrapper of somebody's own."""

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        return self.venv.step_wait()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: DummyVecEnv([lambda: Halves(gym.make(COUNTER), 0.5)]), "Halves, which does not say .*share"),
        (lambda: Unknown(DummyVecEnv([lambda: gym.make(COUNTER)])), "Unknown above the learned reward"),
        (lambda: DummyVecEnv([lambda: gym.make(COUNTER, limit=np.datetime64("2026-01-01"))]), "JSON-able"),
        (lambda: DummyVecEnv([CounterEnv]), "never registered.*gymnasium.register"),
        (lambda: DummyVecEnv([lambda: gym.make(COUNTER, limit=lambda: 6)]), "JSON-able.*lambda"),
        (lambda: DummyVecEnv([lambda: gym.make(COUNTER, limit={"steps": [np.random.default_rng(0)]})]), "JSON-able"),
        (lambda: DummyVecEnv([lambda: gym.make(OTHER)]), "made from .*Rounds.*registered with .*CounterEnv"),
    ],
)
def test_what_could_not_be_made_again_is_refused_before_anything_is_changed(make: Any, reason: str) -> None:
    agent = ppo(make())
    before, buffer = agent.env, agent.rollout_buffer
    with pytest.raises(RunError, match=f"(?s){reason}"):
        score_rollouts(agent, "random")
    assert agent.env is before
    assert agent.rollout_buffer is buffer
    assert spec_of(agent) is None


@pytest.mark.filterwarnings("ignore::rmgym.errors.TrueRewardWarning")
def test_what_changes_nothing_is_left_out(tmp_path: Path) -> None:
    agent = ppo(VecMonitor(DummyVecEnv([lambda: Passes(gym.make(COUNTER))])))
    score_rollouts(agent, "random")
    spec = spec_of(agent)
    assert spec is not None
    assert spec.env == EnvSpec(id=COUNTER, wrappers=(Layer(entry=f"{__name__}:Passes"),))
    load_agent(save_agent(agent.learn(32), tmp_path / "agent.zip"), "random").learn(32)


def test_wrappers_that_an_id_brings_along_are_put_there_once() -> None:
    gym.register("rmgym-test/Rescaled-v0", entry_point=rescaled)
    live = TimeAwareObservation(gym.make("rmgym-test/Rescaled-v0", max_episode_steps=30))
    spec = describe_env(live.spec)
    assert [layer.name for layer in spec.wrappers] == ["TimeAwareObservation"]
    assert spec.kwargs == {"max_episode_steps": 30}
    again = build_env(spec)
    assert str(again) == str(live)


def test_a_spec_made_of_a_live_environment_makes_it_again() -> None:
    spec = describe_env(rescaled().spec)
    raw = Layer(entry="rmgym.environments.raw_observation:RawObservation")
    assert spec == EnvSpec(id="Pendulum-v1", wrappers=(raw, RESCALED))
    assert build_env(spec).action_space == rescaled().action_space


def test_arguments_that_an_id_does_not_have_by_itself_are_kept() -> None:
    gym.register("rmgym-test/Limited-v0", CounterEnv, kwargs={"limit": 1, "reuse": False}, disable_env_checker=True)
    for limit in (np.arange(3), (4, [5.0]), 1.0, True):
        spec = describe_env(gym.make("rmgym-test/Limited-v0", limit=limit).spec)
        assert spec is not None
        again = build_env(EnvSpec.from_json(json.loads(json.dumps(spec.to_json())), "a test")).unwrapped
        assert type(again.limit) is type(limit)  # type: ignore[attr-defined]
        assert str(again.limit) == str(limit)  # type: ignore[attr-defined]
    assert describe_env(gym.make("rmgym-test/Limited-v0", limit=1).spec) == EnvSpec(id="rmgym-test/Limited-v0")


@pytest.mark.parametrize("odd", [lambda: 6, np.array(["six"]), np.array([len], object), CounterEnv, {6}, b"6"])
def test_an_argument_that_could_not_be_kept_is_refused_on_every_road(odd: Any) -> None:
    roads: tuple[Any, ...] = (
        lambda: EnvSpec(id=COUNTER, kwargs={"limit": odd}),
        lambda: rmgym.collect(COUNTER, 1, env_kwargs={"limit": odd}, progress=False),
        lambda: rmgym.sb3.make_agent("ppo", COUNTER, reward_model="random", env_kwargs={"limit": [odd]}),
        lambda: describe_env(gym.make(COUNTER, limit=odd).spec),
    )
    for road in roads:
        with pytest.raises(RunError, match="JSON-able"):
            road()


def test_an_id_that_is_not_registered_is_refused() -> None:
    with pytest.raises(RunError, match="never registered"):
        describe_env(gym.make(replace(gym.spec(COUNTER), id="rmgym-test/Nowhere-v0")).spec)


class Halved(RescaleAction):  # type: ignore[type-arg,misc]
    """Its base class records arguments that are not its own."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env, -0.5, 0.5)


@pytest.mark.parametrize(
    ("makers", "rule"),
    [
        ([lambda: gym.wrappers.TimeLimit(gym.make("Pendulum-v1"), 400)], "time limit"),
        ([lambda: Halved(gym.make("Pendulum-v1"))], "its own constructor"),
        ([lambda: gym.make("Pendulum-v1", g=9.8), lambda: gym.make("Pendulum-v1", g=1.0)], "are alike"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*precision lowered")
def test_what_would_be_made_otherwise_is_refused(makers: Any, rule: str) -> None:
    agent = PPO("MlpPolicy", DummyVecEnv(makers))
    with pytest.raises(RunError, match=rule):
        score_rollouts(agent, "random")
