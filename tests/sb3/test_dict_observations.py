"""Dictionary observations, from the environment to a trained agent."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO

import rmgym
from rmgym.sb3 import evaluate
from rmgym.trees import leaves
from tests.doubles import DICT, DictEnv, ToyReward
from tests.sb3.small import DQN_SMALL, PPO_SMALL, parameters


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_deferred_scoring_teaches_what_scoring_per_step_does(algo: str) -> None:
    small = PPO_SMALL if algo == "ppo" else DQN_SMALL
    agents = [
        rmgym.sb3.make_agent(algo, DICT, reward_model=ToyReward(), when=when, seed=1, **small).learn(200)
        for when in ("step", "rollout")
    ]
    assert type(agents[0].policy).__name__.startswith("MultiInput")
    assert np.array_equal(*map(parameters, agents))
    compared = evaluate(agents[1], DICT, "random", episodes=3)
    assert compared.length.tolist() == [7, 7, 7]
    assert compared.steps.obs["position"][:, 0].tolist() == [*range(7)] * 3


def test_an_agent_of_ones_own_is_attached() -> None:
    agent = PPO("MultiInputPolicy", gym.make(DICT), seed=0, device="cpu", **PPO_SMALL)
    model = ToyReward()
    rmgym.sb3.score_rollouts(agent, model)
    agent.learn(2 * PPO_SMALL["n_steps"])
    assert model.calls == [14]  # all that this environment ever says: the second rollout is known by heart
    assert agent.rollout_buffer.learned_rewards.all()  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
def test_the_plain_wrapper_passes_gymnasiums_checks() -> None:
    env = rmgym.LearnedRewardWrapper(gym.make(DICT), ToyReward())
    check_env(env, skip_render_check=True)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(1)
    text = rmgym.textualizer(DICT).describe(*_first_step(1))
    assert reward == info["learned_reward"] == pytest.approx(float(ToyReward().predict([text]).mean[0]))
    assert info["true_reward"] == 1.0


def _first_step(action: int) -> tuple[Any, int, Any]:
    env = DictEnv()
    before, _ = env.reset()
    return before, action, env.step(action)[0]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_final_observations_of_vector_environments(mode: AutoresetMode) -> None:
    model = ToyReward()
    env = rmgym.LearnedRewardVectorWrapper(SyncVectorEnv([DictEnv, DictEnv], autoreset_mode=mode), model)
    env.reset(seed=0)
    by_hand = rmgym.LearnedRewardWrapper(DictEnv(), model)
    by_hand.reset(seed=0)
    for _ in range(7):
        _, rewards, terminated, _, _ = env.step(np.array([1, 1]))
        _, reward, *_ = by_hand.step(1)
        assert rewards.tolist() == pytest.approx([reward, reward])
    assert terminated.all()


def test_collected_steps_are_saved(tmp_path: Any) -> None:
    steps = rmgym.collect(DICT, 20, progress=False)
    back = rmgym.Transitions.load(steps.save(tmp_path / "steps.parquet"))
    for path, leaf in leaves(steps.obs).items():
        np.testing.assert_array_equal(leaves(back.obs)[path], leaf)
