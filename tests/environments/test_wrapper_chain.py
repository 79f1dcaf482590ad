"""Wrappers below the learned reward: those under which the words would be untrue are refused, in workers too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from stable_baselines3.common.atari_wrappers import StickyActionEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

import rmgym
from rmgym.environments.wrapper_chain import ChangesMeaning, MovedLimit, Normalises, Trait, first_of
from rmgym.errors import RunError
from rmgym.sb3 import LearnedRewardVecEnv
from tests.doubles import COUNTER, CounterEnv, ToyReward

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")

Wrap = Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]
PENDULUM = "Pendulum-v1"


class Shifted(gym.Wrapper[Any, Any, Any, Any]):
    """Of someone's own, with another space."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-9, 9, (3,), np.float32)


class Counts(gym.Wrapper[Any, Any, Any, Any]):
    """Of someone's own, that leaves all as it is."""

    steps = 0

    def step(self, action: Any) -> Any:
        self.steps += 1
        return super().step(action)


CHANGING: dict[str, Wrap] = {
    "RescaleAction": lambda env: wrappers.RescaleAction(env, -1, 1),
    "RescaleObservation": lambda env: wrappers.RescaleObservation(env, -1, 1),
    "FrameStackObservation": lambda env: wrappers.FrameStackObservation(env, 3),
    "TimeAwareObservation": wrappers.TimeAwareObservation,
    "DelayObservation": lambda env: wrappers.DelayObservation(env, 1),
    "StickyAction": lambda env: wrappers.StickyAction(env, 0.5),
    "ClipAction": wrappers.ClipAction,
    "Shifted": Shifted,
}
HARMLESS: dict[str, Wrap] = {
    "none": lambda env: env,
    "watching": lambda env: Monitor(wrappers.RecordEpisodeStatistics(Counts(env))),
    "one length": lambda env: rmgym.FixedHorizonWrapper(env, 20),
    "true reward": lambda env: wrappers.TransformReward(env, lambda reward: 2 * reward),
    "repeated": lambda env: wrappers.RepeatAction(env, 2),
    "for the agent": lambda env: wrappers.RescaleAction(wrappers.FlattenObservation(rmgym.RawObservation(env)), -1, 1),
}


def make(wrap: Wrap, env_id: str = PENDULUM) -> gym.Env[Any, Any]:
    return wrap(gym.make(env_id))


@pytest.mark.parametrize("name", CHANGING)
def test_what_changes_the_cards_numbers_is_refused(name: str) -> None:
    env = make(CHANGING[name])
    for use in (rmgym.textualizer, partial(rmgym.LearnedRewardWrapper, model="random")):
        with pytest.raises(RunError, match=f"{name} between the environment and its text") as caught:
            use(wrappers.TimeLimit(Monitor(env), 10))
        assert "rmgym.RawObservation" in caught.value.fix
    above = make(lambda inner: CHANGING[name](rmgym.LearnedRewardWrapper(inner, ToyReward())))
    above.reset(seed=0)
    assert "true_reward" in above.step(above.action_space.sample())[4]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_nothing_is_taken(name: str) -> None:
    with make(HARMLESS[name]) as env, gym.make(PENDULUM) as plain:
        assert rmgym.textualizer(env).card_hash == rmgym.textualizer(plain).card_hash


class Buttons(CounterEnv):
    """As Atari's are."""

    def get_action_meanings(self) -> list[str]:
        return ["NOOP", "LEFT", "RIGHT"]


def test_a_wrapper_that_does_not_say_so_is_known_by_name() -> None:
    assert first_of(Monitor(StickyActionEnv(Buttons(), 0.5)), ChangesMeaning) == "StickyActionEnv"


VECTORS: dict[str, Callable[[list[Any]], Any]] = {
    "sync": SyncVectorEnv,
    "async": AsyncVectorEnv,
    "dummy": DummyVecEnv,
    "workers": partial(SubprocVecEnv, start_method="fork"),
    "watched workers": lambda makers: VecMonitor(SubprocVecEnv(makers, start_method="fork")),
}


@pytest.mark.parametrize("kind", VECTORS)
@pytest.mark.parametrize(
    ("wrap", "trait"),
    [
        (CHANGING["RescaleAction"], ChangesMeaning),
        (wrappers.NormalizeObservation, Normalises),
        (lambda env: wrappers.TimeLimit(wrappers.RepeatAction(env, 2), 9), MovedLimit),
    ],
    ids=["rescaled", "normalised", "moved"],
)
def test_members_and_workers_are_looked_into(kind: str, wrap: Wrap, trait: type[Trait]) -> None:
    env = VECTORS[kind](
        [lambda: gym.make(PENDULUM), lambda: make(wrap)] if trait is MovedLimit else [lambda: make(wrap)]
    )
    plain = VECTORS[kind]([lambda: gym.make(PENDULUM)])
    try:
        assert first_of(env, trait) is not None
        assert first_of(plain, trait) is None
    finally:
        env.close()
        plain.close()


@pytest.mark.parametrize(
    ("kind", "put"),
    [
        ("async", rmgym.LearnedRewardVectorWrapper),
        ("workers", LearnedRewardVecEnv),
    ],
)
def test_normalised_observations_in_workers_are_refused(kind: str, put: Any) -> None:
    env = VECTORS[kind]([lambda: make(wrappers.NormalizeObservation, "InvertedPendulum-v5")])
    try:
        with pytest.raises(RunError, match="NormalizeObservation"):
            put(env, "random")
    finally:
        env.close()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda venv: VecFrameStack(venv, 2),
        lambda venv: VecNormalize(venv, norm_reward=False),
        wrappers.vector.RescaleAction,
    ],
)
def test_wrappers_of_vectors_are_looked_at_too(wrap: Any) -> None:
    if wrap is wrappers.vector.RescaleAction:
        env: Any = wrap(SyncVectorEnv([lambda: gym.make(PENDULUM)]), -1, 1)
    else:
        env = wrap(DummyVecEnv([lambda: gym.make(PENDULUM)]))
    with pytest.raises(RunError, match=r"between the environment and its text|below the learned reward"):
        (LearnedRewardVecEnv if isinstance(env, VecEnv) else rmgym.LearnedRewardVectorWrapper)(env, "random")


def test_without_a_card_the_wrapped_environment_is_the_environment() -> None:
    with (
        gym.make("InvertedPendulum-v5") as plain,
        make(CHANGING["FrameStackObservation"], "InvertedPendulum-v5") as env,
    ):
        text = rmgym.textualizer(env)
        assert text.card_hash != rmgym.textualizer(plain).card_hash
        env.reset(seed=0)
        obs = env.step([0.5])[0]
        assert f"value obs11: {obs[2, 3]:.4f}" in text.describe(obs, [0.5], obs)
    with make(CHANGING["RescaleAction"], "InvertedPendulum-v5") as env, gym.make("InvertedPendulum-v5") as plain:
        assert rmgym.textualizer(env).card_hash != rmgym.textualizer(plain).card_hash  # the bounds differ


def test_what_an_id_brings_along_is_what_its_card_is_for() -> None:
    card = rmgym.textualizer(PENDULUM).card
    gym.register("rmgym-test/Scaled-v0", lambda: make(CHANGING["RescaleAction"]), max_episode_steps=200)
    with gym.make("rmgym-test/Scaled-v0") as env:
        rmgym.textualizer(env, card=card)
        with pytest.raises(RunError, match="StickyAction between"):
            rmgym.textualizer(CHANGING["StickyAction"](env), card=card)
    with pytest.raises(RunError, match="RescaleAction between"):
        rmgym.textualizer(make(CHANGING["RescaleAction"]), card=card)


class Camera(gym.Env[Any, Any]):
    """A picture whose top left corner is bright."""

    observation_space, action_space = gym.spaces.Box(0, 255, (9, 8, 3), np.uint8), gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.observation_space.sample(), {}


def test_a_captioner_gets_the_pictures_that_it_was_written_for() -> None:
    def camera() -> gym.Env[Any, Any]:
        return rmgym.CaptionWrapper(Camera(), lambda pictures: [str(p.shape) for p in pictures])

    with pytest.raises(RunError, match="captioner says"):
        rmgym.textualizer(wrappers.GrayscaleObservation(camera()))
    with pytest.raises(RunError, match="VecTransposeImage between"):
        LearnedRewardVecEnv(VecTransposeImage(DummyVecEnv([camera])), "random")
    said = rmgym.textualizer(rmgym.CaptionWrapper(wrappers.GrayscaleObservation(Camera()), lambda p: ["grey"] * len(p)))
    assert '"grey"' in said.describe(np.zeros((9, 8), np.uint8), 0, np.zeros((9, 8), np.uint8))


@pytest.mark.parametrize("when", ["step", "rollout"])
@pytest.mark.parametrize("kind", ["dummy", "workers"])
def test_the_text_has_the_torque_that_the_environment_gets(kind: str, when: Any) -> None:
    env = VECTORS[kind]([lambda: wrappers.RescaleAction(rmgym.RawObservation(gym.make(PENDULUM)), -1, 1)] * 2)
    learned, model = LearnedRewardVecEnv(env, ToyReward(), when=when), ToyReward()
    try:
        learned.drain()
        learned.seed(0)
        before = learned.reset().copy()
        after, _, _, infos = learned.step(np.array([[1.0], [-0.25]], np.float32))
    finally:
        learned.close()
    assert learned.action_space == gym.spaces.Box(-1, 1, (1,))
    assert not any(key.startswith("rmgym.raw_") for key in infos[0])
    texts = [learned.textualizer.describe(b, [a], n) for b, a, n in zip(before, [2.0, -0.5], after, strict=True)]
    assert "torque in N m: 2.000" in texts[0]
    if when == "step":
        assert [info["learned_reward"] for info in infos] == model.predict(texts).mean.tolist()
    else:
        steps = learned.drain()
        assert steps.action.tolist() == [[2.0], [-0.5]]
        assert learned.textualizer.batch(steps).strings() == texts


def test_one_environment_with_raw_observations_and_actions_below() -> None:
    scaled = wrappers.RescaleObservation(rmgym.RawObservation(gym.make("MountainCarContinuous-v0")), -1, 1)
    env, plain = rmgym.LearnedRewardWrapper(scaled, ToyReward()), gym.make("MountainCarContinuous-v0")
    before, after = plain.reset(seed=3)[0], plain.step([0.5])[0]
    seen, _ = env.reset(seed=3)
    assert not np.allclose(seen, before)
    _, reward, *_, info = env.step(np.array([0.5], np.float32))
    text = rmgym.textualizer(plain).describe(before, [0.5], after)
    assert reward == ToyReward().predict([text]).mean[0]
    assert not any(key.startswith("rmgym.raw_") for key in info)


def test_a_gymnasium_vector_does_not_hand_raw_observations_on() -> None:
    env = SyncVectorEnv([lambda: wrappers.FlattenObservation(rmgym.RawObservation(gym.make(PENDULUM)))])
    with pytest.raises(RunError, match="RawObservation in its members"):
        rmgym.LearnedRewardVectorWrapper(env, "random")


def test_a_learned_reward_below_another_is_refused_at_once() -> None:
    def learned() -> gym.Env[Any, Any]:
        return rmgym.LearnedRewardWrapper(gym.make(COUNTER), ToyReward())

    for put, env in (
        (rmgym.LearnedRewardWrapper, learned()),
        (rmgym.LearnedRewardVectorWrapper, SyncVectorEnv([learned])),
        (LearnedRewardVecEnv, DummyVecEnv([learned])),
        (LearnedRewardVecEnv, LearnedRewardVecEnv(DummyVecEnv([CounterEnv]), ToyReward())),
    ):
        with pytest.raises(RunError, match="wrap once"):
            put(env, "random")  # type: ignore[arg-type]
