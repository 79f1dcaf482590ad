"""Collected steps are those that the environment took, and an end is only what the environment called one."""

import gymnasium as gym
import numpy as np
import pytest

from rmgym.cards import find_env_card
from rmgym.environments.collect import collect, sources_of
from rmgym.errors import RunError
from rmgym.specs import EnvSpec
from rmgym.text import textualizer
from rmgym.transitions import Transitions
from tests.doubles import COUNTER


def test_steps_equal_a_loop_written_by_hand():
    got = collect("CartPole-v1", 80, seed=3, progress=False)
    env = gym.make("CartPole-v1")
    env.action_space.seed(3)
    obs, _ = env.reset(seed=3)
    episode, step = 0, 0
    for i in range(80):
        action = env.action_space.sample()
        next_obs, reward, terminated, truncated, _ = env.step(action)
        np.testing.assert_array_equal(got.obs[i], obs)
        np.testing.assert_array_equal(got.next_obs[i], next_obs)
        assert got.action[i] == action
        assert got.true_reward[i] == reward
        assert (got.terminated[i], got.truncated[i]) == (terminated, truncated)
        assert (got.episode[i], got.step[i]) == (episode, step)
        obs, step = next_obs, step + 1
        if terminated or truncated:
            obs, _ = env.reset()
            episode, step = episode + 1, 0
    assert got.terminated.sum() >= 2, "the seed is meant to show more than one episode"


def test_a_cut_is_neither_termination_nor_truncation():
    got = collect("Pendulum-v1", 60, reset_every=25, progress=False)
    assert not got.terminated.any()
    assert not got.truncated.any()
    assert got.episode.tolist() == [0] * 25 + [1] * 25 + [2] * 10
    assert got.step.tolist() == [*range(25), *range(25), *range(10)]
    assert all("The episode goes on." in text for text in textualizer("Pendulum-v1").batch(got).strings())


def test_a_time_limit_truncates_and_the_final_observation_is_kept():
    got = collect("Pendulum-v1", 201, progress=False)
    assert np.flatnonzero(got.truncated).tolist() == [199]
    assert not got.terminated.any()
    assert got.episode[200] == 1
    assert not np.array_equal(got.next_obs[199], got.obs[200])
    np.testing.assert_array_equal(got.next_obs[:199], got.obs[1:200])


def test_both_flags_at_once_stay_both():
    got = collect(COUNTER, 12, policy=lambda obs: 2 if obs[0] < 3 else 1, env_kwargs={"limit": 3}, progress=False)
    both = got.terminated & got.truncated
    assert both.any(), "a start at 0 reaches 3 at the limit of 3"
    assert (got.next_obs[both][:, 0] == 3).all()


def test_an_environment_that_reuses_its_array_does_not_overwrite_history():
    reused = collect(COUNTER, 12, seed=1, env_kwargs={"reuse": True}, progress=False)
    copied = collect(COUNTER, 12, seed=1, progress=False)
    np.testing.assert_array_equal(reused.obs, copied.obs)
    np.testing.assert_array_equal(reused.next_obs, copied.next_obs)
    assert len(np.unique(reused.obs[:, 1])) > 1


def test_a_policy_is_given_observations_and_obeyed():
    got = collect("Pendulum-v1", 30, policy=lambda obs: np.float32([obs[2] / 10]), progress=False)
    np.testing.assert_allclose(got.action[:, 0], got.obs[:, 2] / 10, rtol=1e-6)


def test_same_seed_same_steps_and_global_randomness_is_left_alone():
    state = np.random.get_state()[1].copy()
    first, again, other = (collect("Pendulum-v1", 20, seed=s, progress=False) for s in (5, 5, 6))
    np.testing.assert_array_equal(first.next_obs, again.next_obs)
    np.testing.assert_array_equal(first.action, again.action)
    assert not np.array_equal(first.obs[0], other.obs[0])
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_metadata_says_where_steps_come_from_and_survives_a_file(tmp_path):
    kwargs = {"map_name": "8x8", "is_slippery": False}
    got = collect("FrozenLake-v1", 10, seed=2, reset_every=5, env_kwargs=kwargs, progress=False)
    about = dict(got.metadata)
    assert about.pop("rmgym")
    assert about.pop("card") == find_env_card("FrozenLake-v1").hash
    rows = ["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"]
    assert about.pop("facts") == {"map": [list(row) for row in rows]}
    spec = EnvSpec(id="FrozenLake-v1", kwargs=kwargs)
    assert about == {"env": spec.to_json(), "seed": 2, "reset_every": 5, "sources": {"random": 0}, "seeds": {"0": 2}}
    assert EnvSpec.from_json(about["env"], "metadata") == spec
    assert Transitions.load(got.save(tmp_path / "steps.parquet")).metadata == got.metadata


@pytest.mark.parametrize(
    ("env_id", "kwargs", "said"),
    [
        ("Pendulm-v1", {}, "did you mean Pendulum-v1"),
        ("Nowhere/Nothing-v0", {}, "is its package installed"),
        ("CartPole-v9", {}, "CartPole-v1"),
        ("Pendulum-v1", {"gravity": 1}, "unexpected keyword argument 'gravity'"),
    ],
)
def test_an_environment_that_cannot_be_made_is_explained(env_id, kwargs, said):
    with pytest.raises(RunError) as caught:
        collect(env_id, 1, env_kwargs=kwargs, progress=False)
    assert said in str(caught.value)
    assert env_id in str(caught.value)


def test_some_episodes_under_a_fixed_horizon_are_not_cut_before_the_absorbing_state():
    right = {"policy": lambda obs: 2, "fixed_horizon": 6, "env_kwargs": {"limit": 6}, "progress": False}
    got = collect(COUNTER, 60, seed=1, reset_every=2, **right)  # from -1, 0 or 1 it takes 4, 3 or 2 steps to the end
    lengths = np.bincount(got.episode)
    assert lengths[1:10].tolist() == [2] * 9
    for patient in (0, 10, 20):
        kinds = got.absorbing[got.episode == patient]
        assert kinds.tolist() == [0] * (len(kinds) - 2) + [1, 2]
    never = {**right, "policy": lambda obs: 1}
    got = collect(COUNTER, 60, seed=1, reset_every=2, **never)
    assert np.bincount(got.episode).tolist() == [6] + [2] * 27, "one whole episode in vain is enough"
    cut = collect(COUNTER, 60, seed=1, reset_every=2, env_kwargs={"limit": 6}, policy=lambda obs: 2, progress=False)
    assert np.bincount(cut.episode).max() == 2


@pytest.mark.parametrize(("steps", "reset_every"), [(0, None), (-1, None), (5, 0)])
def test_counts_are_positive(steps, reset_every):
    with pytest.raises(RunError, match="at least 1"):
        collect("Pendulum-v1", steps, reset_every=reset_every, progress=False)


class Steady:
    """Acts as agents of Stable-Baselines3 do."""

    def predict(self, observation, *, deterministic):
        assert not deterministic, "steps to ask about are of what an agent does as it trains"
        return np.float32([observation[2] / 10]), None


def test_whatever_predicts_may_act():
    got = collect("Pendulum-v1", 30, policy=Steady(), progress=False)
    np.testing.assert_allclose(got.action[:, 0], got.obs[:, 2] / 10, rtol=1e-6)
    assert got.metadata["sources"] == {"Steady": 0}


def test_several_sources_take_equal_parts_and_are_remembered(tmp_path):
    sources = {"at random": "random", "mine": Steady(), "right": lambda obs: np.float32([2])}
    got = collect("Pendulum-v1", 100, seed=4, reset_every=10, policy=sources, progress=False)
    names = sources_of(Transitions.load(got.save(tmp_path / "steps.parquet")))
    assert names == ["at random"] * 34 + ["mine"] * 33 + ["right"] * 33
    assert (np.diff(got.episode) >= 0).all()
    assert got.metadata["sources"] == {"at random": 0, "mine": 4, "right": 8}
    alone = collect("Pendulum-v1", 34, seed=4, reset_every=10, progress=False)
    np.testing.assert_array_equal(got.next_obs[:34], alone.next_obs)
    assert (got.action[67:] == 2).all()
    some = got[np.array([99, 0, 40])]
    assert sources_of(some) == ["right", "at random", "mine"]
    assert sources_of(Transitions.from_arrays(got.obs, got.action, got.next_obs)) is None


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        ({}, "each source takes a step"),
        ({str(i): "random" for i in range(4)}, "each source takes a step"),
        (3, "a policy is a function"),
        ("sticki", "a behaviour is known"),
    ],
)
def test_what_cannot_act_is_refused(policy, rule):
    with pytest.raises(RunError, match=rule):
        collect("Pendulum-v1", 3, policy=policy, progress=False)
