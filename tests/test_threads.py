"""Threads are set for a block, and crowding is named."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch

import rmgym
from rmgym import threads
from rmgym.errors import OversubscriptionWarning
from tests.doubles import ToyReward
from tests.sb3.small import PPO_SMALL


def test_a_block_has_its_own_number_of_threads() -> None:
    before = torch.get_num_threads()
    with threads.torch_threads(3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("count", "cores", "load", "warned"),
    [(1, 2, 9.0, False), (2, 2, 0.3, False), (2, 2, 1.4, True), (4, 2, 0.0, True), (4, 16, 9.0, False)],
)
def test_crowding_is_named(count: int, cores: int, load: float, warned: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(threads, "available_cores", lambda: cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    with threads.torch_threads(count), warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), **PPO_SMALL)
    said = [w for w in heard if w.category is OversubscriptionWarning]
    assert bool(said) == warned
    for warning in said:
        assert "set_num_threads(1)" in str(warning.message)
        assert warning.filename == __file__


FORKED = """
import sys, gymnasium as gym, numpy as np, torch, rmgym
from stable_baselines3.common.vec_env import SubprocVecEnv

torch.set_num_threads(2)
torch.ones(2_000_000).exp().sum()  # by both of them
sizes = {"vocab_size": 512, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
TEXTS = [f"angle: {i / 8:.3f}, speed: {i / 3:.2f}" for i in range(2000)]

def scored():
    model = rmgym.create_reward_model("seq2seq", **sizes).accept_random_weights()
    model.predict(TEXTS)
    return model

models = {
    "of the parent": lambda model=scored() if sys.argv[1] == "of the parent" else None: model,
    "of its own": scored,
    "constant": lambda: rmgym.load_reward_model("constant"),
}
makers = [lambda: rmgym.LearnedRewardWrapper(gym.make("Pendulum-v1"), models[sys.argv[1]]())] * 2
workers = SubprocVecEnv(makers, start_method="fork")
workers.reset()
rewards = workers.step(np.zeros((2, 1)))[1]
workers.close()
print(np.isfinite(rewards).all(), torch.get_num_threads())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("model", ["of the parent", "of its own", "constant"])
def test_forked_workers_score_after_several_threads_have(model: str) -> None:
    """OpenMP's threads are not copied by a fork; waiting for them, a worker hung."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-W", "ignore", "-c", FORKED, model]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "True 2\n"), done.stderr
