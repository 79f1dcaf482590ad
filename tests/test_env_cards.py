"""Our environment cards say what the environments do."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rmgym.cards import EnvCard, load_env_card
from rmgym.text import textualizer
from rmgym.text.expressions import evaluate
from rmgym.text.spaces import paths
from tests.card_values import by_key, card_of

ROOT = Path(__file__).parent.parent
GRIDS = ("MiniGrid", "BabyAI")  # see test_grid_cards.py
WIDE = ("Ant-v5", "Humanoid-v5", "HumanoidStandup-v5")  # see test_mujoco_cards.py
FILES = sorted(file for file in (ROOT / "envs").glob("*.toml") if not file.name.startswith(GRIDS))
CARDS = [load_env_card(file) for file in FILES]
IDS = [card.id for card in CARDS]
every_card = pytest.mark.parametrize("card", CARDS, ids=IDS)


def fields_of(card: EnvCard) -> list[Any]:
    return [*card.observation, *card.derived, *card.action]


def test_these_environments_have_a_card() -> None:
    classic = ["Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"]
    box2d = ["BipedalWalker-v3", "LunarLander-v3", "LunarLanderContinuous-v3"]
    toy_text = ["Blackjack-v1", "CliffWalking-v1", "FrozenLake-v1", "FrozenLake8x8-v1", "Taxi-v4"]
    mujoco = ["HalfCheetah-v5", "Hopper-v5", "Reacher-v5", "Swimmer-v5", "Walker2d-v5"]
    mujoco += ["Ant-v5", "Humanoid-v5", "HumanoidStandup-v5"]
    assert sorted([*classic, *box2d, *toy_text, *mujoco]) == IDS
    assert [file.stem for file in FILES] == IDS


@every_card
def test_horizon_and_threshold_are_the_registrys(card: EnvCard) -> None:
    spec = gym.spec(card.id)
    assert (card.horizon, card.threshold) == (spec.max_episode_steps, spec.reward_threshold)


@every_card
def test_every_word_is_there_in_english_and_chinese(card: EnvCard) -> None:
    words = [card.task, *(f.name for f in fields_of(card)), *(w for f in fields_of(card) for w in f.labels.values())]
    assert all(said.get("en") and said.get("zh") for said in words)
    assert all(re.search(r"[\u4e00-\u9fff]", said["zh"]) for said in words)
    assert not any(re.search(r"[\u4e00-\u9fff]", said["en"]) for said in words)


@every_card
def test_every_element_of_an_observation_and_an_action_has_a_field(card: EnvCard) -> None:
    with gym.make(card.id) as env:
        textualizer(env)  # refuses a card that forgets an element
        for space, fields in ((env.observation_space, card.observation), (env.action_space, card.action)):
            named = [field.path for field in fields]
            if card.id in WIDE:  # fields are in the order of the body's parts, and some elements are left out
                assert len(named) == len({*named})
            else:
                assert named == paths(space)


@every_card
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_text_does_not_speak_of_reward(card: EnvCard, language: str) -> None:
    with gym.make(card.id) as env:
        text = textualizer(env, language=language)
        obs, _ = env.reset(seed=0)
        said = text.describe(obs, env.action_space.sample(), obs)
    assert not re.search("reward|return|cost|penal|score|奖|回报|代价|得分", said, re.IGNORECASE)


@every_card
def test_shown_numbers_are_of_order_one(card: EnvCard) -> None:
    """Low-frequency number features tell values of order one apart, not thousandths or thousands."""
    with gym.make(card.id) as env:
        text = textualizer(env)
        env.action_space.seed(0)
        obs, _ = env.reset(seed=0)
        batches = []
        for _ in range(300):
            action = env.action_space.sample()
            next_obs, _, terminated, truncated, _ = env.step(action)
            batches.append(text.describe(obs, action, next_obs).partition("State: ")[2])
            obs = env.reset()[0] if terminated or truncated else next_obs
    shown = np.array([[float(number) for number in re.findall(r"-?\d+\.\d+|-?\b\d+\b", said)] for said in batches])
    assert shown.shape == (300, len(text.number_keys))
    assert (np.abs(shown).max(axis=0) > 0.1).all()
    assert (np.abs(shown).max(axis=0) < 32).all()


# Signs: what the words say happens.


def step(env_id: str, state: list[float], action: Any) -> tuple[dict[str, float], dict[str, float]]:
    """Values by key before and after one step from a state of the simulator."""
    with gym.make(env_id) as env:
        env.reset(seed=0)
        inner: Any = env.unwrapped
        inner.state = np.array(state)
        before = inner._get_obs() if env_id.startswith("Pendulum") else None
        if env_id.startswith("Acrobot"):
            before = inner._get_ob()
        after = env.step(action)[0]
        return by_key(env_id, np.array(state) if before is None else before), by_key(env_id, after)


def test_pendulum_zero_is_upright_and_torque_turns_it_towards_positive_angles() -> None:
    upright, _ = step("Pendulum-v1", [0.0, 0.0], [0.0])
    assert (upright["cosine"], upright["angle"]) == (1.0, 0.0)  # the first coordinate points up
    for angle in (-3.0, -0.7, 0.4, 2.5):
        before, after = step("Pendulum-v1", [angle, 0.3], [2.0])
        assert before["angle"] == pytest.approx(angle, abs=1e-6)
        assert before["angular_velocity"] == pytest.approx(0.3)
        without = step("Pendulum-v1", [angle, 0.3], [0.0])[1]
        assert after["angular_velocity"] > without["angular_velocity"]
        assert after["angle"] == pytest.approx(angle + 0.05 * after["angular_velocity"], abs=1e-5)
    falling = step("Pendulum-v1", [0.5, 0.0], [0.0])[1]
    assert falling["angle"] > 0.5  # gravity pulls away from upright


def test_cartpole_right_is_positive_and_a_push_to_the_right_tips_the_pole_to_the_left() -> None:
    labels = card_of("CartPole-v1").action[0].labels
    for action, sign in ((0, -1), (1, 1)):
        assert labels[action]["en"] == {-1: "to the left", 1: "to the right"}[sign]
        _, after = step("CartPole-v1", [0.0, 0.0, 0.0, 0.0], action)
        assert sign * after["velocity"] > 0
        assert sign * after["angular_velocity"] < 0
    _, falling = step("CartPole-v1", [0.0, 0.0, 0.2, 0.0], 1)
    _, rising = step("CartPole-v1", [0.0, 0.0, -0.2, 0.0], 1)
    assert falling["angular_velocity"] > rising["angular_velocity"]  # a pole that leans to the right falls to the right


@pytest.mark.parametrize(("first", "second"), [(0.0, 0.0), (0.5, -1.0), (2.0, 2.5), (-3.0, 0.1)])
def test_acrobot_angles_and_height(first: float, second: float) -> None:
    before, _ = step("Acrobot-v1", [first, second, 1.0, -2.0], 1)
    assert before["angle_first"] == pytest.approx(first, abs=1e-6)
    assert before["angle_second"] == pytest.approx(second, abs=1e-6)
    assert (before["velocity_first"], before["velocity_second"]) == (1.0, -2.0)
    # The links' ends as render() draws them: x = sin, y = -cos, so positive angles turn counter-clockwise.
    elbow = -np.cos(first)
    assert before["height"] == pytest.approx(elbow - np.cos(first + second), abs=1e-6)


def test_acrobot_height_decides_the_end() -> None:
    with gym.make("Acrobot-v1") as env:
        inner: Any = env.unwrapped
        rng = np.random.default_rng(0)
        ends = set()
        for _ in range(300):
            env.reset(seed=0)
            inner.state = rng.uniform([-3, -3, -2, -2], [3, 3, 2, 2])
            obs, _, terminated, _, _ = env.step(1)
            assert terminated == (by_key("Acrobot-v1", obs)["height"] > 1.0)
            ends.add(terminated)
        assert ends == {False, True}


def test_acrobot_torque_turns_the_second_link() -> None:
    labels = [card_of("Acrobot-v1").action[0].labels[i]["en"] for i in range(3)]
    assert labels == ["clockwise", "none", "counter-clockwise"]
    speeds = [step("Acrobot-v1", [0.0, 0.0, 0.0, 0.0], action)[1]["velocity_second"] for action in range(3)]
    assert speeds[0] < speeds[1] < speeds[2]
    assert speeds[1] == pytest.approx(0.0, abs=1e-9)


def test_mountain_car_accelerates_where_the_words_say() -> None:
    labels = [card_of("MountainCar-v0").action[0].labels[i]["en"] for i in range(3)]
    assert labels == ["to the left", "not at all", "to the right"]
    moved = [step("MountainCar-v0", [-0.5236, 0.0], action)[1] for action in range(3)]  # the bottom of the valley
    assert [round(m["velocity"], 3) for m in moved] == [-0.1, 0.0, 0.1]  # centimetres per step
    assert [round(m["position"] + 0.5236, 5) for m in moved] == [-0.001, 0.0, 0.001]


@pytest.mark.parametrize(("push", "moved"), [(-2.0, -0.15), (-1.0, -0.15), (0.0, 0.0), (0.5, 0.075), (1.0, 0.15)])
def test_continuous_mountain_car_is_pushed_to_the_right_by_clipped_force(push: float, moved: float) -> None:
    after = step("MountainCarContinuous-v0", [-np.pi / 6, 0.0], np.array([push], np.float32))[1]  # the valley's bottom
    assert after["velocity"] == pytest.approx(moved, abs=1e-6)  # centimetres per step
    assert after["position"] == pytest.approx(-np.pi / 6 + moved / 100, abs=1e-6)


@pytest.mark.parametrize(("action", "move"), [(0, (0, -1)), (1, (1, 0)), (2, (0, 1)), (3, (-1, 0))])
def test_frozen_lake_moves_where_the_words_say(action: int, move: tuple[int, int]) -> None:
    words = {(0, -1): "left", (1, 0): "down", (0, 1): "right", (-1, 0): "up"}
    card = card_of("FrozenLake-v1")
    assert card.action[0].labels[action]["en"] == words[move]
    with gym.make("FrozenLake-v1", desc=["SFF", "FFF", "FFG"], is_slippery=False) as env:
        env.reset(seed=0)
        inner: Any = env.unwrapped
        inner.s = 4  # the middle
        cell = env.step(action)[0]
        facts = {"map": inner.desc, "cell": np.array([cell])}
        row, column, _ = (int(evaluate(field.expression, facts)[0]) for field in card.derived)
        assert (row - 1, column - 1) == move


def test_frozen_lake_names_every_tile() -> None:
    card = card_of("FrozenLake8x8-v1")
    tile = card.derived[2]
    named = {chr(code): words["en"] for code, words in tile.labels.items()}
    assert named == {"S": "start", "F": "frozen", "H": "hole", "G": "goal"}
    with gym.make("FrozenLake8x8-v1") as env:
        desc: Any = env.unwrapped.desc  # type: ignore[attr-defined]
        cells = np.arange(64)
        codes = evaluate(tile.expression, {"map": desc, "cell": cells})
        assert [chr(int(code)) for code in codes] == [letter.decode() for letter in desc.ravel()]


def test_the_two_lakes_differ_only_in_what_the_registry_says() -> None:
    small, large = card_of("FrozenLake-v1"), card_of("FrozenLake8x8-v1")
    same = {"id": "", "horizon": None, "threshold": None, "reference": {}, "file": ""}
    assert replace(small, **same) == replace(large, **same)


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1", "Acrobot-v1"])
def test_mirrored_steps_stay_mirrored_and_earn_the_same(env_id: str) -> None:
    card = card_of(env_id)
    (symmetry,) = card.symmetries
    swap = dict(symmetry.swap_actions) | {b: a for a, b in symmetry.swap_actions}
    rng = np.random.default_rng(0)
    with gym.make(env_id) as env:
        inner: Any = env.unwrapped
        env.action_space.seed(0)
        for _ in range(50):
            action = env.action_space.sample()
            mirrored = swap.get(int(action), int(action)) if swap else -action
            state = rng.uniform(-0.2, 0.2, 2 if env_id == "Pendulum-v1" else 4)
            results = []
            for sign, act in ((1, action), (-1, mirrored)):
                env.reset(seed=0)
                inner.state = sign * state
                obs, reward, terminated, _, _ = env.step(act)
                results.append((by_key(env_id, obs), reward, terminated))
            (plain, reward, end), (mirror, other_reward, other_end) = results
            assert reward == pytest.approx(other_reward, abs=1e-6)
            assert end == other_end
            for key, value in plain.items():
                sign = -1 if key in symmetry.flip else 1
                assert mirror[key] == pytest.approx(sign * value, abs=1e-5), key
    if not swap:
        assert {field.key for field in card.action} <= set(symmetry.flip)


# References.


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("reference_returns")


def test_references_are_the_measured_ones() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "reference_returns.json").read_text())
    assert measured["seeds"] == [0, 1, 2]
    for card in CARDS:
        reference = card.reference["random"]
        said = measured["references"][card.id]
        assert (reference.mean, reference.std) == (said["mean"], said["std"])
        assert (reference.seeds, reference.episodes) == ([0, 1, 2], 100)
        returns = np.array([c["returns"] for c in measured["cells"] if c["env"] == card.id])
        assert returns.shape == (3, 100)
        assert reference.mean == pytest.approx(returns.mean(), abs=6e-4)
        assert reference.std == pytest.approx(returns.std(ddof=1), abs=6e-4)


def test_the_first_measured_episodes_come_back(script: ModuleType) -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "reference_returns.json").read_text())
    for env_id in ("CartPole-v1", "FrozenLake-v1"):
        (cell,) = [c for c in measured["cells"] if (c["env"], c["seed"]) == (env_id, 1)]
        again = script.measure({"env": env_id, "seed": 1, "episodes": 10})
        assert list(again["returns"]) == cell["returns"][:10]


CARD = 'id = "X-v0"\n\n# A comment.\n[task]\nen = "Act."\n'
AGENT = '\n# Ours.\n[reference.agent]\nmean = 7.0\nsource = "us"\n'


@pytest.mark.parametrize("tail", ["", AGENT])
def test_writing_a_reference_changes_nothing_else(script: ModuleType, tail: str) -> None:
    def write(text: str, mean: float) -> str:
        return str(script.with_table(text, {"mean": mean, "std": 0.5}, [0, 1], 9, "script"))

    first = write(CARD, 1.0) + tail
    table = '\n[reference.random]\nmean = 1.0\nstd = 0.5\nseeds = [0, 1]\nepisodes = 9\nsource = "script"\n'
    assert first == CARD + table + tail
    assert write(first, 1.0) == first
    assert write(first, -2.5) == first.replace("mean = 1.0\n", "mean = -2.5\n")
