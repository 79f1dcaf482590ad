"""The SB3 wrapper against the single wrapper, and deferred scoring against immediate scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor, VecNormalize

from rmgym.errors import ModelError, PlaceholderRewardError, RunError, TextError
from rmgym.models.controls import ConstantReward
from rmgym.sb3 import LearnedRewardVecEnv
from rmgym.sb3.unscored import UnscoredRewards
from rmgym.text import textualizer
from rmgym.transitions import Transitions
from rmgym.wrappers import Composition, LearnedRewardWrapper
from tests.doubles import COUNTER, CounterEnv, ToyReward

KEYS = ("learned_reward", "true_reward", "learned_return", "true_return")
EVERY = (*KEYS, "composed_return")


def dummy(env_id: str = COUNTER, n: int = 3, monitor: bool = False) -> DummyVecEnv:
    def make() -> gym.Env[Any, Any]:
        env = gym.make(env_id, max_episode_steps=20)
        return Monitor(env) if monitor else env

    return DummyVecEnv([make] * n)


def actions_of(row: int, space: gym.Space[Any]) -> Iterator[Any]:
    """Each environment's own sequence of actions."""
    space.seed(row)
    return iter([space.sample() for _ in range(100)])


def run(venv: VecEnv, steps: int) -> tuple[np.ndarray, list[list[dict[str, Any]]]]:
    """Rewards ``[T, n]`` (under deferred scoring the true ones) and infos ``[T][n]``."""
    actions = [actions_of(row, venv.action_space) for row in range(venv.num_envs)]
    venv.seed(100)
    venv.reset()
    rewards, infos = [], []
    for _ in range(steps):
        _, reward, _, info = venv.step(np.stack([next(a) for a in actions]))
        rewards.append(reward.true if isinstance(reward, UnscoredRewards) else reward)
        infos.append(info)
    return np.array(rewards), infos


def single(env_id: str, row: int, steps: int, **options: Any) -> tuple[list[float], list[dict[str, float]]]:
    """Rewards and our infos of the single wrapper in environment ``row``."""
    env = LearnedRewardWrapper(gym.make(env_id, max_episode_steps=20), ToyReward(std=0.5), **options)
    actions, rewards, infos = actions_of(row, env.action_space), list[float](), list[dict[str, float]]()
    env.reset(seed=100 + row)
    for _ in range(steps):
        _, reward, terminated, truncated, info = env.step(next(actions))
        rewards.append(reward)
        infos.append({key: info[key] for key in EVERY if key in info})
        if terminated or truncated:
            env.reset()
    return rewards, infos


@pytest.mark.parametrize(("env_id", "steps"), [("CartPole-v1", 60), ("FrozenLake-v1", 60), ("Pendulum-v1", 50)])
@pytest.mark.filterwarnings("ignore::rmgym.errors.ConstantUncertaintyWarning")  # the toy has one std
@pytest.mark.parametrize("composition", [None, Composition(true_weight=0.1, clip=(-1, 1), uncertainty_penalty=0.5)])
def test_says_what_the_single_wrapper_says(env_id: str, steps: int, composition: Composition | None) -> None:
    venv = LearnedRewardVecEnv(dummy(env_id), ToyReward(std=0.5), composition=composition)
    rewards, infos = run(venv, steps)
    for row in range(3):
        expected_rewards, expected_infos = single(env_id, row, steps, composition=composition)
        said = [{key: info[row][key] for key in EVERY if key in info[row]} for info in infos]
        assert [set(i) for i in said] == [set(i) for i in expected_infos]
        assert any("true_return" in i for i in said)
        assert any("composed_return" in i for i in said) is (composition is not None)
        for ours, theirs in zip(said, expected_infos, strict=True):
            assert ours["learned_reward"] == theirs["learned_reward"]
            assert ours == pytest.approx(theirs, rel=1e-6)  # SB3 hands on true rewards in single precision
        np.testing.assert_allclose(rewards[:, row], expected_rewards, rtol=1e-6, atol=1e-6)
    assert all(type(info[row][key]) is float for info in infos for row in range(3) for key in KEYS[:2])


def test_terminal_observation_and_truncation_by_hand() -> None:
    """Row 0 rises from 0 and terminates at 3; row 1 stands at 0 until the time limit truncates it."""
    seed = next(s for s in range(100) if [CounterEnv().reset(seed=s + i)[0][0] for i in (0, 1)] == [0, 0])
    venv = LearnedRewardVecEnv(dummy(n=2), ToyReward())
    venv.seed(seed)
    venv.reset()
    say = textualizer(COUNTER)

    def scored(*step: Any, **flags: bool) -> float:
        return float(ToyReward().predict([say.describe(*step, **flags)]).mean[0])

    for _ in range(2):
        venv.step(np.array([2, 1]))
    obs, rewards, dones, infos = venv.step(np.array([2, 1]))
    assert dones.tolist() == [True, False]
    assert rewards.tolist() == [scored([2, 2], 2, [3, 3], terminated=True), scored([0, 2], 1, [0, 3])]
    assert infos[0]["true_return"] == 12 + 22 + 32
    assert infos[0]["learned_return"] == pytest.approx(
        scored([0, 0], 2, [1, 1]) + scored([1, 1], 2, [2, 2]) + rewards[0]
    )
    assert "true_return" not in infos[1]
    start = obs[0]  # of row 0's next episode
    obs, rewards, _, _ = venv.step(np.array([1, 1]))
    assert rewards[0] == scored(start, 1, np.add(start, [0, 1]))
    venv.step(np.array([1, 1]))
    _, rewards, dones, infos = venv.step(np.array([1, 1]))
    assert dones[1]
    assert infos[1]["TimeLimit.truncated"]
    assert rewards[1] == scored([0, 5], 1, [0, 6], truncated=True)
    assert infos[1]["true_return"] == 6.0


def test_both_flags_at_once_are_termination_as_sb3_says() -> None:
    """SB3's infos do not tell that the time limit was reached as well; see the class."""
    venv = LearnedRewardVecEnv(DummyVecEnv([partial(CounterEnv, limit=3)]), ToyReward())
    venv.seed(next(s for s in range(100) if CounterEnv().reset(seed=s)[0][0] == 0))
    venv.reset()
    for _ in range(3):
        _, rewards, dones, _ = venv.step(np.array([2]))
    assert dones[0]
    text = venv.textualizer.describe([2, 2], 2, [3, 3], terminated=True)
    assert rewards[0] == ToyReward().predict([text]).mean[0]


@pytest.mark.parametrize(("env_id", "steps"), [(COUNTER, 40), ("Pendulum-v1", 50), ("FrozenLake-v1", 40)])
@pytest.mark.filterwarnings("ignore::rmgym.errors.ConstantUncertaintyWarning")  # the toy has one std
@pytest.mark.parametrize("composition", [None, Composition(true_weight=0.1, clip=(-1, 1), uncertainty_penalty=0.5)])
def test_deferred_scores_are_the_immediate_rewards(env_id: str, steps: int, composition: Composition | None) -> None:
    at_once = LearnedRewardVecEnv(dummy(env_id), ToyReward(std=0.5), composition=composition)
    model = ToyReward(std=0.5)
    deferred = LearnedRewardVecEnv(dummy(env_id), model, when="rollout", composition=composition)
    deferred.drain()
    rewards, infos = run(at_once, steps)
    before, deferred_infos = run(deferred, steps)
    np.testing.assert_array_equal(before, np.float32([[info["true_reward"] for info in row] for row in infos]))
    assert model.calls == []
    recorded = deferred.drain()
    np.testing.assert_array_equal(deferred.score(recorded).reshape(steps, 3), rewards)
    assert len(model.calls) == 1  # one batch
    learned = [[info["learned_reward"] for info in row] for row in infos]
    np.testing.assert_array_equal(deferred.learned(recorded).reshape(steps, 3), learned)
    for ours, theirs in zip(deferred_infos, infos, strict=True):
        for info, other in zip(ours, theirs, strict=True):
            assert {k: v for k, v in other.items() if not k.startswith(("learned", "composed"))}.keys() == info.keys()
            assert [info.get(k) for k in KEYS[1::2]] == [other.get(k) for k in KEYS[1::2]]
    np.testing.assert_array_equal(
        recorded.true_reward.reshape(steps, 3), [[i["true_reward"] for i in r] for r in infos]
    )


def test_what_is_drained_by_hand() -> None:
    venv = LearnedRewardVecEnv(DummyVecEnv([partial(CounterEnv, limit=2)] * 2), ToyReward(), when="rollout")
    venv.drain()
    venv.seed(0)
    first = venv.reset()
    for actions in ([2, 0], [1, 1], [0, 1]):
        venv.step(np.array(actions))
    steps = venv.drain()
    assert steps.action.tolist() == [2, 0, 1, 1, 0, 1]  # row t * n + e
    np.testing.assert_array_equal(steps.obs[:2], first)
    np.testing.assert_array_equal(steps.next_obs[:2], np.add(first, [[1, 1], [-1, 1]]))
    np.testing.assert_array_equal(steps.obs[2:4], steps.next_obs[:2])
    np.testing.assert_array_equal(steps.next_obs[2:4], np.add(first, [[1, 2], [-1, 2]]))  # the final ones
    assert steps.obs[4:, 1].tolist() == [0, 0]
    assert steps.truncated.tolist() == [False, False, True, True, False, False]
    assert not steps.terminated.any()
    assert steps.episode.tolist() == [0, 1, 0, 1, 2, 3]
    assert steps.step.tolist() == [0, 0, 1, 1, 0, 0]
    np.testing.assert_array_equal(steps.true_reward, 10 * steps.next_obs[:, 0] + steps.action)
    assert steps.metadata == {"card_hash": venv.textualizer.card_hash}
    assert venv.drain().obs.shape == (0, 2)
    venv.step(np.array([1, 1]))
    assert venv.drain().step.tolist() == [1, 1]


def test_scores_are_copies() -> None:
    venv = LearnedRewardVecEnv(dummy("Pendulum-v1"), "true", when="rollout")
    venv.drain()
    run(venv, 3)
    steps = venv.drain()
    before = steps.true_reward.copy()
    venv.score(steps)[:] += 7  # as SB3's bootstrap does
    np.testing.assert_array_equal(steps.true_reward, before)


def test_rewards_handed_out_may_be_changed() -> None:
    """SB3 adds its bootstrap to them in place."""
    venv = LearnedRewardVecEnv(dummy(), ToyReward(), reward="true", when="rollout")
    venv.drain()
    venv.reset()
    _, rewards, _, _ = venv.step(np.zeros(3, int))
    kept = rewards.copy()
    rewards += 1000
    np.testing.assert_array_equal(venv.drain().true_reward, kept)


@pytest.mark.parametrize("when", ["step", "rollout"])
def test_the_true_reward_in_the_same_chain(when: Literal["step", "rollout"]) -> None:
    bare, _ = run(dummy("Pendulum-v1"), 30)
    venv = LearnedRewardVecEnv(dummy("Pendulum-v1"), ToyReward(), reward="true", when=when)
    venv.drain()
    rewards, infos = run(venv, 30)
    np.testing.assert_array_equal(rewards, bare)
    learned, _ = run(LearnedRewardVecEnv(dummy("Pendulum-v1"), ToyReward()), 30)
    if when == "step":
        np.testing.assert_allclose([[i["learned_reward"] for i in row] for row in infos], learned)
    else:
        np.testing.assert_array_equal(venv.score(venv.drain()).reshape(30, 3), learned)


@pytest.mark.parametrize("when", ["step", "rollout"])
def test_the_control_true_passes_the_reward_through(when: Literal["step", "rollout"]) -> None:
    bare, _ = run(dummy("Pendulum-v1"), 30)
    venv = LearnedRewardVecEnv(dummy("Pendulum-v1"), "true", when=when)
    venv.drain()
    rewards, infos = run(venv, 30)
    if when == "step":
        assert all(i["learned_reward"] == i["true_reward"] for row in infos for i in row)
    else:
        rewards = venv.score(venv.drain()).reshape(30, 3)
    np.testing.assert_array_equal(rewards, bare)


def test_monitor_inside_sees_the_true_return_and_outside_the_learned() -> None:
    _, infos = run(LearnedRewardVecEnv(dummy(monitor=True), ToyReward()), 20)
    _, outer_infos = run(VecMonitor(LearnedRewardVecEnv(dummy(), ToyReward())), 20)
    ends = [i for row in infos for i in row if "episode" in i]
    outer_ends = [i for row in outer_infos for i in row if "episode" in i]
    assert len(ends) == len(outer_ends) > 5
    for info, other in zip(ends, outer_ends, strict=True):
        assert info["episode"]["r"] == pytest.approx(info["true_return"])
        assert other["episode"]["r"] == pytest.approx(other["learned_return"], abs=1e-4)
        assert [info[k] for k in KEYS] == [other[k] for k in KEYS]


def test_normalisation_above_does_not_reach_the_text() -> None:
    plain, _ = run(LearnedRewardVecEnv(dummy("Pendulum-v1"), ToyReward()), 30)
    normalised = VecNormalize(LearnedRewardVecEnv(dummy("Pendulum-v1"), ToyReward()), norm_reward=False)
    rewards, _ = run(normalised, 30)
    np.testing.assert_array_equal(rewards, plain)
    assert not np.allclose(normalised.get_original_obs(), normalised.normalize_obs(normalised.get_original_obs()))
    deferred = VecNormalize(LearnedRewardVecEnv(dummy("Pendulum-v1"), ToyReward(), when="rollout"), norm_reward=False)
    deferred.venv.drain()
    run(deferred, 30)
    np.testing.assert_array_equal(deferred.score(deferred.drain()).reshape(30, 3), plain)  # reached through it


class _Stays(ToyReward):
    """A model that must not leave this process."""

    def __reduce__(self) -> Any:
        raise AssertionError("the model was pickled")


def test_workers_never_get_the_model() -> None:
    venv = SubprocVecEnv([CounterEnv] * 2, start_method="fork")
    try:
        rewards, _ = run(LearnedRewardVecEnv(venv, _Stays()), 20)
    finally:
        venv.close()
    expected, _ = run(LearnedRewardVecEnv(DummyVecEnv([CounterEnv] * 2), ToyReward()), 20)
    np.testing.assert_array_equal(rewards, expected)


def test_one_call_of_the_model_per_step_and_equal_texts_once() -> None:
    model = ToyReward()
    venv = LearnedRewardVecEnv(DummyVecEnv([partial(CounterEnv, limit=9)] * 3), model)
    venv.seed(next(s for s in range(1000) if len({CounterEnv().reset(seed=s + i)[0][0] for i in range(3)}) == 2))
    venv.reset()
    for _ in range(4):
        venv.step(np.ones(3, int))
    assert model.calls == [2] * 4


def test_ppo_trains_on_exactly_these_rewards() -> None:
    """Clipped actions reach the text: Pendulum's torque is limited to 2, the policy's is not."""
    inner = LearnedRewardVecEnv(make_vec_env("Pendulum-v1", n_envs=2, seed=0), ToyReward())
    shadow = LearnedRewardVecEnv(inner.venv, ToyReward(), when="rollout")  # only its scoring is used
    seen = list[Any]()
    take = inner.step_async
    inner.step_async = lambda actions: (seen.append(actions.copy()), take(actions))[1]
    agent = PPO("MlpPolicy", inner, n_steps=64, batch_size=64, n_epochs=1, seed=0, device="cpu")
    agent.learn(128)
    assert np.abs(seen).max() <= 2
    assert np.abs(agent.rollout_buffer.actions).max() > 2
    obs = agent.rollout_buffer.observations[:64]  # the first environment's: SB3 flattened them so
    steps = Transitions.from_arrays(obs[:-1], np.array(seen)[:63, 0], obs[1:])
    np.testing.assert_array_equal(shadow.score(steps), agent.rollout_buffer.rewards[:63, 0])


class TestBadInput:
    def test_placeholders_that_nobody_takes(self) -> None:
        agent = PPO("MlpPolicy", LearnedRewardVecEnv(dummy(), ToyReward(), when="rollout"), n_steps=8, batch_size=8)
        with pytest.raises(PlaceholderRewardError, match="score_rollouts"):
            agent.learn(8)

    @pytest.mark.parametrize("make", [lambda: gym.make(COUNTER), lambda: gym.make_vec(COUNTER, num_envs=2)])
    def test_no_vec_env(self, make: Callable[[], Any]) -> None:
        with pytest.raises(RunError, match="VecEnv"):
            LearnedRewardVecEnv(make(), "random")

    def test_unknown_options(self) -> None:
        with pytest.raises(RunError, match="'learned' or 'true'"):
            LearnedRewardVecEnv(dummy(), "random", reward="both")
        with pytest.raises(RunError, match="'step' or 'rollout'"):
            LearnedRewardVecEnv(dummy(), "random", when="later")

    def test_normalisation_below(self) -> None:
        with pytest.raises(RunError, match="VecNormalize below"):
            LearnedRewardVecEnv(VecMonitor(VecNormalize(dummy())), "random")

    def test_normalisation_inside_a_member(self) -> None:
        members = DummyVecEnv([lambda: gym.wrappers.NormalizeReward(gym.make(COUNTER))])
        with pytest.raises(RunError, match="NormalizeReward below"):
            LearnedRewardVecEnv(members, "random")

    @pytest.mark.parametrize("when", ["step", "rollout"])
    def test_an_environment_that_does_not_say_where_it_ended(self, when: Literal["step", "rollout"]) -> None:
        class Silent(DummyVecEnv):
            def step_wait(self) -> Any:
                obs, rewards, dones, infos = super().step_wait()
                return obs, rewards, dones, [{} for _ in infos]

        venv = LearnedRewardVecEnv(Silent([partial(CounterEnv, limit=1)]), ToyReward(), when=when)
        venv.drain()
        venv.reset()
        with pytest.raises(RunError, match=r"terminal_observation(.|\n)*Silent"):
            venv.step(np.array([1]))

    def test_step_before_reset(self) -> None:
        with pytest.raises(RunError, match="begins with reset"):
            LearnedRewardVecEnv(dummy(), "random").step(np.zeros(3, int))

    def test_a_model_of_another_card(self) -> None:
        with pytest.raises(ModelError, match="fitted on"):
            LearnedRewardVecEnv(dummy(), ToyReward(card_hash=textualizer("CartPole-v1").card_hash))

    @pytest.mark.parametrize("when", ["step", "rollout"])
    def test_nan_in_one_environment(self, when: Literal["step", "rollout"]) -> None:
        class Broken(CounterEnv):
            def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
                return super().step(action)[0] * np.nan, 0.0, False, False, {}

        venv = LearnedRewardVecEnv(DummyVecEnv([CounterEnv, Broken]), ToyReward(), when=when)
        venv.drain()
        venv.reset()

        def step_and_score() -> None:
            venv.step(np.array([1, 1]))
            venv.score(venv.drain())

        with pytest.raises(TextError, match="row 1"):
            step_and_score()

    def test_wrapping_twice(self) -> None:
        inner = DummyVecEnv([lambda: LearnedRewardWrapper(gym.make(COUNTER), "random")])
        for below in (inner, LearnedRewardVecEnv(dummy(), "random")):
            with pytest.raises(RunError, match="wrap once"):
                LearnedRewardVecEnv(below, ConstantReward())
