"""What a step says: exact texts, and what holds for every step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.cards import EnvCard, Field, LeftOut, find_env_card
from rmgym.errors import CardError, TextError
from rmgym.text import Textualizer
from rmgym.transitions import Transitions
from tests.text.steps import CARDED, random_steps, say

LAKE = (
    "Task: Walk over the frozen lake from start S to goal G without falling into a hole H. The ice F may be slippery. "
)
LAKE_ZH = "任务: 从起点 S 走过结冰的湖面到达终点 G，不要掉进冰洞 H。冰面 F 可能很滑。"
EIGHT = "SFFFFFFF FFFFFFFF FFFHFFFF FFFFFHFF FFFHFFFF FHHFFFHF FHFFHFHF FFFHFFFG"
STEPS: dict[str, tuple[Any, ...]] = {
    "Pendulum-v1": ([0.0, 1.0, -2.0], [0.25], [-1.0, 0.0, -1.2346], False, True),
    "CartPole-v1": ([0.01, -0.2, 0.03125, 1.5], 1, [2.45, 0.0, -0.2, -3.0], True, False),
    "Acrobot-v1": ([1.0, 0.0, 0.0, 1.0, 0.5, -7.25], 2, [-1.0, 0.0, 1.0, 0.0, 12.5, 0.0], True, True),
    "MountainCar-v0": ([-0.5, 0.0], 0, [-0.50123, -0.00123], False, False),
    "FrozenLake-v1": (14, 2, 15, True, False),
    "FrozenLake8x8-v1": (18, 2, 19, True, False),
}
TEXTS = {
    ("Pendulum-v1", "en"): (
        "Task: Swing the pendulum up and hold it upright and still. "
        "State: angular velocity in rad/s: -2.000, angle from upright in rad: 1.571. Action: torque in N m: 0.250. "
        "Next state: angular velocity in rad/s: -1.235, angle from upright in rad: 3.142. "
        "The time limit truncated the episode here."
    ),
    ("Pendulum-v1", "zh"): (
        "任务: 把摆荡起来，并让它竖直静止。 状态: 角速度 (rad/s): -2.000， 偏离竖直的角度 (rad): 1.571。 "
        "行动: 力矩 (N m): 0.250。 下一状态: 角速度 (rad/s): -1.235， 偏离竖直的角度 (rad): 3.142。 "
        "回合因时间限制在此截断。"
    ),
    ("CartPole-v1", "en"): (
        "Task: Keep the pole balanced on the cart and the cart on the track. "
        "State: cart position in m: 0.010, cart velocity in m/s: -0.200, pole angle in rad: 0.0312, "
        "pole angular velocity in rad/s: 1.500. Action: push the cart: to the right. "
        "Next state: cart position in m: 2.450, cart velocity in m/s: 0.000, pole angle in rad: -0.2000, "
        "pole angular velocity in rad/s: -3.000. The episode terminated here."
    ),
    ("CartPole-v1", "zh"): (
        "任务: 让杆在小车上保持平衡，并让小车留在轨道上。 状态: 小车位置 (m): 0.010， 小车速度 (m/s): -0.200， "
        "杆的角度 (rad): 0.0312， 杆的角速度 (rad/s): 1.500。 行动: 推小车: 向右。 下一状态: 小车位置 (m): 2.450， "
        "小车速度 (m/s): 0.000， 杆的角度 (rad): -0.2000， 杆的角速度 (rad/s): -3.000。 回合在此终止。"
    ),
    ("Acrobot-v1", "en"): (
        "Task: Swing the free end of the two-link arm up, higher than one link above the fixed joint. "
        "State: first angular velocity in rad/s: 0.500, second angular velocity in rad/s: -7.250, "
        "first angle from hanging in rad: 0.000, second angle from the first link in rad: 1.571, "
        "height of the free end in m: -1.000. Action: torque between the links: counter-clockwise. "
        "Next state: first angular velocity in rad/s: 12.500, second angular velocity in rad/s: 0.000, "
        "first angle from hanging in rad: 3.142, second angle from the first link in rad: 0.000, "
        "height of the free end in m: 2.000. The episode terminated here, at the time limit that truncates it."
    ),
    ("Acrobot-v1", "zh"): (
        "任务: 把双节臂的自由端荡起，使它高出固定关节一节臂长以上。 状态: 第一角速度 (rad/s): 0.500， "
        "第二角速度 (rad/s): -7.250， 第一节偏离下垂的角度 (rad): 0.000， 第二节相对第一节的角度 (rad): 1.571， "
        "自由端高度 (m): -1.000。 行动: 两节之间的力矩: 逆时针。 下一状态: 第一角速度 (rad/s): 12.500， "
        "第二角速度 (rad/s): 0.000， 第一节偏离下垂的角度 (rad): 3.142， 第二节相对第一节的角度 (rad): 0.000， "
        "自由端高度 (m): 2.000。 回合在此终止，同时达到时间限制。"
    ),
    ("MountainCar-v0", "en"): (
        "Task: Drive the car out of the valley to the flag on top of the right hill as quickly as possible. "
        "State: position in m: -0.5000, velocity in cm/step: 0.000. Action: accelerate: to the left. "
        "Next state: position in m: -0.5012, velocity in cm/step: -0.123. The episode goes on."
    ),
    ("MountainCar-v0", "zh"): (
        "任务: 尽快把小车从山谷开到右侧山顶的旗帜处。 状态: 位置 (m): -0.5000， 速度 (cm/step): 0.000。 "
        "行动: 加速: 向左。 下一状态: 位置 (m): -0.5012， 速度 (cm/step): -0.123。 回合继续。"
    ),
    ("FrozenLake-v1", "en"): (
        f"{LAKE}The map by rows is SFFF FHFH FFFH HFFG. State: row: 3, column: 2, tile: frozen. Action: move: right. "
        "Next state: row: 3, column: 3, tile: goal. The episode terminated here."
    ),
    ("FrozenLake-v1", "zh"): (
        f"{LAKE_ZH}地图按行为 SFFF FHFH FFFH HFFG。 状态: 行: 3， 列: 2， 格子类型: 冰面。 行动: 移动: 向右。 "
        "下一状态: 行: 3， 列: 3， 格子类型: 终点。 回合在此终止。"
    ),
    ("FrozenLake8x8-v1", "en"): (
        f"{LAKE}The map by rows is {EIGHT}. State: row: 2, column: 2, tile: frozen. Action: move: right. "
        "Next state: row: 2, column: 3, tile: hole. The episode terminated here."
    ),
    ("FrozenLake8x8-v1", "zh"): (
        f"{LAKE_ZH}地图按行为 {EIGHT}。 状态: 行: 2， 列: 2， 格子类型: 冰面。 行动: 移动: 向右。 "
        "下一状态: 行: 2， 列: 3， 格子类型: 冰洞。 回合在此终止。"
    ),
}
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(("env_id", "language"), TEXTS)
def test_the_exact_text(env_id: str, language: str) -> None:
    assert say(env_id, language).describe(*STEPS[env_id]) == TEXTS[env_id, language]


def test_every_card_has_an_exact_text_in_both_languages() -> None:
    assert set(TEXTS) == {(env_id, language) for env_id in CARDED for language in ("en", "zh")}


@pytest.mark.parametrize("env_id", CARDED)
@given(seed=SEEDS)
@settings(max_examples=10)
def test_a_step_says_the_same_alone_in_a_batch_and_in_any_order(env_id: str, seed: int) -> None:
    text, rng = say(env_id), np.random.default_rng(seed)
    steps = random_steps(text, rng, 12)
    strings = text.batch(steps).strings()
    order = rng.permutation(12)
    assert text.batch(steps[order]).strings() == [strings[i] for i in order]
    row = (steps.obs[3], steps.action[3], steps.next_obs[3], bool(steps.terminated[3]), bool(steps.truncated[3]))
    assert text.describe(*row) == strings[3]


@pytest.mark.parametrize("env_id", CARDED)
@given(seed=SEEDS)
@settings(max_examples=10)
def test_steps_that_differ_where_the_text_looks_have_different_texts(env_id: str, seed: int) -> None:
    """Equal text means: equal numbers up to the card's decimals, equal words, equal flags (recomputed by hand)."""
    text, rng = say(env_id), np.random.default_rng(seed)
    steps = random_steps(text, rng, 40)
    strings = text.batch(steps).strings()
    assert len(set(strings)) == len({_by_hand(env_id, steps, i) for i in range(len(steps))})


def _by_hand(env_id: str, steps: Transitions, i: int) -> tuple[Any, ...]:
    def state(obs: Any) -> tuple[Any, ...]:
        if env_id.startswith("FrozenLake"):
            return (int(obs),)
        x = [float(v) for v in obs]
        if env_id == "Pendulum-v1":
            return (round(np.arctan2(x[1], x[0]), 3) + 0, round(x[2], 3) + 0)
        if env_id == "MountainCar-v0":
            return (round(x[0], 4) + 0, round(100 * x[1], 3) + 0)
        if env_id == "Acrobot-v1":
            height = x[1] * x[3] - x[0] * x[2] - x[0]
            angles = (np.arctan2(x[1], x[0]), np.arctan2(x[3], x[2]))
            return tuple(round(v, 3) + 0 for v in (*x[4:], *angles, height))
        return tuple(round(v, d) + 0 for v, d in zip(x, (3, 3, 4, 3), strict=True))

    action = np.round(np.asarray(steps.action[i], np.float64), 3).tolist()
    flags = (bool(steps.terminated[i]), bool(steps.truncated[i]))
    return (state(steps.obs[i]), str(action), state(steps.next_obs[i]), flags)


@pytest.mark.parametrize("env_id", CARDED)
def test_a_change_of_the_last_decimal_shows(env_id: str) -> None:
    text = say(env_id)
    if isinstance(text.observation_space, gym.spaces.Discrete):
        strings = text.batch(
            Transitions.from_arrays(np.arange(text.observation_space.n), *np.zeros((2, text.observation_space.n)))
        ).strings()
        assert len(set(strings)) == text.observation_space.n
        return
    base = random_steps(text, np.random.default_rng(5), 1)
    for key, field in ((f.key, f) for f in text.card.observation if f.shown):
        moved = base.obs.copy()
        moved[0, int(field.path)] += 1.01 * 10.0**-field.decimals
        other = replace(base, obs=moved)
        assert text.batch(base).strings() != text.batch(other).strings(), key


def test_the_angle_keeps_its_sign() -> None:
    text = say("CartPole-v1")
    left, right = ([0.0, 0.0, angle, 0.0] for angle in (-0.21, 0.21))
    assert "pole angle in rad: -0.2100" in text.describe(left, 0, left)
    assert "pole angle in rad: 0.2100" in text.describe(right, 0, right)


def test_minus_zero_is_zero() -> None:
    text = say("CartPole-v1")
    rows = [[0.0, 0.0, 0.0, 0.0], [-0.0, -0.0, -0.0, -0.0], [-0.0004, 0.0004, -0.00004, 0.0]]
    batch = text.batch(Transitions.from_arrays(np.array(rows), np.zeros(3, int), np.zeros((3, 4))))
    assert len(set(batch.strings())) == 1
    assert not np.signbit(batch.numbers).any()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_terminated_and_truncated_are_told_apart(language: str) -> None:
    text = say("Pendulum-v1", language)
    step = STEPS["Pendulum-v1"][:3]
    assert len({text.describe(*step, terminated=a, truncated=b) for a in (False, True) for b in (False, True)}) == 4


def test_the_shape_of_a_batch() -> None:
    text = say("Pendulum-v1")
    batch = text.batch(random_steps(text, np.random.default_rng(0), 7))
    assert batch.numbers.dtype == np.float64
    assert batch.template_index.dtype == np.int32
    assert batch.offsets.tolist() == [0, 5, 10, 15, 20, 25, 30, 35]
    assert text.number_keys == (
        "state.angular_velocity",
        "state.angle",
        "action.torque",
        "next_state.angular_velocity",
        "next_state.angle",
    )
    assert (batch.language, batch.card_hash) == ("en", text.card_hash)


def test_no_steps_no_texts() -> None:
    for env_id in CARDED:
        text = say(env_id)
        assert text.batch(random_steps(text, np.random.default_rng(0), 0)).strings() == []


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize(("array", "named"), [("obs", "element 2 of obs"), ("next_obs", "element 2 of next_obs")])
def test_what_is_no_number_is_named(wrong: float, array: str, named: str) -> None:
    text = say("CartPole-v1")
    steps = random_steps(text, np.random.default_rng(0), 3)
    values = getattr(steps, array).astype(np.float64)
    values[1, 2] = wrong
    with pytest.raises(TextError, match=f"{named} in row 1"):
        text.batch(replace(steps, **{array: values}))


def test_a_nan_action_is_named() -> None:
    text = say("Pendulum-v1")
    with pytest.raises(TextError, match="element 0 of action in row 0"):
        text.describe([1.0, 0.0, 0.0], [np.nan], [1.0, 0.0, 0.0])


@pytest.mark.parametrize("cell", [-1, 16, 2.5])
def test_a_value_outside_of_a_discrete_space_is_refused(cell: float) -> None:
    with pytest.raises(TextError, match="obs is in its space"):
        say("FrozenLake-v1").describe(cell, 0, 0)


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(TextError, match="action has the shape"):
        say("Pendulum-v1").describe([1.0, 0.0, 0.0], [0.0, 0.0], [1.0, 0.0, 0.0])


def test_the_extra_axis_that_sb3_gives_actions_is_taken() -> None:
    text = say("CartPole-v1")
    steps = random_steps(text, np.random.default_rng(0), 4)
    assert text.batch(replace(steps, action=steps.action[:, None])).strings() == text.batch(steps).strings()


# Cards that are wrong for the space, or at all.

BOX, TWO = gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2)
X = Field(key="x", path="0", name={"en": "x"})
ACT = Field(key="act", name={"en": "act"}, labels={0: {"en": "stay"}, 1: {"en": "go"}})


def make(changed: dict[str, Any] | None = None, *, facts: Any = None, language: str = "en") -> Textualizer:
    said = {
        "id": "Toy-v0",
        "task": {"en": "Act."},
        "observation": [X],
        "action": [ACT],
        "left_out": LeftOut(observation=["1"]),
        **(changed or {}),
    }
    return Textualizer(EnvCard(**said), BOX, TWO, facts=facts, language=language)


def derived(expression: str, **further: Any) -> list[Field]:
    return [Field(key="y", name={"en": "y"}, expression=expression, **further)]


def test_the_toy_card_is_right() -> None:
    expected = "Task: Act. State: x: 0.500. Action: act: go. Next state: x: 0.250. The episode goes on."
    assert make().describe([0.5, 0.0], 1, [0.25, 0.0]) == expected


WRONG_CARDS: list[tuple[str, dict[str, Any]]] = [
    ("at a path that the space does not have", {"observation": [Field(key="x", path="2", name={"en": "x"})]}),
    ("at a path that the space does not have", {"observation": [Field(key="x", name={"en": "x"})]}),
    ("labels other values", {"action": [Field(key="act", name={"en": "act"}, labels={0: {"en": "stay"}})]}),
    ("labels other values", {"action": [Field(key="a", name={"en": "a"}, labels={i: {"en": "w"} for i in range(3)})]}),
    ("arithmetic over keys", {"derived": derived("speed + 1")}),
    ("facts are read", {"facts": {"map": "desc"}}),
    ("layout names", {"text": {"en": "State: {state}. {ending}."}}),
    ("layout names", {"text": {"en": "{state} {state} {action} {next_state} {ending}"}}),
    ("layout names", {"text": {"en": "{state} {action} {next_state} {ending} {unknown}"}}),
]


@pytest.mark.parametrize(("rule", "changed"), WRONG_CARDS)
def test_a_card_that_does_not_fit_is_refused(rule: str, changed: dict[str, Any]) -> None:
    with pytest.raises(CardError, match=rule):
        make(changed)


def test_a_fact_named_like_a_part_of_the_text_is_refused() -> None:
    with pytest.raises(CardError, match="layout names"):
        make({"facts": {"state": "desc"}}, facts={"state": np.array(["A"])})


def test_a_fixed_number_in_a_layout_is_refused() -> None:
    text = make({"text": {"en": "7 {state} {action} {next_state} {ending}"}})
    with pytest.raises(CardError, match="stand free"):
        text.describe([0.5, 0.0], 1, [0.5, 0.0])


def test_a_value_right_before_a_letter_is_refused() -> None:
    text = make({"text": {"en": "{state}m {action} {next_state} {ending}"}})
    with pytest.raises(CardError, match="stand free"):
        text.describe([0.5, 0.0], 1, [0.5, 0.0])


def test_a_layout_of_the_cards_own() -> None:
    text = make({"text": {"en": "{ending}; {next_state} <- {state} by {action}: {task}"}})
    assert text.describe([0.5, 0.0], 1, [0.25, 0.0]) == "The episode goes on; x: 0.250 <- x: 0.500 by act: go: Act."
    assert text.number_keys == ("next_state.x", "state.x")


def test_braces_in_words_stay() -> None:
    field = Field(key="x", path="0", name={"en": "set {x} }{"}, unit="{u}")
    text = make({"observation": [field]})
    assert "State: set {x} }{ in {u}: 0.500." in text.describe([0.5, 0.0], 1, [0.25, 0.0])


def test_a_derived_value_that_is_infinite_is_named() -> None:
    text = make({"derived": derived("1 / x")})
    assert "y: 2.000" in text.describe([0.5, 0.0], 1, [0.25, 0.0])
    with pytest.raises(TextError, match=r"inf in next_state\.y in row 0"):
        text.describe([0.5, 0.0], 1, [0.0, 0.0])


def test_a_derived_value_without_words_is_refused() -> None:
    text = make({"derived": derived("floor(x * 10)", labels={0: {"en": "near"}, 5: {"en": "far"}})})
    assert "y: far" in text.describe([0.55, 0.0], 1, [0.0, 0.0])
    with pytest.raises(TextError, match="every value of 'y' has words") as caught:
        text.describe([0.25, 0.0], 1, [0.0, 0.0])
    assert caught.value.got == 2.0


def test_derived_fields_build_on_each_other_and_on_constants() -> None:
    doubled = Field(key="doubled", name={"en": "doubled"}, expression="2 * x", shown=False)
    constant = Field(key="constant", name={"en": "constant"}, expression="1 / 4")
    text = make({"derived": [doubled, *derived("doubled + 1"), constant]})
    assert "State: x: 0.500, y: 2.000, constant: 0.250." in text.describe([0.5, 0.0], 1, [0.25, 0.0])


def test_facts_in_the_text_hold_no_numbers_but_expressions_may_use_them() -> None:
    facts = {"gravity": np.array(9.81)}
    with_fact = {"facts": {"gravity": "g"}, "derived": derived("x * gravity")}
    assert "y: 4.905" in make(with_fact, facts=facts).describe([0.5, 0.0], 1, [0.25, 0.0])
    with pytest.raises(CardError, match="holds no numbers"):
        make({**with_fact, "task": {"en": "Act under gravity {gravity}."}}, facts=facts)
    moon = make(with_fact, facts={"gravity": np.array(1.62)})
    assert moon.card_hash != make(with_fact, facts=facts).card_hash


def test_an_unknown_language_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(TextError, match="known language") as caught:
        make(language="zn")
    assert "'zh'" in caught.value.fix


def test_words_that_a_card_lacks_in_a_language_are_english() -> None:
    assert make(language="zh").describe([0.5, 0.0], 1, [0.25, 0.0]) == (
        "任务: Act. 状态: x: 0.500。 行动: act: go。 下一状态: x: 0.250。 回合继续。"
    )


def test_the_hash_knows_everything_that_shapes_the_text() -> None:
    card = find_env_card("Pendulum-v1")
    assert card is not None
    high = np.array([1, 1, 8], np.float32)
    box, torque = gym.spaces.Box(-high, high), gym.spaces.Box(-2, 2, (1,))
    base = Textualizer(card, box, torque)
    others = [
        Textualizer(card, box, torque, language="zh"),
        Textualizer(card, gym.spaces.Box(-8, 8, (3,)), torque),
        Textualizer(card, box, gym.spaces.Box(-1, 1, (1,))),
        Textualizer(replace(card, task={"en": "Do something else."}), box, torque),
        Textualizer(replace(card, text={"en": "{task} {state} {action} {next_state} {ending}"}), box, torque),
    ]
    assert len({base.card_hash, *(other.card_hash for other in others)}) == 6
    same = [
        Textualizer(card, gym.spaces.Box(-high.astype(float), high.astype(float), dtype=np.float64), torque),
        say("Pendulum-v1"),
    ]
    assert {text.card_hash for text in same} == {base.card_hash}
