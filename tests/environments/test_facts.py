"""A text speaks of one map: where environments or episodes differ in it, they are refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import rmgym
from rmgym.errors import CardError, RunError
from rmgym.evaluation.evaluate import evaluate
from rmgym.sb3 import LearnedRewardVecEnv
from rmgym.specs import EnvSpec
from tests.doubles import COUNTER, ToyReward

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")

LAKE = "FrozenLake-v1"
MAPS = (["SH", "FG"], ["SF", "HG"])
"""Down, then right reaches the goal of the first; down ends the episode on the second."""


def lake(desc: list[str] = MAPS[0]) -> gym.Env[Any, Any]:
    return gym.make(LAKE, desc=desc, is_slippery=False)


class Redrawn(gym.Wrapper[Any, Any, Any, Any]):
    """Has the other map from its second episode on, as an environment that draws a map at each reset."""

    episodes = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.env.unwrapped.desc = np.asarray(MAPS[min(self.episodes, 1)], "c")  # type: ignore[attr-defined]
        self.episodes += 1
        return super().reset(seed=seed, options=options)


VECTORS: dict[str, tuple[Any, Any]] = {
    "sync": (SyncVectorEnv, rmgym.LearnedRewardVectorWrapper),
    "same step": (partial(SyncVectorEnv, autoreset_mode=AutoresetMode.SAME_STEP), rmgym.LearnedRewardVectorWrapper),
    "async": (AsyncVectorEnv, rmgym.LearnedRewardVectorWrapper),
    "dummy": (DummyVecEnv, LearnedRewardVecEnv),
    "workers": (partial(SubprocVecEnv, start_method="fork"), LearnedRewardVecEnv),
}


@pytest.mark.parametrize("kind", VECTORS)
def test_members_with_maps_of_their_own_are_refused(kind: str) -> None:
    make, put = VECTORS[kind]
    env = make([lake, lambda: lake(MAPS[1])])
    try:
        with pytest.raises(RunError, match="'desc' is the same in all environments"):
            put(env, ToyReward())
    finally:
        env.close()


@pytest.mark.parametrize(("kind", "taken"), [("sync", 2), ("same step", 1), ("async", 2), ("dummy", 1), ("workers", 1)])
def test_another_map_in_the_next_episode_is_refused_at_its_reset(kind: str, taken: int) -> None:
    """The second member's first episode lasts two steps, and in the mode ``NEXT_STEP`` the third is the reset."""
    make, put = VECTORS[kind]
    env = put(make([lake, lambda: Redrawn(lake())]), ToyReward())
    try:
        env.reset()
        for action in [1, 2][:taken]:
            env.step(np.array([0, action]))  # the first stays where it is
        with pytest.raises(RunError, match="'desc' is the same in all environments and episodes"):
            env.step(np.array([0, 2]))
    finally:
        env.close()


def test_one_environment_with_another_map_at_the_second_reset() -> None:
    env = rmgym.LearnedRewardWrapper(Redrawn(lake()), ToyReward())
    env.reset()
    env.step(1)
    with pytest.raises(RunError, match="same in all environments and episodes"):
        env.reset()


def test_steps_are_collected_and_put_into_words_on_one_map(tmp_path: Path) -> None:
    gym.register("rmgym-test/Redrawn-v0", lambda: Redrawn(lake()))
    (card := tmp_path / "card.toml").write_text('id = "rmgym-test/Redrawn-v0"\nextends = "FrozenLake-v1.toml"\n')
    with pytest.raises(RunError, match="same in all environments and episodes"):
        rmgym.collect(EnvSpec(id="rmgym-test/Redrawn-v0", card=str(card)), 4, reset_every=2, progress=False)
    plain = rmgym.collect(LAKE, 4, reset_every=2, env_kwargs={"desc": MAPS[0]}, progress=False)
    assert plain.metadata["facts"] == {"map": [["S", "H"], ["F", "G"]]}
    with lake() as same, lake(MAPS[1]) as other:
        assert "SH FG" in rmgym.textualizer(same).batch(plain).strings()[0]
        with pytest.raises(CardError, match="of the environment that they were collected in"):
            rmgym.textualizer(other).batch(plain)


@pytest.mark.filterwarnings("ignore:.*Received the following error from Worker:UserWarning")
@pytest.mark.filterwarnings("ignore:.*(Traceback|Raising the last exception):UserWarning")
@pytest.mark.parametrize("kind", ["async", "workers"])
def test_what_cannot_be_sent_from_a_worker_is_refused_in_words(kind: str) -> None:
    make, put = VECTORS[kind]
    env = make([lambda: gym.make(COUNTER, limit=lambda: 6)])
    with pytest.raises(RunError, match="can be sent from there") as caught:
        put(env, ToyReward())
    assert "'spec'" in str(caught.value.got)


class Policy:
    """Goes down, then right."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> Any:
        return np.where(observation == 0, 1, 2), state


def test_episodes_of_an_evaluation_have_one_map() -> None:
    """Without ``desc`` and ``map_name``, FrozenLake draws a map whenever it is made."""
    with pytest.raises(RunError, match="same in all environments"):
        evaluate(Policy(), EnvSpec(id=LAKE, kwargs={"map_name": None}), ToyReward(), episodes=3)
