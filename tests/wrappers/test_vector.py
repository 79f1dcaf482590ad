"""The vector wrapper gives each environment what the single wrapper gives it, whatever the autoreset mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from rmgym.errors import ModelError, RunError, TextError
from rmgym.models.controls import ConstantReward
from rmgym.text import textualizer
from rmgym.wrappers import Composition, LearnedRewardVectorWrapper, LearnedRewardWrapper
from tests.doubles import COUNTER, CounterEnv, ToyReward

NEXT, SAME, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED
Step = tuple[float, float, float, bool, bool, float | None, float | None]
"""reward, learned, true, terminated, truncated, learned return, true return"""


def vector(env_id: str = COUNTER, n: int = 3, mode: AutoresetMode = NEXT, **options: Any) -> SyncVectorEnv:
    return SyncVectorEnv([partial(gym.make, env_id, max_episode_steps=20)] * n, autoreset_mode=mode, **options)


def actions_of(row: int, space: gym.Space[Any]) -> Iterator[Any]:
    """Each environment's own sequence of actions, one for each real step."""
    space.seed(row)
    return iter([space.sample() for _ in range(100)])


def singles(env_id: str, row: int, steps: int, **options: Any) -> list[Step]:
    """What the single wrapper says in environment ``row``."""
    env = LearnedRewardWrapper(gym.make(env_id, max_episode_steps=20), ToyReward(std=0.5), **options)
    actions, said = actions_of(row, env.action_space), list[Step]()
    env.reset(seed=100 + row)
    for _ in range(steps):
        _, reward, terminated, truncated, info = env.step(next(actions))
        ends = (info.get("learned_return"), info.get("true_return"))
        said.append((reward, info["learned_reward"], info["true_reward"], terminated, truncated, *ends))
        if terminated or truncated:
            env.reset()
    return said


def vectors(env: VectorEnv, calls: int, **options: Any) -> list[list[Step]]:
    """What the vector wrapper says, per environment, without the steps that were resets."""
    wrapped = LearnedRewardVectorWrapper(env, ToyReward(std=0.5), **options)
    n = wrapped.num_envs
    actions = [actions_of(row, wrapped.single_action_space) for row in range(n)]
    said: list[list[Step]] = [[] for _ in range(n)]
    wrapped.reset(seed=100)
    resetting = np.zeros(n, bool)
    for _ in range(calls):
        ignored = wrapped.action_space.sample()  # what a reset is given as action
        chosen = [x if r else next(a) for r, a, x in zip(resetting, actions, ignored, strict=True)]
        _, reward, terminated, truncated, infos = wrapped.step(np.stack(chosen))
        ended = terminated | truncated
        for key in ("learned_reward", "true_reward"):
            assert infos[f"_{key}"].tolist() == (~resetting).tolist()
            assert not infos[key][resetting].any()
        assert not reward[resetting].any()
        for key in ("learned_return", "true_return"):
            assert (infos[f"_{key}"].tolist() if key in infos else [False] * n) == ended.tolist()
        for row in np.flatnonzero(~resetting):
            ends = [float(infos[k][row]) if ended[row] else None for k in ("learned_return", "true_return")]
            rewards = [float(x[row]) for x in (reward, infos["learned_reward"], infos["true_reward"])]
            said[row].append((*rewards, bool(terminated[row]), bool(truncated[row]), *ends))
        if wrapped.metadata["autoreset_mode"] == NEXT:
            resetting = ended
        elif wrapped.metadata["autoreset_mode"] == DISABLED and ended.any():
            wrapped.reset(options={"reset_mask": ended})
    wrapped.close()
    return said


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize(
    ("env_id", "calls"), [(COUNTER, 60), ("CartPole-v1", 60), ("FrozenLake-v1", 60), ("Pendulum-v1", 60)]
)
def test_says_what_the_single_wrapper_says(mode: AutoresetMode, env_id: str, calls: int) -> None:
    said = vectors(vector(env_id, mode=mode), calls)
    for row, steps in enumerate(said):
        assert steps == singles(env_id, row, len(steps))
        assert any(step[-1] is not None for step in steps)  # an end was seen
        assert len(steps) == calls or mode == NEXT


@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_returns_so_far_are_told_at_every_step(mode: AutoresetMode) -> None:
    """Whoever ends an episode outside, as a time limit around this wrapper would, finds them."""
    env = LearnedRewardVectorWrapper(vector(n=2, mode=mode), ToyReward())
    env.reset(seed=1)
    sums = {"learned": np.zeros(2), "true": np.zeros(2)}
    resetting = np.zeros(2, bool)
    for _ in range(14):
        _, _, terminated, truncated, infos = env.step(np.array([2, 1]))
        for name, total in sums.items():
            total += infos[f"{name}_reward"]
            np.testing.assert_allclose(infos[f"rmgym.{name}_return"], total)
            assert infos[f"_rmgym.{name}_return"].tolist() == (~resetting).tolist()
            total[terminated | truncated] = 0
        resetting = (terminated | truncated) if mode == NEXT else resetting


def test_composition_is_the_single_wrappers() -> None:
    options = {"composition": Composition(true_weight=0.1, clip=(-1, 1), uncertainty_penalty=0.5)}
    said = vectors(vector(), 20, **options)
    assert said[1] == singles(COUNTER, 1, len(said[1]), **options)


@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_the_return_of_a_composition_is_what_was_received(mode: AutoresetMode) -> None:
    env = LearnedRewardVectorWrapper(vector(mode=mode), ToyReward(), composition={"learned_weight": 2.0})
    env.reset(seed=0)
    received, ends = np.zeros(3), 0
    for _ in range(20):
        _, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
        received += rewards
        ended = terminated | truncated
        assert (infos["_composed_return"].tolist() if "composed_return" in infos else [False] * 3) == ended.tolist()
        if ended.any():
            assert infos["composed_return"][ended] == pytest.approx(received[ended])
            assert infos["composed_return"][ended] == pytest.approx(2 * infos["learned_return"][ended])
        received[ended], ends = 0.0, ends + ended.sum()
    assert ends > 6


def test_an_environment_that_does_not_say_where_it_ended() -> None:
    class Silent(SyncVectorEnv):
        def step(self, actions: Any) -> Any:
            *step, infos = super().step(actions)
            return *step, {key: value for key, value in infos.items() if key != "final_obs"}

    env = LearnedRewardVectorWrapper(Silent([partial(CounterEnv, limit=1)], autoreset_mode=SAME), ToyReward())
    env.reset()
    with pytest.raises(RunError, match=r"final_obs(.|\n)*Silent"):
        env.step(np.array([1]))


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_an_environment_that_reuses_its_buffer_is_read_correctly(mode: AutoresetMode) -> None:
    assert vectors(vector(mode=mode, copy=False), 40) == vectors(vector(mode=mode), 40)


def test_asynchronous_environments_in_shared_memory() -> None:
    """``copy=False`` hands out the memory that workers write into."""
    # Forked: the workers import nothing anew.
    env = AsyncVectorEnv([CounterEnv] * 2, copy=False, context="fork", autoreset_mode=SAME)
    assert vectors(env, 20) == [s[:20] for s in vectors(SyncVectorEnv([CounterEnv] * 2, autoreset_mode=SAME), 20)]


@pytest.mark.parametrize(("mode", "calls"), [(NEXT, [3, 3, 2, 2]), (SAME, [3, 3, 2, 2])])
def test_one_call_of_the_model_per_vector_step(mode: AutoresetMode, calls: list[int]) -> None:
    """Three environments stand still at different places; the first one ends at its second step and then says again
    what it said before, which the cache knows."""
    model, limits = ToyReward(), (2, 9, 9)
    env = SyncVectorEnv([partial(CounterEnv, limit=limit) for limit in limits], autoreset_mode=mode)
    wrapped = LearnedRewardVectorWrapper(env, model)
    assert _start_everywhere(wrapped, [0, -1, 1]) == [0, -1, 1]
    for _ in calls:
        wrapped.step(np.array([1, 1, 1]))
    assert model.calls == calls


def _start_everywhere(env: LearnedRewardVectorWrapper, wanted: list[int]) -> list[int]:
    """Reset with the seeds that start the environments where they are wanted."""
    seeds = list[int]()
    for position in wanted:
        seeds.append(next(s for s in range(100) if CounterEnv().reset(seed=s)[0][0] == position))
    return env.reset(seed=seeds)[0][:, 0].astype(int).tolist()


def test_terminal_observation_and_autoreset_by_hand() -> None:
    """Up three times from 0 terminates; the text's next state is 3, never the position after the reset."""
    say = textualizer(COUNTER)
    last = float(ToyReward().predict([say.describe([2, 2], 2, [3, 3], terminated=True)]).mean[0])
    for mode in (NEXT, SAME):
        env = LearnedRewardVectorWrapper(vector(n=1, mode=mode), ToyReward())
        _start_everywhere(env, [0])
        for _ in range(2):
            env.step(np.array([2]))
        obs, reward, terminated, truncated, infos = env.step(np.array([2]))
        assert (reward.tolist(), terminated.tolist(), truncated.tolist()) == ([last], [True], [False])
        assert infos["true_return"].tolist() == [12 + 22 + 32]
        assert obs[0, 0] == 3 if mode == NEXT else obs[0, 1] == 0
        obs, reward, *_, infos = env.step(np.array([2]))
        if mode == NEXT:
            assert (obs[0, 1], reward[0], infos["_learned_reward"][0]) == (0, 0, False)
        else:
            start = obs[0] - [1, 1]
            assert reward[0] == ToyReward().predict([say.describe(start, 2, obs[0])]).mean[0]


def test_where_all_environments_reset_at_once_the_model_is_not_asked() -> None:
    model = ToyReward()
    env = LearnedRewardVectorWrapper(SyncVectorEnv([partial(CounterEnv, limit=1)] * 2), model)
    env.reset(seed=0)
    for _ in range(4):
        *_, infos = env.step(np.array([0, 2]))
    assert model.calls == [2, 1]  # one of the two says again what it said in its first episode
    assert not infos["_true_reward"].any()


def test_a_vector_environment_of_its_own_kind() -> None:
    """CartPole's vectorised implementation knows neither sub-environments nor ``get_attr``."""
    env = LearnedRewardVectorWrapper(
        gym.make_vec("CartPole-v1", num_envs=4, vectorization_mode="vector_entry_point"), ToyReward()
    )
    say, before, ended = textualizer("CartPole-v1"), env.reset(seed=1)[0], np.zeros(4, bool)
    for step in range(60):
        actions = np.arange(4) % 2 if step % 3 else np.ones(4, np.int64)
        after, reward, terminated, truncated, infos = env.step(actions)
        for row in range(4):
            text = say.describe(before[row], actions[row], after[row], terminated[row], truncated[row])
            assert reward[row] == (0.0 if ended[row] else ToyReward().predict([text]).mean[0])
        before, ended = after, terminated | truncated
    assert infos["true_reward"].tolist() == [1.0] * 4


def test_it_takes_the_card_of_a_vector_environment_built_by_hand() -> None:
    fitted = ToyReward(card_hash=textualizer("CartPole-v1").card_hash)
    for env in (vector("CartPole-v1"), gym.wrappers.vector.RecordEpisodeStatistics(vector("CartPole-v1"))):
        assert LearnedRewardVectorWrapper(env, fitted).model is fitted
    with pytest.raises(ModelError, match="fitted on"):
        LearnedRewardVectorWrapper(vector("FrozenLake-v1"), fitted)


def test_the_control_true_passes_the_reward_through() -> None:
    env = LearnedRewardVectorWrapper(vector("Pendulum-v1"), "true")
    env.reset(seed=0)
    _, reward, *_, infos = env.step(env.action_space.sample())
    assert reward.tolist() == infos["learned_reward"].tolist() == infos["true_reward"].tolist()
    assert (reward < 0).all()


class TestBadInput:
    def test_step_before_reset(self) -> None:
        with pytest.raises(RunError, match="begins with reset"):
            LearnedRewardVectorWrapper(vector(), "random").step(np.zeros(3, int))

    def test_step_after_an_end_that_the_caller_should_have_reset(self) -> None:
        env = LearnedRewardVectorWrapper(
            SyncVectorEnv([partial(CounterEnv, limit=1)], autoreset_mode=DISABLED), "random"
        )
        env.reset(seed=0)
        env.step(np.array([1]))
        with pytest.raises(RunError, match=r"environments \[0\]"):
            env.step(np.array([1]))

    def test_nan_in_one_environment(self) -> None:
        class Broken(CounterEnv):
            def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
                return super().step(action)[0] * np.nan, 0.0, False, False, {}

        env = LearnedRewardVectorWrapper(SyncVectorEnv([CounterEnv, Broken]), ToyReward())
        env.reset(seed=0)
        with pytest.raises(TextError, match="row 1"):
            env.step(np.array([1, 1]))

    def test_no_word_on_autoreset(self) -> None:
        env = vector()
        del env.metadata["autoreset_mode"]
        with pytest.raises(RunError, match="says how it resets"):
            LearnedRewardVectorWrapper(env, "random")

    @pytest.mark.parametrize("make", [lambda: gym.make(COUNTER), lambda: None])
    def test_no_vector_environment(self, make: Callable[[], Any]) -> None:
        with pytest.raises(RunError, match="make_vec"):
            LearnedRewardVectorWrapper(make(), "random")

    def test_wrapping_twice(self) -> None:
        with pytest.raises(RunError, match="wrap once"):
            LearnedRewardVectorWrapper(LearnedRewardVectorWrapper(vector(), "random"), ConstantReward())
