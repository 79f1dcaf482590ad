"""The cards of LunarLander and BipedalWalker, against the bodies in their simulators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rmgym.cards import load_env_card
from rmgym.errors import CardError
from rmgym.text import textualizer
from tests.card_values import by_key, card_of, mirrored, words

Body = tuple[tuple[float, float], float, tuple[float, float], float]
LANDER, CONTINUOUS, WALKER = "LunarLander-v3", "LunarLanderContinuous-v3", "BipedalWalker-v3"


class NoNoise:
    """The lander's engines scatter at random; without it a mirrored step can be compared."""

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


def get(body: Any) -> Body:
    return tuple(body.position), body.angle, tuple(body.linearVelocity), body.angularVelocity


def put(body: Any, state: Body) -> None:
    body.position, body.angle, body.linearVelocity, body.angularVelocity = state


def fly(env_id: str, action: Any, steps: int = 5) -> dict[str, float]:
    """Let a lander at rest and upright fly, in still air without scatter."""
    with gym.make(env_id) as env:
        env.reset(seed=0)
        inner: Any = env.unwrapped
        inner._np_random = NoNoise()
        for body in (inner.lander, *inner.legs):
            body.linearVelocity, body.angularVelocity = (0, 0), 0
        inner.lander.angle = 0
        for _ in range(steps):
            obs = env.step(action)[0]
        return by_key(env_id, obs)


@pytest.mark.parametrize("env_id", [LANDER, CONTINUOUS])
def test_lander_values_are_those_of_its_body_in_metres_and_seconds(env_id: str) -> None:
    with gym.make(env_id) as env:
        env.reset(seed=3)
        env.action_space.seed(3)
        inner: Any = env.unwrapped
        for _ in range(60):
            said, body = by_key(env_id, env.step(env.action_space.sample())[0]), inner.lander
            assert said["x"] == pytest.approx(body.position.x - 10, abs=1e-4)  # the viewport is twenty metres wide
            assert said["y"] == pytest.approx(body.position.y - inner.helipad_y - 0.6, abs=1e-4)
            assert (said["velocity_x"], said["velocity_y"]) == pytest.approx(tuple(body.linearVelocity), abs=1e-4)
            assert said["turning"] == pytest.approx(body.angularVelocity, abs=1e-4)
            assert said["tilt"] == pytest.approx(body.angle, abs=1e-5)
        # A positive tilt leans to the left: the top of the hull lies left of its middle.
        inner.lander.angle = 0.5
        assert inner.lander.GetWorldPoint((0, 1)).x < inner.lander.position.x


def test_lander_first_flag_is_the_right_legs() -> None:
    with gym.make(LANDER) as env:
        env.reset(seed=0)
        inner: Any = env.unwrapped
        right, left = inner.legs
        assert left.position.x < inner.lander.position.x < right.position.x
        for leg, key in ((right, "right_leg"), (left, "left_leg")):
            leg.ground_contact = True
            said = by_key(LANDER, env.step(0)[0])
            leg.ground_contact = False
            flags = {k: words(LANDER, k, said[k]) for k in ("right_leg", "left_leg")}
            assert flags == dict.fromkeys(flags, "in the air") | {key: "on the ground"}


def test_lander_engines_push_where_the_words_say() -> None:
    pushed = {words(LANDER, "engine", action): fly(LANDER, action) for action in range(4)}
    still = pushed.pop("no engine")
    assert still["velocity_x"] == pytest.approx(0, abs=0.01)
    assert pushed.pop("the main engine")["velocity_y"] > still["velocity_y"] + 0.5
    for side, sign in (("left", -1), ("right", 1)):
        after = pushed.pop(f"the side engine that pushes to the {side}")
        assert sign * after["velocity_x"] > 0.1
        assert sign * after["turning"] < -0.1  # turning to the left is positive
    assert not pushed


@pytest.mark.parametrize(("side", "sign"), [(-1.0, -1), (-0.4, 0), (0.4, 0), (1.0, 1)])
def test_continuous_lander_is_pushed_towards_the_right_by_positive_values(side: float, sign: int) -> None:
    after, still = fly(CONTINUOUS, np.array([0, side], np.float32)), fly(CONTINUOUS, np.zeros(2, np.float32))
    moved = after["velocity_x"] - still["velocity_x"]
    assert (moved == pytest.approx(0, abs=1e-6)) if sign == 0 else (sign * moved > 0.1)
    up = fly(CONTINUOUS, np.array([1, side], np.float32))["velocity_y"]
    assert up > after["velocity_y"] + 0.5


def test_lander_cards_differ_only_in_their_actions() -> None:
    discrete, continuous = card_of(LANDER), card_of(CONTINUOUS)
    for name in ("task", "observation", "derived", "horizon", "threshold"):
        assert getattr(discrete, name) == getattr(continuous, name)


def test_lander_with_continuous_actions_by_argument() -> None:
    with gym.make(LANDER, continuous=True) as env:
        with pytest.raises(CardError, match=r"(?s)action field 'engine' is at a path .* or a card for this space"):
            textualizer(env)
        obs, _ = env.reset(seed=0)
        say = textualizer(env, card=load_env_card(card_of(CONTINUOUS).file))
        said = say.describe(obs, np.array([0.5, -1], np.float32), obs)
    assert "Action: main engine: 0.500, side engines towards the right: -1.000." in said


@pytest.mark.parametrize("env_id", [LANDER, CONTINUOUS])
def test_mirrored_landers_stay_mirrored(env_id: str) -> None:
    rng = np.random.default_rng(0)
    swapped = {0: 0, 1: 3, 2: 2, 3: 1}
    (symmetry,) = card_of(env_id).symmetries
    assert {frozenset(pair) for pair in symmetry.swap_actions} <= {frozenset({1, 3})}
    with gym.make(env_id) as env:
        inner: Any = env.unwrapped
        env.reset(seed=0)
        start = [get(body) for body in (inner.lander, *inner.legs)]
        for _ in range(20):
            vx, vy, w = rng.uniform(-1, 1, 3)
            moving = [((x, y), angle, (vx, vy), w) for (x, y), angle, _, _ in start]
            images = [((20 - x, y), -angle, (-vx, vy), -w) for (x, y), angle, (vx, vy), w in moving]
            lander, right, left = images
            action: Any = int(rng.integers(4)) if env_id == LANDER else rng.uniform(-1, 1, 2).astype(np.float32)
            other = swapped[action] if env_id == LANDER else action * np.array([1, -1], np.float32)
            results = []
            for bodies, act in ((moving, action), ([lander, left, right], other)):
                env.reset(seed=0)
                inner._np_random = NoNoise()
                for body, state in zip((inner.lander, *inner.legs), bodies, strict=True):
                    put(body, state)
                results.append(by_key(env_id, env.step(act)[0]))
            assert results[1] == pytest.approx(mirrored(env_id, results[0]), abs=0.02)


def walk(change: Callable[[Any], None], action: Any = (0, 0, 0, 0)) -> tuple[Any, dict[str, float]]:
    """A walker after ``change`` and one step; the simulator stays readable."""
    env = gym.make(WALKER)
    env.reset(seed=0)
    inner: Any = env.unwrapped
    change(inner)
    obs = env.step(np.array(action, np.float32))[0]
    return inner, by_key(WALKER, obs)


def test_walker_values_are_those_of_its_bodies_in_metres_and_seconds() -> None:
    with gym.make(WALKER) as env:
        env.reset(seed=1)
        env.action_space.seed(1)
        inner: Any = env.unwrapped
        for _ in range(40):
            said = by_key(WALKER, env.step(env.action_space.sample())[0])
            assert said["tilt"] == pytest.approx(inner.hull.angle, abs=1e-5)
            assert said["turning"] == pytest.approx(inner.hull.angularVelocity, abs=1e-4)
            assert (said["forward"], said["upward"]) == pytest.approx(tuple(inner.hull.linearVelocity), abs=1e-4)
            for leg, (hip, knee) in (("one", inner.joints[:2]), ("two", inner.joints[2:])):
                assert said[f"hip_{leg}"] == pytest.approx(hip.angle, abs=1e-5)
                assert said[f"hip_speed_{leg}"] == pytest.approx(hip.speed, abs=1e-4)
                assert said[f"knee_{leg}"] == pytest.approx(knee.angle, abs=1e-5)
                assert said[f"knee_speed_{leg}"] == pytest.approx(knee.speed, abs=1e-4)
            for key, ray in (("below", 0), ("near", 3), ("far", 6), ("ahead", 9)):
                sensed = inner.lidar[ray]
                long = np.hypot(sensed.p2[0] - sensed.p1[0], sensed.p2[1] - sensed.p1[1])
                assert said[key] == pytest.approx(long, abs=1e-4)  # the ray ends where it hits


def test_walker_rays_look_from_below_to_ahead() -> None:
    inner, _ = walk(lambda inner: None)
    angles = [np.arctan2(ray.p2[0] - ray.p1[0], ray.p1[1] - ray.p2[1]) for ray in inner.lidar]
    assert angles == pytest.approx([0.15 * i for i in range(10)], abs=1e-5)  # from straight down, towards the right


def test_walker_tilts_backward_and_swings_its_legs_forward() -> None:
    inner, _ = walk(lambda inner: None)
    inner.hull.angle = 0.3
    nose, tail = inner.hull.GetWorldPoint((1, 0)), inner.hull.GetWorldPoint((-1, 0))
    assert nose.x > tail.x  # it looks to the right,
    assert nose.y > tail.y  # and up where its tilt is positive
    for joint, key in enumerate(("hip_one", "knee_one", "hip_two", "knee_two")):
        for sign in (-1, 1):
            action = np.zeros(4)
            action[joint] = sign

            def lift(inner: Any) -> None:
                for body in (inner.hull, *inner.legs):
                    body.position += (0, 2)

            _, said = walk(lift, action)
            _, still = walk(lift)
            assert sign * (said[key] - still[key]) > 0.01
    # A positive angle swings what hangs from the joint to the right, which is forward.
    leg = inner.legs[0]
    leg.angle = 0.3
    assert leg.GetWorldPoint((0, -1)).x > leg.position.x


def test_walker_flags_are_its_feets() -> None:
    for index, key in ((1, "foot_one"), (3, "foot_two")):

        def stand(inner: Any, index: int = index) -> None:
            inner.world.contactListener = None  # it would set them by itself
            for leg in (1, 3):
                inner.legs[leg].ground_contact = leg == index

        inner, said = walk(stand)
        assert inner.joints[index].bodyB == inner.legs[index]  # what hangs from the knee of the same leg
        flags = {k: words(WALKER, k, said[k]) for k in ("foot_one", "foot_two")}
        assert flags == dict.fromkeys(flags, "in the air") | {key: "on the ground"}


def test_walkers_hips_start_a_tenth_of_a_radian_apart() -> None:
    inner, said = walk(lambda inner: None)
    for key, leg, offset in (("hip_one", inner.legs[0], 0.05), ("hip_two", inner.legs[2], -0.05)):
        assert said[key] == pytest.approx(leg.angle - inner.hull.angle + offset, abs=1e-5)
    assert card_of(WALKER).symmetries == []
