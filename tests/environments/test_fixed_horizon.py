"""Episodes of one length, in every kind of environment, in the text, and in a trained agent's record."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

import rmgym
from rmgym import FixedHorizonWrapper
from rmgym.environments.fixed_horizon import ABSORBING
from rmgym.errors import RunError, UnseenStepsWarning
from rmgym.feedback.labels import Labels, Ratings
from tests.doubles import CounterEnv, ToyReward
from tests.sb3.small import PPO_SMALL
from tests.training.small import SmallReward

HORIZON = 30
"""CartPole pushed to the left falls at step 8 to 11."""


def cartpole() -> gym.Env[Any, Any]:
    return FixedHorizonWrapper(gym.make("CartPole-v1"), HORIZON)


def pushed_left(env: gym.Env[Any, Any], seed: int = 0) -> list[Any]:
    env.reset(seed=seed)
    steps = []
    while not steps or not steps[-1][3]:
        steps.append(env.step(0))
    return steps


def test_after_the_fall_nothing_happens_until_the_horizon() -> None:
    plain = gym.make("CartPole-v1")
    plain.reset(seed=0)
    before = []
    while not before or not before[-1][2]:
        before.append(plain.step(0))
    steps, fell = pushed_left(cartpole()), len(before)
    assert len(steps) == HORIZON
    assert not any(step[2] for step in steps)
    assert [step[4][ABSORBING] for step in steps] == [0] * (fell - 1) + [1] + [2] * (HORIZON - fell)
    assert [step[1] for step in steps] == [1.0] * fell + [0.0] * (HORIZON - fell)
    for i, step in enumerate(steps):
        np.testing.assert_array_equal(step[0], before[min(i, fell - 1)][0])
    assert steps[-1][0] is not steps[-2][0]


def test_a_fall_at_the_horizon_itself_ends_there() -> None:
    fell = next(i for i, s in enumerate(pushed_left(cartpole()), 1) if s[4][ABSORBING] == 1)
    steps = pushed_left(FixedHorizonWrapper(gym.make("CartPole-v1"), fell))
    assert len(steps) == fell
    assert steps[-1][2:4] == (False, True)
    assert steps[-1][4][ABSORBING] == 1


@pytest.mark.filterwarnings("ignore:.*(different from the unwrapped version|infinity)")
def test_gymnasium_accepts_it_and_its_spec_makes_it_again() -> None:
    check_env(cartpole(), skip_render_check=True)
    again = gym.make(cartpole().spec)
    assert len(pushed_left(again)) == HORIZON


def test_the_text_says_so() -> None:
    steps = rmgym.collect("CartPole-v1", 200, fixed_horizon=HORIZON, progress=False)
    strings = rmgym.textualizer("CartPole-v1").batch(steps).strings()
    for said, absorbing, cut in zip(strings, steps.absorbing, steps.truncated, strict=True):
        assert ("The task ended here" in said) == (absorbing == 1)
        assert ("The task ended earlier" in said) == (absorbing == 2)
        assert said.endswith("The time limit truncated the episode here.") == cut
    assert {0, 1, 2} == set(steps.absorbing.tolist())
    assert not steps.terminated.any()
    chinese = rmgym.textualizer("CartPole-v1", language="zh").batch(steps[steps.absorbing == 2][:1]).strings()[0]
    assert "任务早已结束" in chinese


def test_every_kind_of_environment_scores_the_same_texts() -> None:
    model = ToyReward()
    single = rmgym.LearnedRewardWrapper(cartpole(), model)
    by_hand = [step[1] for step in pushed_left(single)]
    steps = rmgym.collect("CartPole-v1", HORIZON, fixed_horizon=HORIZON, policy=lambda obs: 0, progress=False)
    texts = rmgym.textualizer("CartPole-v1").batch(steps)
    np.testing.assert_allclose(model.predict(texts).mean, by_hand)
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        vector = rmgym.LearnedRewardVectorWrapper(SyncVectorEnv([cartpole] * 2, autoreset_mode=mode), model)
        vector.reset(seed=[0, 0])
        rewards = [vector.step(np.zeros(2, np.int64))[1] for _ in range(HORIZON)]
        np.testing.assert_allclose(rewards, np.stack([by_hand] * 2, axis=1))
    for when in ("step", "rollout"):
        agent = rmgym.sb3.make_agent(
            "ppo", "CartPole-v1", reward_model=model, when=when, fixed_horizon=HORIZON, seed=0, **PPO_SMALL
        )
        env = agent.env
        env.seed(0)
        env.reset()
        env.drain()
        said = [env.step(np.zeros(env.num_envs, np.int64))[1][0] for _ in range(HORIZON)]
        np.testing.assert_allclose(said if when == "step" else env.score(env.drain())[:: env.num_envs], by_hand)


def test_an_agent_remembers_its_horizon(tmp_path: Any) -> None:
    agent = rmgym.sb3.make_agent(
        "ppo", "CartPole-v1", reward_model="random", fixed_horizon=HORIZON, seed=0, **PPO_SMALL
    ).learn(128)
    assert {episode["l"] for episode in agent.ep_info_buffer} == {HORIZON}
    rmgym.sb3.save_agent(agent, tmp_path / "agent.zip")
    again = rmgym.sb3.load_agent(tmp_path / "agent.zip")
    again.learn(128, reset_num_timesteps=False)
    assert {episode["l"] for episode in again.ep_info_buffer} == {HORIZON}


@pytest.mark.parametrize("horizon", [0, 501])
def test_impossible_horizons_are_refused(horizon: int) -> None:
    with pytest.raises(RunError, match="time limit of 500"):
        FixedHorizonWrapper(gym.make("CartPole-v1"), horizon)


@pytest.mark.parametrize("flags", ["truncated", "both"])
def test_a_shorter_time_limit_of_the_environments_own_is_refused(flags: str) -> None:
    """Its episodes would have two lengths; where the task ends at the limit, nothing is shorter."""
    right = 2 if flags == "both" else 1
    env = FixedHorizonWrapper(CounterEnv(limit=3), 5)
    env.reset(seed=1)  # at 0: three steps to the right end the task
    steps = [env.step(right) for _ in range(2)]
    assert [step[2:4] for step in steps] == [(False, False)] * 2
    if flags == "both":
        assert [env.step(right)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
        return
    with pytest.raises(RunError, match="truncated after 3 of 5 steps"):
        env.step(right)
    env.reset(seed=1)
    assert env.step(right)[2:4] == (False, False), "another episode may be played"


def test_a_time_limit_wrapped_around_the_environment_counts() -> None:
    with pytest.raises(RunError, match="time limit of 4"):
        FixedHorizonWrapper(TimeLimit(CounterEnv(limit=9), 4), 5)


def test_it_belongs_inside_the_learned_reward() -> None:
    """Outside, absorbing steps would be worth 0, whatever the model says of them."""
    with pytest.raises(RunError, match="put it inside"):
        FixedHorizonWrapper(rmgym.LearnedRewardWrapper(gym.make("CartPole-v1"), "random"), 100)


def fitted(*, horizon: int | None) -> Any:
    steps = rmgym.collect("CartPole-v1", 150, fixed_horizon=horizon, progress=False)
    texts = rmgym.textualizer("CartPole-v1").batch(steps)
    values = np.arange(len(texts), dtype=np.float32)
    labels = Labels(ratings=Ratings(texts=texts, values=values, groups=np.arange(len(texts))))
    options = rmgym.FitOptions(max_steps=1, validation=0)
    return rmgym.fit(SmallReward.create(numbers=8, seed=horizon or 0), labels, options, progress=False).model


def test_a_model_that_never_saw_the_absorbing_state_warns_once() -> None:
    seen, unseen = fitted(horizon=60), fitted(horizon=None)
    assert (seen.fitted_on["absorbing"], unseen.fitted_on["absorbing"]) == (True, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pushed_left(rmgym.LearnedRewardWrapper(cartpole(), seen))
        unended = rmgym.LearnedRewardWrapper(cartpole(), unseen)
        unended.reset(seed=0)
        unended.step(0)
    with pytest.warns(UnseenStepsWarning, match="--fixed-horizon") as caught:
        pushed_left(rmgym.LearnedRewardWrapper(cartpole(), unseen))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pushed_left(rmgym.LearnedRewardWrapper(cartpole(), unseen))


def test_numbered_states_are_not_mixed_up_with_absorbing_ones() -> None:
    model = ToyReward()
    env = rmgym.LearnedRewardWrapper(FixedHorizonWrapper(gym.make("FrozenLake-v1"), 100), model)
    env.reset(seed=3)
    rewards, texts, obs = [], [], None
    say, before = rmgym.textualizer("FrozenLake-v1"), 0
    for _ in range(100):
        obs, reward, _, _, info = env.step(1)
        if info[ABSORBING] == 0:
            rewards.append(reward)
            texts.append(say.describe(before, 1, obs))
        before = obs
    np.testing.assert_allclose(model.predict(texts).mean, rewards)
