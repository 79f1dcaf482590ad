"""``rmgym collect`` writes real steps."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rmgym.cli.main import app
from rmgym.environments.collect import collect, sources_of
from rmgym.sb3 import make_agent, save_agent
from rmgym.transitions import Transitions


def run(*arguments):
    return CliRunner().invoke(app, ["collect", *map(str, arguments)])


def test_the_file_holds_the_steps(tmp_path):
    file = tmp_path / "deep" / "steps.parquet"
    result = run("CartPole-v1", "--steps", 90, "--seed", 4, "--reset-every", 10, "--out", file)
    assert result.exit_code == 0, result.output
    found, expected = Transitions.load(file), collect("CartPole-v1", 90, seed=4, reset_every=10, progress=False)
    np.testing.assert_array_equal(found.next_obs, expected.next_obs)
    assert found.metadata == expected.metadata
    assert "90 steps of CartPole-v1" in result.stdout


def test_zero_lets_episodes_end_by_themselves(tmp_path):
    file = tmp_path / "steps.parquet"
    result = run("Pendulum-v1", "--steps", 210, "--reset-every", 0, "--out", file, "--json")
    facts = json.loads(result.stdout)
    assert (facts["steps"], facts["episodes"], facts["truncated"], facts["terminated"]) == (210, 2, 1, 0)
    assert facts["reset_every"] is None
    assert facts["out"] == str(file)


def test_arguments_of_the_environment(tmp_path):
    file = tmp_path / "steps.parquet"
    result = run("FrozenLake-v1", "--steps", 60, "--env-kwargs", '{"map_name": "8x8"}', "--out", file)
    assert result.exit_code == 0, result.output
    assert Transitions.load(file).metadata["env"]["kwargs"] == {"map_name": "8x8"}


def test_errors_are_sentences(tmp_path):
    result = run("Pendulm-v1", "--out", tmp_path / "steps.parquet")
    assert result.exit_code == 2
    assert "did you mean Pendulum-v1" in result.stderr
    result = run("Pendulum-v1", "--env-kwargs", "{", "--json", "--out", tmp_path / "steps.parquet")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["rule"] == "--env-kwargs is a JSON object"
    assert not list(tmp_path.iterdir())


def test_a_behaviour_is_named(tmp_path):
    file = tmp_path / "steps.parquet"
    result = run("MountainCar-v0", "--steps", 50, "--policy", "sticky", "--out", file)
    assert result.exit_code == 0, result.output
    expected = collect("MountainCar-v0", 50, reset_every=25, policy="sticky", progress=False)
    np.testing.assert_array_equal(Transitions.load(file).action, expected.action)
    assert Transitions.load(file).metadata["sources"] == {"sticky": 0}


def test_an_agent_and_behaviours_take_parts_of_the_steps(tmp_path):
    agent = make_agent("ppo", "CartPole-v1", reward_model="constant", seed=0)
    save_agent(agent, tmp_path / "run" / "agent.zip")
    file, folder = tmp_path / "steps.parquet", tmp_path / "run"
    how = ["--policy", "random", "--policy", "sticky", "--agent", folder, "--steps", 90, "--json"]
    result = run("CartPole-v1", *how, "--out", file)
    assert result.exit_code == 0, result.output
    assert list(json.loads(result.stdout)["sources"]) == ["random", "sticky", str(folder)]
    assert sources_of(Transitions.load(file)) == ["random"] * 30 + ["sticky"] * 30 + [str(folder)] * 30
    alone = run("CartPole-v1", "--agent", folder, "--steps", 20, "--out", tmp_path / "alone.parquet")
    assert alone.exit_code == 0, alone.output
    assert sources_of(Transitions.load(tmp_path / "alone.parquet")) == [str(folder)] * 20
    result = run("CartPole-v1", "--agent", tmp_path / "nothing", "--out", tmp_path / "none.parquet")
    assert result.exit_code == 2
    assert "a saved agent is a zip" in result.stderr


def test_a_dataset_of_minari_is_taken_over(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari", reason="the extra 'data'")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    (episode,) = [collect("CartPole-v1", 9, progress=False)]
    buffer = minari.data_collector.EpisodeBuffer(
        id=0,
        observations=np.concatenate([episode.obs, episode.next_obs[-1:]]),
        actions=episode.action,
        rewards=episode.true_reward,
        terminations=episode.terminated,
        truncations=episode.truncated,
    )
    with pytest.warns(UserWarning, match="is set to None"):
        minari.create_dataset_from_buffers("own/steps-v0", [buffer], env="CartPole-v1", data_format="arrow")
    result = run("CartPole-v1", "--minari", "own/steps-v0", "--out", tmp_path / "steps.parquet")
    assert result.exit_code == 0, result.output
    assert "9 steps of CartPole-v1 in 1 episodes" in result.stdout
    np.testing.assert_array_equal(Transitions.load(tmp_path / "steps.parquet").next_obs, episode.next_obs)
    result = run("Acrobot-v1", "--minari", "own/steps-v0", "--steps", 5, "--out", tmp_path / "other.parquet")
    assert result.exit_code == 2
    assert "steps of CartPole-v1 for Acrobot-v1" in result.stderr
    result = run("CartPole-v1", "--minari", "own/steps-v0", "--policy", "random", "--out", tmp_path / "o.parquet")
    assert result.exit_code == 2
    assert "leave --policy and --agent out" in result.stderr
