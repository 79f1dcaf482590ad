"""Cards of grid worlds say what MiniGrid does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import minigrid  # noqa: F401  (registers its environments)
import numpy as np
import pytest
from minigrid.core.actions import Actions
from minigrid.core.constants import DIR_TO_VEC, IDX_TO_COLOR, IDX_TO_OBJECT, STATE_TO_IDX
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Door, Key

import rmgym
from rmgym.cards import EnvCard, find_env_card, load_env_card

ROOT = Path(__file__).parent.parent
CARDS = [
    load_env_card(file) for file in sorted((ROOT / "envs").glob("*.toml")) if re.match("MiniGrid|BabyAI", file.name)
]
ONE = [card for card in CARDS if card.id in gym.registry]
every_card = pytest.mark.parametrize("card", CARDS, ids=[card.id for card in CARDS])
every_single_card = pytest.mark.parametrize("card", ONE, ids=[card.id for card in ONE])
IDS = [env_id for env_id in gym.registry if re.match("MiniGrid-(?!WFC)|BabyAI-", env_id)]  # WFC lacks its files
OLD = "ignore:.*is out of date:DeprecationWarning"


def card_of(env_id: str) -> EnvCard:
    card = find_env_card(env_id)
    assert card is not None
    return card


def test_these_families_have_a_card() -> None:
    families = {card.id: Path(card.file).name for card in CARDS if card not in ONE}
    assert families == {
        "BabyAI-*": "BabyAI.toml",
        "MiniGrid-*": "MiniGrid.toml",
        "MiniGrid-DoorKey-*": "MiniGrid-DoorKey.toml",
        "MiniGrid-Dynamic-Obstacles-*": "MiniGrid-Dynamic-Obstacles.toml",
        "MiniGrid-Empty-*": "MiniGrid-Empty.toml",
        "MiniGrid-KeyCorridor*": "MiniGrid-KeyCorridor.toml",
        "MiniGrid-LavaGap*": "MiniGrid-LavaGap.toml",
    }
    assert [Path(card.file).stem for card in ONE] == [card.id for card in ONE]
    for family in ("Empty-", "DoorKey-", "LavaGap", "KeyCorridor"):
        registered = {env_id for env_id in gym.registry if env_id.startswith(f"MiniGrid-{family}")}
        assert registered == {card.id for card in ONE if card.id.startswith(f"MiniGrid-{family}")}
    assert {Path(card_of(env_id).file).name for env_id in IDS} >= set(families.values()) - {
        f"MiniGrid-{name}.toml" for name in ("Empty", "DoorKey", "LavaGap", "KeyCorridor")
    }


@every_single_card
def test_horizon_is_the_environments(card: EnvCard) -> None:
    with gym.make(card.id) as env:
        assert card.horizon == env.unwrapped.max_steps  # type: ignore[attr-defined]


@every_card
def test_every_word_is_there_in_english_and_chinese(card: EnvCard) -> None:
    (grid,) = card.grid
    words = [card.task, *grid.objects.values(), *grid.colours.values(), *grid.states.values()]
    for field in [*card.observation, *card.action]:
        words += [field.name, *field.labels.values()]
    assert all(re.search(r"[\u4e00-\u9fff]", said["zh"]) for said in words)
    assert not any(re.search(r"[\u4e00-\u9fff]", said["en"]) for said in words)


def test_objects_colours_and_states_are_minigrids() -> None:
    (grid,) = card_of("MiniGrid-Unlock-v0").grid
    names = {value: words["en"] for value, words in grid.objects.items()}
    shown = {value: name for value, name in IDX_TO_OBJECT.items() if name != "agent"}  # a view never shows the agent
    assert names == shown | {1: "empty cell"}
    assert {value: words["en"] for value, words in grid.colours.items()} == IDX_TO_COLOR
    assert {words["en"]: value for value, words in grid.states.items()} == STATE_TO_IDX


@pytest.mark.filterwarnings(OLD)
def test_views_missions_and_actions_are_as_the_cards_say() -> None:
    for env_id in IDS:
        card = card_of(env_id)
        with gym.make(env_id) as env:
            space: Any = env.observation_space
            assert space["image"].shape == (*card.grid[0].size, 3)
            assert isinstance(space["mission"], MissionSpace)
            assert isinstance(env.action_space, gym.spaces.Discrete)
            assert sorted(card.action[0].labels) == list(range(env.action_space.n))
            assert env.unwrapped.agent_view_size // 2 == card.grid[0].agent[0]  # type: ignore[attr-defined]


def test_a_fixed_mission_is_left_out_and_another_is_shown() -> None:
    for env_id in IDS:
        card = card_of(env_id)
        if "mission" not in {field.key for field in card.observation}:
            with gym.make(env_id) as env:
                missions = {env.reset(seed=seed)[0]["mission"] for seed in range(5)}
            assert len(missions) == 1, env_id


# What the words say happens.


def test_directions_are_those_of_the_compass() -> None:
    facing = next(field for field in card_of("MiniGrid-Empty-5x5-v0").observation if field.key == "direction")
    # MiniGrid counts x to the right and y down, as a map with north on top.
    compass = {"east": (1, 0), "south": (0, 1), "west": (-1, 0), "north": (0, -1)}
    assert {words["en"]: tuple(DIR_TO_VEC[value]) for value, words in facing.labels.items()} == compass


def test_actions_do_what_the_words_say() -> None:
    words = {value: said["en"] for value, said in card_of("MiniGrid-DoorKey-5x5-v0").action[0].labels.items()}
    assert [words[action] for action in Actions] == [
        "turn left",
        "turn right",
        "go ahead",
        "pick up",
        "drop",
        "toggle",
        "nothing",
    ]
    with gym.make("MiniGrid-Empty-5x5-v0") as env:
        inner: Any = env.unwrapped
        env.reset(seed=0)
        inner.agent_pos, inner.agent_dir = (1, 2), 0
        env.step(0)
        assert inner.agent_dir == 3  # from east to north
        env.step(1)
        assert inner.agent_dir == 0
        env.step(2)
        assert tuple(inner.agent_pos) == (2, 2)
        env.step(6)
        assert (tuple(inner.agent_pos), inner.agent_dir) == ((2, 2), 0)
    with gym.make("MiniGrid-DoorKey-5x5-v0") as env:
        inner = env.unwrapped
        env.reset(seed=0)
        door, key = Door("yellow", is_locked=True), Key("yellow")
        inner.agent_pos, inner.agent_dir = (1, 2), 3
        inner.put_obj(key, 1, 1)
        env.step(3)
        assert inner.carrying is key
        env.step(4)
        assert (inner.carrying, inner.grid.get(1, 1)) == (None, key)
        env.step(3)
        inner.put_obj(door, 1, 1)
        env.step(5)
        assert door.is_open
        env.step(5)
        assert not door.is_open


def test_dynamic_obstacles_knows_the_first_three_actions() -> None:
    labels, all_labels = (
        card_of(i).action[0].labels for i in ("MiniGrid-Dynamic-Obstacles-8x8-v0", "MiniGrid-Unlock-v0")
    )
    assert labels == {value: all_labels[value] for value in range(3)}


# References.


@every_single_card
def test_references_are_the_measured_ones(card: EnvCard) -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "reference_returns.json").read_text())
    reference, said = card.reference["random"], measured["references"][card.id]
    assert (reference.mean, reference.std) == (said["mean"], said["std"])
    returns = np.array([c["returns"] for c in measured["cells"] if c["env"] == card.id])
    assert returns.shape == (len(reference.seeds), reference.episodes) == (3, 100)
    assert reference.mean == pytest.approx(returns.mean(), abs=6e-4)
    assert reference.std == pytest.approx(returns.std(ddof=1), abs=6e-4)


# Whole texts.


@pytest.mark.parametrize("env_id", ["MiniGrid-DoorKey-5x5-v0", "MiniGrid-KeyCorridorS3R1-v0", "BabyAI-GoToLocal-v0"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_batch_says_what_every_step_says_alone(env_id: str, language: str) -> None:
    steps = rmgym.collect(env_id, 150, seed=1, progress=False)
    text = rmgym.textualizer(env_id, language=language)
    strings = text.batch(steps).strings()
    rows = range(0, 150, 10)
    alone = [text.describe(take_one(steps.obs, i), steps.action[i], take_one(steps.next_obs, i)) for i in rows]
    going_on = [i for i in rows if not (steps.terminated[i] or steps.truncated[i])]
    assert [strings[i] for i in going_on] == [alone[rows.index(i)] for i in going_on]
    assert len(set(strings)) > 10


def take_one(tree: Any, row: int) -> Any:
    return {key: leaf[row] for key, leaf in tree.items()}


def test_a_step_of_door_key_by_hand() -> None:
    with gym.make("MiniGrid-DoorKey-5x5-v0") as env:
        inner = env.unwrapped
        env.reset(seed=0)
        inner.agent_pos, inner.agent_dir = (1, 2), 3  # looks up, at the key
        inner.grid.set(1, 1, Key("yellow"))
        inner.grid.set(1, 3, None)
        before = inner.gen_obs()
        after, *_ = env.step(Actions.pickup)
        said = rmgym.textualizer(env).describe(before, int(Actions.pickup), after)
    assert "State: facing: north, carried: nothing, directly ahead: yellow key" in said
    assert "yellow key (ahead: 1, right: 0)" in said.split("Next state")[0]
    assert "Action: what the agent does: pick up." in said
    assert "Next state: facing: north, carried: yellow key, directly ahead: empty cell, free cells ahead: 1" in said


def test_the_hash_is_the_same_in_every_process_although_the_mission_space_holds_a_function() -> None:
    code = "import rmgym; print(rmgym.textualizer('MiniGrid-Unlock-v0').card_hash)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == rmgym.textualizer("MiniGrid-Unlock-v0").card_hash
