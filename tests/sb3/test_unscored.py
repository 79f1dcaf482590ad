"""A reward that is not there yet can be summed up as the true one and added to; all the rest is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import (
    VecNormalize,
)

from rmgym.errors import PlaceholderRewardError
from rmgym.sb3 import LearnedRewardVecEnv, score_rollouts
from rmgym.sb3.unscored import UnscoredRewards
from tests.doubles import CounterEnv, ToyReward
from tests.sb3.small import counters, ppo

own_episodes = pytest.mark.filterwarnings("ignore::rmgym.errors.TrueRewardWarning")


class TestRewards:
    @pytest.fixture
    def rewards(self) -> UnscoredRewards:
        venv = LearnedRewardVecEnv(counters(), ToyReward(), when="rollout")
        venv.drain()
        venv.seed(next(s for s in range(99) if [CounterEnv().reset(seed=s + i)[0][0] for i in (0, 1)] == [0, 0]))
        venv.reset()
        return venv.step(np.array([2, 1]))[1]  # type: ignore[return-value]  # true rewards 12 and 1

    @own_episodes
    def test_are_summed_up_as_the_true_ones(self, rewards: UnscoredRewards) -> None:
        sums = np.array([100.0, 200.0])
        sums += rewards
        assert sums.tolist() == [112, 201]
        assert 1.0 + rewards[0] == 13
        assert [0 + reward for reward in rewards] == [12, 1]

    def test_make_no_new_array(self, rewards: UnscoredRewards) -> None:
        """Nor do they reach the statistics with which a VecNormalize could scale rewards later."""
        assert np.isnan(np.array([1.0, 2.0]) * 0.5 + rewards).all()
        agent = ppo(VecNormalize(counters(), norm_reward=False))
        score_rollouts(agent, ToyReward())
        assert np.isnan(agent.learn(96).get_vec_normalize_env().ret_rms.mean)

    def test_keep_what_sb3_adds_to_them(self, rewards: UnscoredRewards) -> None:
        before = rewards.copy()
        rewards[1] += 0.9 * torch.tensor([2.0])
        rewards[1] += 1
        assert rewards.added is not None
        assert rewards.added.tolist() == pytest.approx([0, 2.8])
        assert before.added is None
        assert rewards.true.tolist() == [12, 1]

    @pytest.mark.parametrize(
        "use",
        [
            lambda r: r * 0.1,
            lambda r: 0.1 * r[0],
            lambda r: r + r,
            lambda r: 0.0 + r,
            lambda r: r[0].__iadd__(r.copy()[0]),
            lambda r: np.array(r),
            lambda r: np.clip(r, -1, 1),
            lambda r: np.zeros(2).__setitem__(slice(None), r),
            lambda r: np.zeros(2).__setitem__(0, r[0]),
            lambda r: r.__setitem__(0, 0.5),
            lambda r: r.__setitem__(0, r.copy()[0]),
            lambda r: r.__iadd__(np.ones(2)),
            lambda r: np.mean(r),
            lambda r: r.sum(),
            lambda r: float(r[0]),
            lambda r: r > 0,
            lambda r: bool(r),
            lambda r: bool(r[0]),
            lambda r: np.isnan(r),
            lambda r: r.astype(int),
        ],
    )
    def test_all_the_rest_is_refused(self, rewards: UnscoredRewards, use: Callable[[Any], Any]) -> None:
        with pytest.raises(PlaceholderRewardError, match="score_rollouts"):
            use(rewards)

    def test_are_no_tensor(self, rewards: Any) -> None:
        with pytest.raises(TypeError):
            torch.as_tensor(rewards)

    def test_are_unknown_where_they_are_saved(self, rewards: UnscoredRewards, tmp_path: Path) -> None:
        assert np.isnan(pickle.loads(pickle.dumps(rewards))).all()
        assert isinstance(copy.deepcopy(rewards), UnscoredRewards)
        agent = ppo(VecNormalize(counters(), norm_reward=False))
        score_rollouts(agent, ToyReward())
        agent.learn(96).get_env().save(str(tmp_path / "statistics.pkl"))
        assert b"ToyReward" not in (tmp_path / "statistics.pkl").read_bytes()
