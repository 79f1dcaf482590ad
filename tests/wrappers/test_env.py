"""The single-environment wrapper, step by step against hand-made texts, and as Gymnasium and SB3 use it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.monitor import Monitor

from rmgym.errors import CardError, ModelError, PerformanceHint, RunError, TextError
from rmgym.models.controls import ConstantReward, RandomReward
from rmgym.text import textualizer
from rmgym.wrappers import Composition, LearnedRewardWrapper
from rmgym.wrappers.pace import HINT_AFTER, Pace
from tests.doubles import COUNTER, CounterEnv, ToyReward

CHECKER_TALKS_ABOUT_THE_ENVIRONMENT = [
    pytest.mark.filterwarnings("ignore:.*different from the unwrapped version:UserWarning"),  # we check the wrapper
    pytest.mark.filterwarnings("ignore:.*symmetric and normalized:UserWarning"),  # Pendulum's torque
    pytest.mark.filterwarnings("ignore:.*(minimum|maximum) value is -?infinity:UserWarning"),  # CartPole's speeds
    pytest.mark.filterwarnings("ignore:.*Not able to test alternative render modes:UserWarning"),
]
ENVS = [(COUNTER, {}), ("Pendulum-v1", {}), ("CartPole-v1", {}), ("FrozenLake-v1", {"is_slippery": False})]


def test_an_episode_by_hand() -> None:
    """Seed 1 starts at position 0; the actions lead to 1, 2, 1, 2, 3, which terminates."""
    env = LearnedRewardWrapper(gym.make(COUNTER), ToyReward())
    say, model = textualizer(COUNTER), ToyReward()
    obs, _ = env.reset(seed=1)
    assert obs.tolist() == [0, 0]
    path = [([0, 0], 2, [1, 1]), ([1, 1], 2, [2, 2]), ([2, 2], 0, [1, 3]), ([1, 3], 2, [2, 4]), ([2, 4], 2, [3, 5])]
    learned_return = 0.0
    for before, action, after in path:
        ended = after[0] == 3
        obs, reward, terminated, truncated, info = env.step(action)
        expected = float(model.predict([say.describe(before, action, after, terminated=ended)]).mean[0])
        assert (obs.tolist(), terminated, truncated) == (after, ended, False)
        assert reward == info["learned_reward"] == expected
        assert info["true_reward"] == 10 * after[0] + action
        assert type(reward) is type(info["learned_reward"]) is type(info["true_reward"]) is float
        assert ("learned_return" in info, "true_return" in info) == (ended, ended)
        assert info["position"] == after[0]  # the environment's own info stays
        learned_return += expected
    assert info["learned_return"] == pytest.approx(learned_return, abs=0)
    assert info["true_return"] == 12 + 22 + 10 + 22 + 32


def test_a_time_limit_outside_finds_the_returns() -> None:
    env = TimeLimit(LearnedRewardWrapper(gym.make(COUNTER), ToyReward()), 2)
    for _ in range(2):  # the second episode has sums of its own
        env.reset(seed=1)
        learned = [env.step(2)[1]]
        _, reward, terminated, truncated, info = env.step(2)
        assert (terminated, truncated) == (False, True)
        assert info["rmgym.learned_return"] == pytest.approx(learned[0] + reward)
        assert info["rmgym.true_return"] == 12 + 22
    watched = Monitor(env, info_keywords=("rmgym.true_return", "rmgym.learned_return"))
    watched.reset(seed=1)
    watched.step(2)
    episode = watched.step(2)[4]["episode"]
    assert episode["rmgym.true_return"] == 12 + 22
    assert episode["rmgym.learned_return"] == pytest.approx(episode["r"], abs=1e-4)


@pytest.mark.parametrize(
    ("actions", "terminated", "truncated"),
    [([1] * 6, False, True), ([2, 2, 2], True, False), ([1, 1, 1, 2, 2, 2], True, True)],
)
def test_termination_and_truncation_are_told_apart(actions: list[int], terminated: bool, truncated: bool) -> None:
    env, model = LearnedRewardWrapper(gym.make(COUNTER), ToyReward()), ToyReward()
    before, _ = env.reset(seed=1)
    for action in actions[:-1]:
        before, *_ = env.step(action)
    after, reward, *flags, info = env.step(actions[-1])
    assert flags == [terminated, truncated]
    text = textualizer(COUNTER).describe(before, actions[-1], after, terminated, truncated)
    assert reward == model.predict([text]).mean[0]
    assert "learned_return" in info


def test_returns_begin_anew_with_each_reset_even_in_the_middle() -> None:
    env = LearnedRewardWrapper(gym.make(COUNTER), ConstantReward(2.0))
    env.reset(seed=1)
    env.step(2)
    for _ in range(2):
        env.reset(seed=1)
        for _ in range(3):
            *_, info = env.step(2)
        assert (info["learned_return"], info["true_return"]) == (6.0, 12 + 22 + 32)


def test_an_environment_that_reuses_its_array_is_read_correctly() -> None:
    kept, reused = ([*_episode(LearnedRewardWrapper(CounterEnv(reuse=r), ToyReward()))] for r in (False, True))
    assert kept == reused
    assert len({learned for learned, _ in kept}) == len(kept)


def _episode(env: gym.Env[Any, Any], seed: int = 3) -> Iterator[tuple[float, float]]:
    env.reset(seed=seed)
    env.action_space.seed(seed)
    while True:
        _, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert reward == info["learned_reward"]
        yield info["learned_reward"], info["true_reward"]
        if terminated or truncated:
            return


@pytest.mark.parametrize(("env_id", "kwargs"), ENVS)
def test_true_rewards_are_those_of_the_bare_environment(env_id: str, kwargs: dict[str, Any]) -> None:
    env = gym.make(env_id, **kwargs)
    env.reset(seed=3)
    env.action_space.seed(3)
    bare, done = [], False
    while not done:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        bare.append(float(reward))
        done = terminated or truncated
    for model in (ToyReward(), "true"):
        rewards = [*_episode(LearnedRewardWrapper(gym.make(env_id, **kwargs), model))]
        assert [true for _, true in rewards] == bare
        assert ([learned for learned, _ in rewards] == bare) is (model == "true")


def test_composition_by_hand() -> None:
    composed = LearnedRewardWrapper(
        gym.make(COUNTER),
        ToyReward(std=0.5),
        composition=Composition(true_weight=0.1, learned_weight=2.0, clip=(-1, 1), uncertainty_penalty=1.0),
    )
    composed.reset(seed=1)
    for action in (2, 0, 1):
        _, reward, _, _, info = composed.step(action)
        expected = 0.1 * info["true_reward"] + 2.0 * np.clip(info["learned_reward"] - 0.5, -1, 1)
        assert reward == pytest.approx(expected, rel=1e-6)
        assert reward != info["learned_reward"]  # what the model says stays what it says


@pytest.mark.parametrize(("env_id", "kwargs"), ENVS)
class TestCheckers:
    pytestmark = CHECKER_TALKS_ABOUT_THE_ENVIRONMENT

    def test_gymnasium_accepts_it(self, env_id: str, kwargs: dict[str, Any]) -> None:
        gymnasium_check_env(LearnedRewardWrapper(gym.make(env_id, **kwargs), "random"), skip_render_check=True)

    def test_sb3_accepts_it(self, env_id: str, kwargs: dict[str, Any]) -> None:
        sb3_check_env(LearnedRewardWrapper(gym.make(env_id, **kwargs), ToyReward()))


class TestSpec:
    def test_makes_the_same_environment_with_the_model_in_memory(self, tmp_path: Path) -> None:
        RandomReward(seed=7).save(tmp_path / "model")
        for model in (tmp_path / "model", ToyReward()):
            env = LearnedRewardWrapper(gym.make(COUNTER), model)
            again = gym.make(env.spec)
            assert again.model is env.model
            assert [*_episode(again)] == [*_episode(env)]

    def test_travels_as_json_from_any_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        digest = RandomReward(seed=7).digest
        RandomReward(seed=7).save(tmp_path / "run" / "model")
        monkeypatch.chdir(tmp_path / "run")
        env = LearnedRewardWrapper(gym.make(COUNTER), "model", composition=Composition(clip=(-1.0, 1.0)))
        said = env.spec.to_json()
        kwargs = json.loads(said)["additional_wrappers"][-1]["kwargs"]
        assert (kwargs["model"], kwargs["digest"]) == (str(tmp_path / "run" / "model"), digest)
        monkeypatch.chdir(tmp_path)
        again = gym.make(gym.envs.registration.EnvSpec.from_json(said))
        for made in (env, again):
            made.reset(seed=0)
        assert again.step(2)[1] == env.step(2)[1]
        assert again.model.digest == digest

    def test_refuses_another_model_at_the_same_place(self, tmp_path: Path) -> None:
        RandomReward(seed=7).save(tmp_path)
        spec = LearnedRewardWrapper(gym.make(COUNTER), tmp_path).spec
        RandomReward(seed=8).save(tmp_path)
        with pytest.raises(ModelError, match="the one that the environment's spec recorded"):
            gym.make(spec)

    def test_a_controls_name_stays_a_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "random").mkdir()
        monkeypatch.chdir(tmp_path)
        spec = LearnedRewardWrapper(gym.make(COUNTER), "random").spec
        assert spec.additional_wrappers[-1].kwargs["model"] == "random"


class TestBadInput:
    def test_step_before_reset_and_after_the_end(self) -> None:
        env = LearnedRewardWrapper(CounterEnv(), ToyReward())
        with pytest.raises(RunError, match="begins with reset"):
            env.step(0)
        env.reset(seed=1)
        for _ in range(3):
            env.step(2)
        with pytest.raises(RunError, match="begins with reset"):
            env.step(2)

    def test_nan_in_an_observation(self) -> None:
        class Broken(CounterEnv):
            def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
                return super().step(action)[0] * np.nan, 0.0, False, False, {}

        env = LearnedRewardWrapper(Broken(), ToyReward())
        env.reset(seed=0)
        with pytest.raises(TextError, match="finite"):
            env.step(1)

    def test_a_model_of_another_card(self) -> None:
        fitted = ToyReward(card_hash=textualizer("CartPole-v1").card_hash)
        LearnedRewardWrapper(gym.make("CartPole-v1"), fitted)
        with pytest.raises(ModelError, match="fitted on"):
            LearnedRewardWrapper(gym.make("Pendulum-v1"), fitted)

    @pytest.mark.parametrize("normaliser", [gym.wrappers.NormalizeObservation, gym.wrappers.NormalizeReward])
    def test_running_normalisation_below(self, normaliser: Any) -> None:
        below = gym.wrappers.TimeLimit(normaliser(gym.make("CartPole-v1")), 10)
        with pytest.raises(RunError, match=f"{normaliser.__name__} below"):
            LearnedRewardWrapper(below, "random")
        above = normaliser(LearnedRewardWrapper(gym.make("CartPole-v1"), ToyReward()))
        above.reset(seed=0)
        assert above.step(0)[4]["true_reward"] == 1.0

    def test_wrapping_twice(self) -> None:
        with pytest.raises(RunError, match="wrap once"):
            LearnedRewardWrapper(LearnedRewardWrapper(gym.make(COUNTER), ToyReward()), "random")

    def test_what_is_no_environment_no_model_no_card(self) -> None:
        with pytest.raises(RunError, match=r"gym\.make"):
            LearnedRewardWrapper(COUNTER, "random")
        with pytest.raises(RunError, match="LearnedRewardVectorWrapper"):
            LearnedRewardWrapper(gym.make_vec(COUNTER, num_envs=2), "random")
        with pytest.raises(ModelError, match="'predict'"):
            LearnedRewardWrapper(gym.make(COUNTER), 3)
        with pytest.raises(CardError, match="path"):
            LearnedRewardWrapper(gym.make(COUNTER), "random", card={"id": "x"})
        with pytest.raises(TextError, match="known language"):
            LearnedRewardWrapper(gym.make(COUNTER), "random", language="xx")


class _Torch(torch.nn.Module, ToyReward):
    """The toy as a torch module: a model that gains from batches."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.__dict__["calls"] = []

    def __setattr__(self, name: str, value: object) -> None:
        torch.nn.Module.__setattr__(self, name, value)


class TestHint:
    @pytest.fixture(autouse=True)
    def _not_yet_hinted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Pace, "hinted", False)

    def _heard(self, model: Any, steps: int) -> list[warnings.WarningMessage]:
        env = LearnedRewardWrapper(gym.make(COUNTER, limit=10**6), model)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            env.reset(seed=1)
            for _ in range(steps):
                env.step(1)
        return heard

    def test_names_the_faster_line_once(self) -> None:
        assert self._heard(_Torch(), HINT_AFTER - 1) == []
        heard = self._heard(_Torch(), 2 * HINT_AFTER)
        assert [w.category for w in heard] == [PerformanceHint]
        said = str(heard[0].message)
        assert f"rmgym.sb3.make_agent('ppo', '{COUNTER}', reward_model=model)" in said
        assert int(said.partition(" steps/s")[0].rpartition(" ")[2]) > 0
        assert Path(heard[0].filename) == Path(__file__)  # the user's line
        assert self._heard(_Torch(), 2 * HINT_AFTER) == []

    def test_is_only_for_models_that_gain_from_it(self) -> None:
        assert self._heard(ToyReward(), 2 * HINT_AFTER) == []


class _Infos(BaseCallback):
    """Keeps the infos of all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.infos: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        self.infos += self.locals["infos"]
        return True


def test_ppo_learns_from_it_as_it_stands(tmp_path: Path) -> None:
    """SB3 puts its Monitor outside: ``episode.r`` is the learned return, and ours says both."""
    RandomReward().save(tmp_path / "reward_model")
    env = gym.make("Pendulum-v1")
    env = LearnedRewardWrapper(env, tmp_path / "reward_model")
    agent, seen = PPO("MlpPolicy", env, n_steps=200, batch_size=100, n_epochs=1, seed=0, device="cpu"), _Infos()
    agent.learn(400, callback=seen)
    ends = [info for info in seen.infos if "episode" in info]
    assert len(ends) == 2
    for info in ends:
        assert info["episode"]["r"] == pytest.approx(info["learned_return"], abs=1e-4)
        assert info["true_return"] < -10
    np.testing.assert_allclose(
        agent.rollout_buffer.rewards[:199, 0], [i["learned_reward"] for i in seen.infos[200:399]], rtol=1e-6
    )


def test_a_vec_env_that_scores_per_step_is_hinted_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from stable_baselines3.common.env_util import make_vec_env

    from rmgym.sb3.vec_env import LearnedRewardVecEnv

    monkeypatch.setattr(Pace, "hinted", False)
    model: Any = ToyReward()
    monkeypatch.setattr(ToyReward, "parameters", None, raising=False)  # as a torch module has them
    env = LearnedRewardVecEnv(make_vec_env("CartPole-v1", n_envs=2), model)
    env.reset()
    for _ in range(HINT_AFTER - 1):
        env.step(np.array([0, 1]))
    with pytest.warns(PerformanceHint, match="score_rollouts"):
        env.step(np.array([0, 1]))
