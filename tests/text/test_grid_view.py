"""Grid worlds in words: against the simulator, against a slow retelling, and what holds for every view."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import minigrid  # noqa: F401  (registers its environments)
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minigrid.core.constants import DIR_TO_VEC

from rmgym.cards import Grid, load_env_card
from rmgym.errors import CardError, TextError
from rmgym.text.grid_view import GridText, check_grid
from rmgym.text.numbers import extract_numbers

CARD = load_env_card(Path(__file__).parents[2] / "envs" / "MiniGrid.toml")
GRID = CARD.grid[0]
View = npt.NDArray[np.uint8]


@cache
def say(language: str = "en", most: int = GRID.most) -> GridText:
    return GridText(replace(GRID, most=most), language)


def text_of(view: View, language: str = "en") -> str:
    return say(language).fragments(view[None]).strings()[0]


def empty_view() -> View:
    view = np.zeros((7, 7, 3), np.uint8)
    view[:, :, 0] = 1
    return view


def test_one_view_word_for_word() -> None:
    view = empty_view()
    view[3, 6] = (5, 4, 0)  # in the agent's own cell: it carries a yellow key
    view[3, 4] = (4, 4, 2)  # a locked yellow door, two cells ahead
    view[2, 6] = (2, 5, 0)  # a wall to the left
    view[6, 6] = (6, 2, 0)  # a blue ball at the right border
    view[0, 0] = (8, 1, 0)  # the goal in the far left corner
    assert text_of(view) == (
        "carried: yellow key, directly ahead: empty cell, free cells ahead: 1, free cells to the left: 0, "
        "free cells to the right: 2, in view: locked yellow door (ahead: 2, right: 0), "
        "blue ball (ahead: 0, right: 3), goal (ahead: 6, right: -3)"
    )
    assert text_of(view, "zh") == (
        "携带: 黄色钥匙， 正前方: 空格， 前方空格数: 1， 左侧空格数: 0， 右侧空格数: 2， "
        "视野内: 锁住的黄色门 (前: 2， 右: 0)， 蓝色球 (前: 0， 右: 3)， 目标 (前: 6， 右: -3)"
    )


def test_nothing_to_see() -> None:
    assert text_of(empty_view()) == (
        "carried: nothing, directly ahead: empty cell, free cells ahead: 6, free cells to the left: 3, "
        "free cells to the right: 3, in view: nothing"
    )


def test_of_many_objects_the_nearest_are_named_and_the_others_counted() -> None:
    view = empty_view()
    view[:, 0] = view[:, 5] = (9, 0, 0)  # two rivers of lava
    batch = say("en", most=3).fragments(view[None])
    assert batch.strings()[0].endswith(
        "in view: lava (ahead: 1, right: 0), lava (ahead: 1, right: -1), lava (ahead: 1, right: 1), further objects: 11"
    )
    assert batch.numbers.tolist() == [0, 3, 3, 1, 0, 1, -1, 1, 1, 11]


# Against the simulator.


def facts(env: Any) -> dict[str, Any]:
    """What MiniGrid itself knows: positions by its own coordinates and directions, never by its image."""
    forward = DIR_TO_VEC[env.agent_dir]
    rightward = np.array([-forward[1], forward[0]])
    _, seen = env.gen_obs_grid()
    here = np.array(env.agent_pos)

    def visible(cell: npt.NDArray[Any]) -> bool:
        place = env.relative_coords(*cell)
        return place is not None and bool(seen[place])

    def name(thing: Any) -> str:
        if thing is None:
            return "empty cell"
        state = ""
        if thing.type == "door":
            state = "open " if thing.is_open else "locked " if thing.is_locked else "closed "
        return state + (f"{thing.color} " if thing.type in ("door", "key", "ball", "box") else "") + thing.type

    def free(way: npt.NDArray[Any]) -> int:
        count = 0
        while visible(here + (count + 1) * way) and env.grid.get(*(here + (count + 1) * way)) is None:
            count += 1
        return count

    objects = []
    for x, y in np.ndindex(env.width, env.height):
        thing, offset = env.grid.get(x, y), np.array([x, y]) - here
        if thing is not None and thing.type != "wall" and offset.any() and visible(np.array([x, y])):
            objects.append((name(thing), int(offset @ forward), int(offset @ rightward)))
    return {
        "carried": name(env.carrying) if env.carrying else "nothing",
        "directly ahead": name(env.grid.get(*(here + forward))),
        "free": [free(forward), free(-rightward), free(rightward)],
        "in view": sorted(objects),
    }


def told(text: str) -> dict[str, Any]:
    found = re.fullmatch(
        r"carried: (?P<carried>[a-z ]+), directly ahead: (?P<ahead>[a-z ]+), free cells ahead: (\d+), "
        r"free cells to the left: (\d+), free cells to the right: (\d+), in view: (?P<view>.*)",
        text,
    )
    assert found, text
    objects = re.findall(r"([a-z ]+) \(ahead: (-?\d+), right: (-?\d+)\)", found["view"])
    return {
        "carried": found["carried"],
        "directly ahead": found["ahead"],
        "free": [int(found[i]) for i in (3, 4, 5)],
        "in view": sorted((name.strip(), int(ahead), int(right)) for name, ahead, right in objects),
    }


def wander(env_id: str, episodes: int, steps: int, weights: list[float]) -> tuple[list[View], list[dict[str, Any]]]:
    views, known = [], []
    rng = np.random.default_rng(0)
    with gym.make(env_id) as env:
        for seed in range(episodes):
            obs, _ = env.reset(seed=seed)
            for _ in range(steps):
                views.append(obs["image"])
                known.append(facts(env.unwrapped))
                obs, _, terminated, truncated, _ = env.step(rng.choice(len(weights), p=weights))
                if terminated or truncated:
                    break
    return views, known


def test_door_key_is_told_as_the_simulator_has_it() -> None:
    views, known = wander("MiniGrid-DoorKey-5x5-v0", 12, 200, [0.15, 0.15, 0.3, 0.15, 0.05, 0.2])
    for text, truth in zip(say().fragments(views).strings(), known, strict=True):
        assert told(text) == truth
    told_things = {name for truth in known for name, _, _ in truth["in view"]}
    assert {"goal", "yellow key", "open yellow door", "closed yellow door", "locked yellow door"} <= told_things
    assert {truth["carried"] for truth in known} >= {"nothing", "yellow key"}
    assert {truth["directly ahead"] for truth in known} >= {"wall", "goal", "empty cell", "locked yellow door"}


@pytest.mark.parametrize("env_id", ["MiniGrid-LavaGapS7-v0", "MiniGrid-KeyCorridorS4R3-v0", "MiniGrid-Fetch-8x8-N3-v0"])
def test_other_families_are_told_as_the_simulator_has_them(env_id: str) -> None:
    views, known = wander(env_id, 6, 80, [0.2, 0.2, 0.3, 0.1, 0.05, 0.15])
    for text, truth in zip(say().fragments(views).strings(), known, strict=True):
        assert told(text) == truth
    assert len({str(truth) for truth in known}) > 20


# What holds for every view.

COLOURED = (4, 5, 6, 7)


def content(view: View, most: int) -> tuple[Any, ...]:
    """What the text of a view should say, cell by cell."""

    def thing(column: int, row: int) -> tuple[int, int, int]:
        kind, colour, state = view[column, row].tolist()
        return kind, colour if kind in COLOURED else 0, state if kind == 4 else 0

    def free(cells: list[tuple[int, int]]) -> int:
        kinds = [thing(*cell)[0] in (1, 3) for cell in cells]
        return (*kinds, False).index(False)

    own = thing(3, 6)
    places = []
    for column, row in np.ndindex(7, 7):
        ahead, right = 6 - row, column - 3
        if thing(column, row)[0] >= 4 and (ahead, right) != (0, 0):
            places.append((abs(ahead) + abs(right), right, ahead, thing(column, row)))
    places.sort()
    named = sorted(places[:most], key=lambda place: (place[3], place[:3]))
    return (
        own if own[0] >= 4 else None,
        thing(3, 5),
        free([(3, row) for row in range(5, -1, -1)]),
        free([(column, 6) for column in (2, 1, 0)]),
        free([(column, 6) for column in (4, 5, 6)]),
        tuple((what, ahead, right) for _, right, ahead, what in named),
        max(len(places) - most, 0),
    )


def retold(view: View, most: int) -> str:
    """The text of a view, made slowly."""
    carried, front, ahead, left, right, named, further = content(view, most)

    def words(thing: tuple[int, int, int]) -> str:
        kind, colour, state = thing
        said = [GRID.states[state]["en"]] if kind == 4 else []
        said += [GRID.colours[colour]["en"]] if kind in COLOURED else []
        return " ".join([*said, GRID.objects[kind]["en"]])

    in_view = ", ".join(f"{words(thing)} (ahead: {a}, right: {r})" for thing, a, r in named)
    return (
        f"carried: {words(carried) if carried else 'nothing'}, directly ahead: {words(front)}, "
        f"free cells ahead: {ahead}, free cells to the left: {left}, free cells to the right: {right}, "
        f"in view: {in_view or 'nothing'}" + (f", further objects: {further}" if further else "")
    )


@st.composite
def batches(draw: st.DrawFn) -> View:
    """Views with few or many objects, and near copies of them, so that some are told alike and some are not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(1, 6))
    crowd = draw(st.sampled_from([0.05, 0.3, 1.0]))
    views = np.where(rng.random((size, 7, 7)) < crowd, rng.integers(0, 10, (size, 7, 7)), rng.integers(0, 3))
    cells = np.stack([views, rng.integers(0, 6, views.shape), rng.integers(0, 3, views.shape)], axis=-1)
    copies = cells.copy()
    for copy in copies:
        for _ in range(rng.integers(0, 3)):
            copy[rng.integers(7), rng.integers(7), rng.integers(3)] = rng.integers(0, 3)
    return np.concatenate([cells, copies]).astype(np.uint8)


@settings(deadline=None)
@given(batches(), st.sampled_from([0, 2, 8, 64]))
def test_every_view_is_told_as_retold_cell_by_cell(views: View, most: int) -> None:
    batch = say("en", most).fragments(views)
    assert batch.strings() == [retold(view, most) for view in views]
    alone = [say("en", most).fragments(view[None]).strings()[0] for view in views]
    assert alone == batch.strings()
    assert len(set(batch.templates)) == len(batch.templates)


@settings(deadline=None)
@given(batches(), st.sampled_from(["en", "zh"]))
def test_texts_are_equal_exactly_where_what_they_say_is(views: View, language: str) -> None:
    batch = say(language).fragments(views)
    texts, contents = batch.strings(), [content(view, GRID.most) for view in views]
    for i in range(len(views)):
        for j in range(i):
            assert (texts[i] == texts[j]) == (contents[i] == contents[j])
    again = GridText(GRID, language).fragments(views.copy())
    assert again.strings() == texts
    filled = batch.filled()
    for i, text in enumerate(texts):  # the numbers of a text, and only they, are its slots
        assert extract_numbers(text)[0] == filled.templates[filled.template_index[i]]


def test_a_batch_of_no_views() -> None:
    batch = say().fragments(np.zeros((0, 7, 7, 3), np.uint8))
    assert (len(batch), batch.strings()) == (0, [])


def test_dtype_of_the_view_does_not_matter() -> None:
    view = empty_view()
    view[3, 5] = (4, 0, 1)
    assert {text_of(view.astype(dtype)) for dtype in (np.uint8, np.int32, np.int64, np.uint16)} == {text_of(view)}


# Mistakes.


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ((10, 0, 0), "object"),
        ((4, 6, 0), "colour"),
        ((4, 0, 3), "state"),
        ((-1, 0, 0), "object"),
        ((300, 0, 0), "object"),
    ],
)
def test_a_value_without_a_word_is_refused(cell: tuple[int, int, int], rule: str) -> None:
    view = empty_view().astype(np.int64)
    view[1, 1] = cell
    with pytest.raises(TextError, match=f"every {rule} in 'view' has a word in the card"):
        text_of(view)


def test_what_is_not_told_needs_no_word() -> None:
    view = empty_view()
    view[1, 1] = (2, 99, 99)  # the colour and state of a wall are never told
    assert text_of(view) == text_of(empty_view())


@pytest.mark.parametrize("shape", [(1, 6, 7, 3), (1, 7, 7), (7, 7, 3)])
def test_a_view_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TextError, match="a view is of integers"):
        say().fragments(np.ones(shape, np.uint8))
    with pytest.raises(TextError, match="a view is of integers"):
        say().fragments(np.ones((1, 7, 7, 3)))


def test_a_grid_of_another_size_is_refused() -> None:
    check_grid(GRID, (7, 7, 3), "card")
    for shape in ((9, 9, 3), (7, 7), None):
        with pytest.raises(CardError, match="the grid 'view' is an integer array of shape"):
            check_grid(GRID, shape, "card")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"agent": (3, 7)}, "the agent stands in the view"),
        ({"agent": (3, 0)}, "the agent stands in the view"),
        ({"stateful": [4, 12]}, "'stateful' names {12}"),
        ({"colours": {}}, "'colours' holds the words"),
        ({"objects": {**GRID.objects, 256: {"en": "ghost"}}}, "are bytes"),
    ],
)
def test_a_grid_that_contradicts_itself_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        replace(GRID, **change)


def test_an_agent_in_the_middle_sees_behind_itself() -> None:
    grid = Grid(
        key="map",
        path="map",
        size=(3, 3),
        agent=(1, 1),
        objects={0: {"en": "ground"}, 7: {"en": "well"}},
        empty=[0],
    )
    view = np.zeros((1, 3, 3, 3), np.uint8)
    view[0, 0, 2, 0] = 7
    assert GridText(grid, "zh").fragments(view).strings()[0].endswith("视野内: well (前: -1， 右: -1)")
