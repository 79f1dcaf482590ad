"""Policies that are kept, and what heads take them for."""

from dataclasses import replace
from pathlib import Path

import numpy as np

import rmgym
from rmgym.runs.loop_policies import keep_policy, values_of
from rmgym.transitions import Transitions


def test_the_latest_whole_episodes_are_kept(tmp_path: Path) -> None:
    steps = rmgym.collect("Pendulum-v1", 1500, seed=0, progress=False)  # seven episodes of 200, and a part of one
    keep_policy(tmp_path, "agent", steps)
    kept = Transitions.load(tmp_path / "agent.parquet")
    assert np.unique(kept.episode).tolist() == [3, 4, 5, 6]
    assert np.bincount(kept.episode)[3:].tolist() == [200] * 4


def test_what_never_ends_is_kept_as_it_is_and_a_long_episode_whole(tmp_path: Path) -> None:
    steps = rmgym.collect("Pendulum-v1", 100, seed=0, progress=False)
    keep_policy(tmp_path, "cut", steps)
    assert len(Transitions.load(tmp_path / "cut.parquet")) == 100
    long = replace(rmgym.collect("Pendulum-v1", 1400, seed=0, progress=False), episode=np.zeros(1400, np.int64))
    keep_policy(tmp_path, "long", long)
    assert len(Transitions.load(tmp_path / "long.parquet")) == 1400


def test_a_policy_is_worth_what_heads_predict_for_an_episode(tmp_path: Path) -> None:
    parts = {
        name: rmgym.collect("CartPole-v1", 150, seed=1, policy=name, progress=False) for name in ("random", "sticky")
    }
    for name, steps in parts.items():
        keep_policy(tmp_path, name, steps)
    model = rmgym.create_reward_model("no-lm", seed=0, heads=1)
    words = rmgym.textualizer("CartPole-v1")
    model.prepare(words.batch(parts["random"]))
    model.scale.fill_(3.0)
    model.offset.fill_(-2.0)
    model.accept_random_weights().eval()
    files = [tmp_path / f"{name}.parquet" for name in parts]
    values = values_of(model, files, words)
    assert values.shape == (2, 1)
    for file, value in zip(files, values[:, 0], strict=True):
        kept = Transitions.load(file)
        expected = model.predict(words.batch(kept)).mean.sum(dtype=np.float64) / len(set(kept.episode.tolist()))
        np.testing.assert_allclose(value, expected, rtol=1e-4)
