"""A saved agent plays in its own environment, for steps to ask about."""

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

import rmgym
from rmgym.environments.collect import sources_of
from rmgym.errors import RunError
from rmgym.sb3 import AgentPlayer, evaluate, load_agent, make_agent, save_agent
from rmgym.sb3.saving import load_to_act
from rmgym.specs import EnvSpec


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with an agent of CartPole that has learned a little, on a reward model that is gone."""
    folder = tmp_path_factory.mktemp("run")
    agent = make_agent("ppo", "CartPole-v1", reward_model="constant", seed=0)
    agent.learn(512)
    save_agent(agent, folder / "agent.zip")
    return folder


def test_its_steps_are_those_of_episodes_it_plays(run):
    got = rmgym.collect(
        "CartPole-v1", 60, seed=7, policy={"agent": AgentPlayer(run), "random": "random"}, progress=False
    )
    assert sources_of(got) == ["agent"] * 30 + ["random"] * 30
    agent = load_agent(run / "agent.zip")
    played = evaluate(agent, None, "true", episodes=1, seed=7, deterministic=False).steps
    n = min(30, len(played))
    assert n > 5
    np.testing.assert_array_equal(got.obs[0], played.obs[0])
    assert got.step[:n].tolist() == list(range(n))
    np.testing.assert_array_equal(
        got.next_obs[:29][got.episode[:29] == got.episode[1:30]], got.obs[1:30][got.episode[:29] == got.episode[1:30]]
    )


def test_its_reward_model_is_not_needed(tmp_path):
    steps = rmgym.collect("CartPole-v1", 40, progress=False)
    texts = rmgym.textualizer("CartPole-v1").batch(steps)
    ratings = rmgym.Ratings(texts=texts, values=steps.obs[:, 2], groups=steps.episode)
    how = rmgym.FitOptions(max_steps=2, validation=0)
    model = rmgym.fit("no-lm", rmgym.Labels(ratings=ratings), how, out=tmp_path / "model", progress=False)
    agent = make_agent("ppo", "CartPole-v1", reward_model=str(tmp_path / "model"), seed=0)
    save_agent(agent, tmp_path / "agent.zip")
    (tmp_path / "model" / "reward_model.json").unlink()
    assert model.path is not None
    assert len(AgentPlayer(tmp_path / "agent.zip").play(EnvSpec(id="CartPole-v1"), 25, 0)) == 25


def test_it_sees_what_it_was_trained_on(tmp_path):
    agent = make_agent("a2c", "Pendulum-v1", reward_model="constant", seed=0)
    assert agent.get_vec_normalize_env() is not None
    agent.learn(200)
    save_agent(agent, tmp_path / "agent.zip")
    acting = load_to_act(tmp_path / "agent.zip")
    np.testing.assert_array_equal(
        acting.get_vec_normalize_env().obs_rms.mean, agent.get_vec_normalize_env().obs_rms.mean
    )
    with pytest.raises(RunError, match="AgentPlayer"):
        rmgym.collect("Pendulum-v1", 5, policy=agent, progress=False)
    assert len(rmgym.collect("Pendulum-v1", 5, policy=AgentPlayer(tmp_path / "agent.zip"), progress=False)) == 5


@pytest.mark.parametrize(
    ("env", "how", "rule"),
    [
        ("Acrobot-v1", {}, "plays where it was trained"),
        ("CartPole-v1", {"env_kwargs": {"max_episode_steps": 9}}, "plays where it was trained"),
        ("CartPole-v1", {"fixed_horizon": 9}, "as they are"),
    ],
)
def test_it_does_not_play_elsewhere(run, env, how, rule):
    with pytest.raises(RunError, match=rule):
        rmgym.collect(env, 5, policy=AgentPlayer(run), progress=False, **how)


def test_an_agent_of_plain_stable_baselines_acts_by_predict():
    agent = PPO("MlpPolicy", "CartPole-v1", n_steps=64, seed=0)
    assert not isinstance(agent.env, VecNormalize)
    assert set(rmgym.collect("CartPole-v1", 30, policy=agent, progress=False).action.tolist()) == {0, 1}
