"""Steps of other origin are those that collect would give, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rmgym
from rmgym.environments.collect import collected_in, sources_of
from rmgym.environments.kinds import Info
from rmgym.environments.replay import can_replay
from rmgym.environments.trajectories import transitions_of
from rmgym.errors import RunError
from rmgym.transitions import Transitions
from rmgym.trees import Tree, concatenate, leaves, take

Episode = dict[str, Any]


def episodes_of(steps: Transitions) -> list[Episode]:
    """Collected steps, an episode each, as others keep them."""
    parts = [steps[steps.episode == number] for number in range(int(steps.episode[-1]) + 1)]
    return [
        {
            "observations": _joined(part.obs, take(part.next_obs, slice(-1, None))),
            "actions": part.action,
            "rewards": part.true_reward,
            "terminations": part.terminated,
            "truncations": part.truncated,
        }
        for part in parts
    ]


def _joined(first: Tree, last: Tree) -> Tree:
    return concatenate([first, last])


def same(one: Transitions, other: Transitions) -> bool:
    names = ("obs", "action", "next_obs", "terminated", "truncated", "episode", "step", "true_reward", "absorbing")
    trees = [({n: getattr(each, n) for n in names}) for each in (one, other)]
    first, second = (leaves(tree) for tree in trees)
    return first.keys() == second.keys() and all(
        first[path].dtype == second[path].dtype and np.array_equal(first[path], second[path]) for path in first
    )


@pytest.fixture
def cartpole() -> Episode:
    (episode,) = episodes_of(rmgym.collect("CartPole-v1", 5, progress=False))
    return episode


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1", "Taxi-v4"])
def test_what_was_collected_comes_back(env: str, tmp_path: Path) -> None:
    collected = rmgym.collect(env, 120, reset_every=30, progress=False)
    steps = transitions_of(episodes_of(collected), env)
    assert same(steps, collected)
    steps = Transitions.load(steps.save(tmp_path / "steps.parquet"))
    spec = collected_in(steps)
    assert spec is not None
    assert spec.id == env
    assert steps.metadata["card"] == collected.metadata["card"]
    texts = rmgym.textualizer(env).batch
    assert texts(steps).strings() == texts(collected).strings()
    assert sources_of(steps) == ["trajectories"] * 120
    with gym.make(env) as live:
        assert not can_replay(live, steps)


class Room(gym.Env[dict[str, Any], tuple[Any, ...]]):
    """Parts of several kinds."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Dict(
            {
                "place": gym.spaces.Box(0, 1, (2,), np.float32),
                "words": gym.spaces.Text(8),
                "doors": gym.spaces.MultiBinary(3),
            }
        )
        self.action_space = gym.spaces.Tuple((gym.spaces.Discrete(3, start=-1), gym.spaces.MultiDiscrete([2, 3])))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: tuple[Any, ...]) -> tuple[dict[str, Any], float, bool, bool, Info]:
        return self.observation_space.sample(), 0.0, False, False, {}


gym.register("TrajectoryRoom-v0", f"{__name__}:Room", max_episode_steps=7)


def test_trees_are_batches_or_lists_of_values() -> None:
    collected = rmgym.collect("TrajectoryRoom-v0", 14, progress=False)
    batches = episodes_of(collected)
    assert same(transitions_of(batches, "TrajectoryRoom-v0"), collected)
    lists = [
        {
            **episode,
            "observations": [{k: v[i] for k, v in episode["observations"].items()} for i in range(8)],
            "actions": [tuple(part[i] for part in episode["actions"]) for i in range(7)],
        }
        for episode in batches
    ]
    assert same(transitions_of(lists, "TrajectoryRoom-v0"), collected)
    del batches[0]["observations"]["doors"]
    with pytest.raises(RunError, match=r"(?s)have its parts.*episode 0, observations: \['place', 'words'\]"):
        transitions_of(batches, "TrajectoryRoom-v0")


def test_rewards_may_be_unknown_and_dtypes_those_of_lists(cartpole: Episode) -> None:
    expected = transitions_of([cartpole], "CartPole-v1")
    del cartpole["rewards"]
    plain = {name: array.tolist() for name, array in cartpole.items()}
    steps = transitions_of([plain], "CartPole-v1")
    assert np.isnan(steps.true_reward).all()
    assert steps.obs.dtype == np.float32
    np.testing.assert_array_equal(steps.obs, expected.obs)
    assert len(transitions_of([plain, plain, plain], "CartPole-v1", steps=7)) == 7


def change(**arrays: Any) -> Any:
    """An episode with other arrays; None takes one away."""
    return lambda episode: {k: v for k, v in {**episode, **arrays}.items() if v is not None}


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (change(terminations=None), r"(?s)episode 0 without terminations.*neither can be guessed"),
        (change(terminations=None, truncations=None), "without terminations, truncations"),
        (change(terminations=[False] * 4), "4 terminations, 5 truncations"),
        (change(terminations=[0.5] * 5), "True or False"),
        (change(terminations=[], truncations=[]), "0 terminations"),
        (change(truncations=[False, True, False, False, False]), "(?s)ends at its last step.*ends at step 1 of 5"),
        (change(observations=np.zeros((5, 4))), r"(?s)\(5, 4\), not \(6, 4\).*the observation after the last step too"),
        (change(observations=np.zeros((6, 3))), r"\(6, 3\), not \(6, 4\)"),
        (change(observations=np.full((6, 4), np.nan)), "values are of Box"),
        (change(observations=[[1.0], [1.0, 2.0]]), "episode 0, observations"),
        (change(actions=[0, 1, 2, 0, 1]), r"(?s)values are of Discrete\(2\).*int64 from 0 to 2"),
        (change(actions=[0.0, 1.0, 1.0, 0.0, 1.0]), r"(?s)values are of Discrete\(2\).*float64"),
        (change(actions=[0, 1]), r"\(2,\), not \(5,\)"),
        (change(actions=[[0], [1], [0], [1], [0]]), r"\(5, 1\), not \(5,\)"),
        (change(rewards=[1.0]), "one finite reward for each of 5 steps"),
        (change(rewards=[np.inf] * 5), "one finite reward for each of 5 steps"),
        (change(dones=[False] * 5), "(?s)keys that are read.*dones"),
        (change(observation=[0]), "did you mean 'observations'"),
    ],
)
def test_what_does_not_fit_is_refused(cartpole: Episode, wrong: Any, rule: str) -> None:
    with pytest.raises(RunError, match=rule):
        transitions_of([wrong(cartpole)], "CartPole-v1")


def test_other_refusals(cartpole: Episode) -> None:
    with pytest.raises(RunError, match="no episodes"):
        transitions_of([], "CartPole-v1")
    with pytest.raises(RunError, match="steps is at least 1"):
        transitions_of([cartpole], "CartPole-v1", steps=0)
    with pytest.raises(RunError, match="episode 1, observations"):
        transitions_of([cartpole, {**cartpole, "observations": cartpole["observations"][:-1]}], "CartPole-v1")
    with pytest.raises(RunError, match="recorded episodes are as they were"):
        transitions_of([cartpole], rmgym.specs.EnvSpec(id="CartPole-v1", horizon=9))


@pytest.fixture
def minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Minari, with a folder of its own for datasets."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return pytest.importorskip("minari", reason="the extra 'data'")


def record(minari: Any, env: Any, name: str, episodes: list[Episode], **how: Any) -> Any:
    """A dataset of episodes; its collector, and files of HDF5, would need jax and h5py."""
    make = minari.data_collector.EpisodeBuffer
    buffers = [make(id=number, **{**episode, "infos": None}) for number, episode in enumerate(episodes)]
    return minari.create_dataset_from_buffers(name, buffers, env=env, data_format="arrow", **how)


pytestmark = pytest.mark.filterwarnings("ignore:(`.*` is set to None|env_spec is None):UserWarning")
"""Minari asks for authors and the like."""


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "TrajectoryRoom-v0"])
def test_a_dataset_of_minari(minari: Any, env: str) -> None:
    collected = rmgym.collect(env, 60, progress=False)
    record(minari, gym.make(env), "rmgym/test-v0", episodes_of(collected))
    for given in ("rmgym/test-v0", minari.load_dataset("rmgym/test-v0")):
        steps = transitions_of(given, env)
        assert same(steps, collected)
        assert sources_of(steps) == ["rmgym/test-v0"] * 60
        assert len(transitions_of(given, env, steps=7)) == 7


def test_a_dataset_of_another_environment(minari: Any) -> None:
    lake: dict[str, Any] = {"map_name": "8x8"}
    collected = rmgym.collect("FrozenLake-v1", 60, env_kwargs=lake, progress=False)
    record(minari, gym.make("FrozenLake-v1", **lake), "rmgym/lake-v0", episodes_of(collected))
    with pytest.raises(RunError, match=r"(?s)steps of FrozenLake-v1 for CartPole-v1.*name FrozenLake-v1"):
        transitions_of("rmgym/lake-v0", "CartPole-v1")
    with pytest.raises(RunError, match=r"(?s)map_name.*8x8.*pass env_kwargs="):
        transitions_of("rmgym/lake-v0", "FrozenLake-v1")
    steps = transitions_of("rmgym/lake-v0", "FrozenLake-v1", env_kwargs=lake)
    assert same(steps, collected)
    assert steps.metadata["facts"] == collected.metadata["facts"]
    pendulum = episodes_of(rmgym.collect("Pendulum-v1", 30, progress=False))
    below = gym.wrappers.FlattenObservation(gym.make("Pendulum-v1"))
    record(minari, below, "rmgym/flat-v0", pendulum)
    with pytest.raises(RunError, match="above FlattenObservation"):
        transitions_of("rmgym/flat-v0", "Pendulum-v1")
    with pytest.raises(RunError, match=r"(?s)on this machine.*did you mean 'rmgym/lake-v0'"):
        transitions_of("rmgym/lakes-v0", "FrozenLake-v1")


def test_a_dataset_of_other_spaces(minari: Any, cartpole: Episode) -> None:
    spaces = {"observation_space": gym.spaces.Box(-9, 9, (4,), np.float32), "action_space": gym.spaces.Discrete(2)}
    dataset = record(minari, None, "rmgym/buffers-v0", [cartpole], **spaces)
    with pytest.raises(RunError, match="observations of Box"):
        transitions_of(dataset, "CartPole-v1")
