"""The cards of MuJoCo's wide observations, against the joints and bodies of the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import numpy.typing as npt
import pytest

from rmgym.cards import EnvCard
from rmgym.environments.collect import collect
from rmgym.text import textualizer
from tests.card_values import by_key, card_of, mirrored

ANT, HUMANOID, STANDUP = "Ant-v5", "Humanoid-v5", "HumanoidStandup-v5"
WIDE = (ANT, HUMANOID, STANDUP)
# The ant's legs by where they are, which is not what its model calls them; and what bends the humanoid, which is not
# the same in the one that lies on its back: its model was laid down, the joints' axes were not.
SIDES = ("right", "left")
JOINTS = {
    ANT: {
        f"{leg}_{joint}": f"{name}_{number}"
        for leg, number in (("front_left", 1), ("back_left", 2), ("back_right", 3), ("front_right", 4))
        for joint, name in (("hip", "hip"), ("ankle", "ankle"))
    },
    HUMANOID: {"waist_twist": "abdomen_z", "waist_bend": "abdomen_y", "waist_side_bend": "abdomen_x"},
    STANDUP: {"waist_twist": "abdomen_x", "waist_bend": "abdomen_y", "waist_side_bend": "abdomen_z"},
}
for side in SIDES:
    for env_id, twist, sideways in ((HUMANOID, "z", "x"), (STANDUP, "x", "z")):
        JOINTS[env_id] |= {
            f"{side}_hip_twist": f"{side}_hip_{twist}",
            f"{side}_hip_sideways": f"{side}_hip_{sideways}",
            f"{side}_hip_swing": f"{side}_hip_y",
            f"{side}_knee": f"{side}_knee",
            f"{side}_shoulder_first": f"{side}_shoulder1",
            f"{side}_shoulder_second": f"{side}_shoulder2",
            f"{side}_elbow": f"{side}_elbow",
        }
MOVES = {
    ANT: ("forward", "leftward", "upward", "rolling", "pitching", "turning"),
    HUMANOID: ("forward", "leftward", "upward", "rolling", "pitching", "turning"),
    STANDUP: ("forward", "leftward", "upward", "turning_right", "pitching", "rolling"),
}
every_env = pytest.mark.parametrize("env_id", WIDE)


@contextmanager
def simulator(env_id: str) -> Iterator[Any]:
    """An environment at its start, unwrapped."""
    with gym.make(env_id) as env:
        env.reset(seed=0)
        yield env.unwrapped


def shown(card: EnvCard) -> set[str]:
    return {field.key for field in [*card.observation, *card.derived, *card.action] if field.shown}


def put(inner: Any, rng: np.random.Generator, height: float = 3.0) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Some state in the air: turned anyhow, joints well within their ranges, everything moving."""
    model, qpos = inner.model, inner.init_qpos.copy()
    low, high = model.jnt_range[1:].T
    turn = rng.normal(size=4)
    qpos[2:7] = [height, *turn / np.linalg.norm(turn)]
    qpos[7:] = low + (high - low) * rng.uniform(0.4, 0.6, len(low))
    qvel = rng.normal(size=model.nv)
    inner.set_state(qpos, qvel)
    return qpos, qvel


@every_env
def test_every_joint_is_read_from_where_the_simulator_has_it(env_id: str) -> None:
    card = card_of(env_id)
    with simulator(env_id) as inner:
        model, structure = inner.model, inner.observation_structure
        place = {field.key: int(field.path) for field in [*card.observation, *card.action]}
        skipped, positions = structure["skipped_qpos"], structure["qpos"]
        assert place["height"] == 2 - skipped
        assert [place[f"turn_{axis}"] for axis in "wxyz"] == [n - skipped for n in (3, 4, 5, 6)]
        assert [place[key] for key in MOVES[env_id]] == [positions + n for n in range(6)]
        motor = {model.joint(int(joint)).name: i for i, (joint, _) in enumerate(model.actuator_trnid)}
        for key, name in JOINTS[env_id].items():
            joint = model.joint(name)
            assert place[key] == joint.qposadr[0] - skipped
            assert place[f"{key}_speed"] == positions + joint.dofadr[0]
            assert place[f"{key}_torque"] == motor[name]
        assert len(JOINTS[env_id]) == model.njnt - 1 == model.nu
        read = {"height", *MOVES[env_id], *JOINTS[env_id], *(f"{key}_speed" for key in JOINTS[env_id])}
        assert read == {f.key for f in card.observation if f.shown}


@every_env
def test_the_torso_is_told_as_it_stands_and_moves(env_id: str) -> None:
    rng = np.random.default_rng(0)
    with simulator(env_id) as inner:
        for _ in range(5):
            put(inner, rng)
            said = by_key(env_id, inner._get_obs())
            turn = inner.data.body("torso").xmat.reshape(3, 3)
            top, front = (-turn[:, 0], turn[:, 2]) if env_id == STANDUP else (turn[:, 2], turn[:, 0])
            assert [said[key] for key in ("lean_forward", "lean_left", "upright")] == pytest.approx(top, abs=1e-6)
            facing = [said[key] for key in ("facing_forward", "facing_left", "facing_up") if key in said]
            assert facing == pytest.approx(front[: len(facing)], abs=1e-6)
            assert said["height"] == pytest.approx(inner.data.body("torso").xpos[2])
            # Rates about the torso's own axes: right about its front, forward about its left, left about its top.
            left = np.cross(top, front)
            spin = turn @ inner.data.qvel[3:6]
            turning = -said["turning_right"] if env_id == STANDUP else said["turning"]
            rates = [said["rolling"], said["pitching"], turning]
            assert rates == pytest.approx([spin @ front, spin @ left, spin @ top], abs=1e-6)


def test_an_unscaled_rotation_is_one_too() -> None:
    """A reset adds noise to the quaternion, and does not scale it."""
    with simulator(ANT) as inner:
        obs = inner._get_obs()
        obs[1:5] *= 2
        turned = by_key(ANT, obs)
        plain = by_key(ANT, inner._get_obs())
        for key in ("upright", "lean_forward", "lean_left", "facing_forward", "facing_left"):
            assert turned[key] == pytest.approx(plain[key])


def test_the_ants_legs_are_where_the_words_say_and_bend_as_they_say() -> None:
    feet = {
        "front_left": "left_ankle_geom",
        "back_left": "right_ankle_geom",
        "back_right": "third_ankle_geom",
        "front_right": "fourth_ankle_geom",
    }
    for leg, geom in feet.items():
        there = bent(ANT, {}, geom)
        assert (there[0] > 0.5, there[1] > 0.5) == (leg.startswith("front"), leg.endswith("left"))
        assert np.abs(there[:2]).min() > 0.5
        swung = bent(ANT, {f"{leg}_hip": 0.2}, geom)
        assert np.cross(there, swung)[2] > 0.05  # counter-clockwise, as seen from above
        assert (bent(ANT, {f"{leg}_ankle": 0.2}, geom)[2] < -0.01) == leg.startswith("front")
        assert (bent(ANT, {f"{leg}_ankle": -0.2}, geom)[2] < -0.01) == leg.startswith("back")


@pytest.mark.parametrize("env_id", [HUMANOID, STANDUP])
@pytest.mark.parametrize(("side", "inward"), [("right", 1), ("left", -1)])
def test_the_humanoid_bends_as_the_words_say(env_id: str, side: str, inward: int) -> None:
    """Positions of a foot towards the front, the left and the top of a torso that stands still."""

    def moved(key: str, angle: float) -> npt.NDArray[Any]:
        x, y, z = bent(env_id, {key: angle}, f"{side}_foot") - bent(env_id, {}, f"{side}_foot")
        return np.array([z, y, -x] if env_id == STANDUP else [x, y, z])

    assert moved(f"{side}_hip_swing", -0.3)[0] > 0.1
    assert moved(f"{side}_knee", -0.3)[0] < -0.1
    assert moved(f"{side}_hip_sideways", 0.05)[1] * inward > 0.02
    assert moved("waist_bend", -0.3)[0] > 0.1  # the legs come to the front of the trunk: it bends forward
    assert moved("waist_side_bend", 0.3)[1] > 0.1
    assert np.abs(moved(f"{side}_hip_twist", 0.05)).max() < 0.01
    assert np.abs(moved("waist_twist", 0.05)).max() < 0.02


def bent(env_id: str, angles: dict[str, float], geom: str) -> npt.NDArray[Any]:
    """Where a part is, seen from a torso that is not turned, with all other joints at zero."""
    with simulator(env_id) as inner:
        qpos = inner.init_qpos.copy()
        qpos[3:], qpos[3] = 0, 1
        for key, angle in angles.items():
            qpos[inner.model.joint(JOINTS[env_id][key]).qposadr[0]] = angle
        inner.set_state(qpos, np.zeros(inner.model.nv))
        return inner.data.geom(geom).xpos - inner.data.body("torso").xpos


def test_the_humanoids_mass_moves_as_the_simulator_says_and_its_feet_bear_what_it_says() -> None:
    with simulator(HUMANOID) as inner:
        loads = []
        inner.action_space.seed(0)
        for _ in range(40):
            obs = inner.step(inner.action_space.sample())[0]
            said, data = by_key(HUMANOID, obs), inner.data
            mujoco.mj_subtreeVel(inner.model, data)
            assert said["progress"] == pytest.approx(data.subtree_linvel[1, 0], abs=1e-9)
            assert said["mass"] == pytest.approx(inner.model.body_mass.sum())
            for side in SIDES:
                force = data.cfrc_ext[inner.model.body(f"{side}_foot").id, 3:]  # torques come first
                assert said[f"{side}_foot_load"] == pytest.approx(np.linalg.norm(force) / 1000)
                loads.append(said[f"{side}_foot_load"])
        assert max(loads) > 0.1


@every_env
def test_what_is_left_out_is_what_the_card_says(env_id: str) -> None:
    """Names of the simulator's arrays, in order, as far as no field reads them."""
    card = card_of(env_id)
    with simulator(env_id) as inner:
        structure = {k: n for k, n in inner.observation_structure.items() if k != "skipped_qpos" and n}
        parts = [part for part, count in structure.items() for _ in range(count)]
        read = {int(field.path) for field in card.observation}
        text = textualizer(inner)  # which refuses a card that forgets an element
        assert len(text.number_keys) == 2 * sum(f.shown for f in [*card.observation, *card.derived]) + len(card.action)
        whole = {part for i, part in enumerate(parts) if i not in read} - {parts[i] for i in read}
        some = {part for i, part in enumerate(parts) if i not in read} & {parts[i] for i in read}
    assert (whole, some) == {
        ANT: ({"cfrc_ext"}, set()),
        HUMANOID: ({"qfrc_actuator"}, {"cinert", "cvel", "cfrc_ext"}),
        STANDUP: ({"cinert", "cvel", "qfrc_actuator", "cfrc_ext"}, set()),
    }[env_id]


@every_env
def test_the_text_shows_what_the_true_reward_depends_on(env_id: str) -> None:
    steps = collect(env_id, 300, seed=0, progress=False)
    text = textualizer(env_id)
    values = text.batch(steps).numbers.reshape(len(steps), -1)
    column = dict(zip(text.number_keys, values.T, strict=True))

    def mean(key: str) -> npt.NDArray[Any]:
        return (column[f"state.{key}"] + column[f"next_state.{key}"]) / 2

    control = sum(column[f"action.{f.key}"] ** 2 for f in text.card.action)
    height, loads = column["next_state.height"], [column.get(f"next_state.{s}_foot_load", 0) for s in SIDES]
    goes_on = ~steps.terminated  # which the text says too
    reward = {
        ANT: lambda: mean("forward") + goes_on - 0.5 * control,
        HUMANOID: lambda: (
            1.25 * mean("progress") + 5 * goes_on - 0.1 * control - np.minimum(10, sum(load**2 for load in loads) / 2)
        ),
        STANDUP: lambda: 1 + height / 0.003 - 0.1 * control,
    }[env_id]()
    unexplained = np.mean((reward - steps.true_reward) ** 2) / steps.true_reward.var()
    assert unexplained < 0.03


def reflected(env_id: str, qpos: npt.NDArray[Any], qvel: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """A state as the card's symmetry says it looks in the mirror."""
    state = np.concatenate([qpos[2:], qvel])
    fields = [field for field in card_of(env_id).observation if int(field.path) < len(state)]
    image = state.copy()
    values = mirrored(env_id, {field.key: state[int(field.path)] for field in fields})
    for field in fields:
        image[int(field.path)] = values[field.key] * (-1 if field.key in ("turn_x", "turn_z") else 1)
    return np.concatenate([[qpos[0], -qpos[1]], image[: len(qpos) - 2]]), image[len(qpos) - 2 :]


@every_env
def test_mirrored_steps_stay_mirrored_and_earn_the_same(env_id: str) -> None:
    """In the air, where contacts are not solved one after the other, for the humanoid with both sides made alike."""
    card, rng = card_of(env_id), np.random.default_rng(0)
    with simulator(env_id) as inner:
        if env_id != ANT:
            hips, knees = ([inner.model.joint(f"{side}_{name}") for side in SIDES] for name in ("hip_y", "knee"))
            assert [hip.armature[0] for hip in hips] == [0.008, 0.01]
            assert [knee.stiffness[0] for knee in knees] == [0, 1]
            hips[0].armature[0], knees[1].stiffness[0] = 0.01, 0
        for _ in range(10):
            state = put(inner, rng)
            image = reflected(env_id, *state)
            action = {field.key: rng.uniform(-0.4, 0.4) for field in card.action}
            results = []
            for (qpos, qvel), acted in ((state, action), (image, mirrored(env_id, action))):
                inner.set_state(qpos, qvel)
                torques = np.zeros(len(card.action))
                for field in card.action:
                    torques[int(field.path)] = acted[field.key]
                obs, reward, *_ = inner.step(torques)
                results.append((by_key(env_id, obs), reward))
            (plain, reward), (mirror, other_reward) = results
            expected = mirrored(env_id, plain)
            for key in shown(card) & set(plain):
                assert mirror[key] == pytest.approx(expected[key], abs=1e-6), key
            assert reward == pytest.approx(other_reward, abs=1e-6)


@every_env
def test_a_step_is_worth_what_its_mirror_image_is(env_id: str) -> None:
    """Of the states alone: where the mass is, and how high the torso."""
    rng = np.random.default_rng(1)
    with simulator(env_id) as inner:
        for _ in range(5):
            seen = []
            for qpos, qvel in (state := put(inner, rng), reflected(env_id, *state)):
                inner.set_state(qpos, qvel)
                mujoco.mj_subtreeVel(inner.model, inner.data)
                seen.append([*inner.data.subtree_com[1, [0, 2]], *inner.data.subtree_linvel[1, [0, 2]]])
            assert seen[0] == pytest.approx(seen[1], abs=1e-9)
