"""What acting at random earns."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from rmgym.evaluation.evaluate import EVALUATION_SEED
from rmgym.evaluation.random_policy import RandomPolicy, RandomReturns, play_at_random
from rmgym.specs import EnvSpec


def test_returns_are_those_of_an_environment_stepped_by_hand() -> None:
    played = play_at_random(EnvSpec(id="CartPole-v1"), gym.spaces.Discrete(2), episodes=1, action_seed=3)
    env, actions, total, over = gym.make("CartPole-v1"), gym.spaces.Discrete(2, seed=3), 0.0, False
    env.reset(seed=EVALUATION_SEED)
    while not over:
        _, reward, terminated, truncated, _ = env.step(actions.sample())
        total, over = total + float(reward), terminated or truncated
    env.close()
    assert played == RandomReturns(returns=(total,), seed=EVALUATION_SEED, action_seed=3)


def test_it_is_seeded_and_disturbs_nothing() -> None:
    space = gym.spaces.Box(-2.0, 2.0, (1,), np.float32, seed=5)
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    spec = EnvSpec(id="Pendulum-v1", kwargs={"max_episode_steps": 20})
    first, again, other = (play_at_random(spec, space, episodes=3, action_seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.returns != other.returns
    assert (np.random.get_state()[1] == before).all()
    assert space.sample() == gym.spaces.Box(-2.0, 2.0, (1,), np.float32, seed=5).sample()


@pytest.mark.parametrize(
    ("space", "mask", "possible"),
    [
        (gym.spaces.Discrete(4), [0, 1, 0, 1], {(1,), (3,)}),
        (gym.spaces.MultiDiscrete([2, 3]), [0, 1, 1, 0, 1], {(1, 0), (1, 2)}),
    ],
)
def test_masked_actions_are_not_taken(space: gym.Space, mask: list[int], possible: set[tuple[int, ...]]) -> None:
    masks = np.array([mask] * 50, bool)
    actions, memory = RandomPolicy(space, 0).predict(np.zeros((50, 1)), deterministic=True, action_masks=masks)
    assert memory is None
    assert {tuple(np.atleast_1d(action).tolist()) for action in actions} == possible
