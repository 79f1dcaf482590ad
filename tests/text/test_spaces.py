"""Random nested spaces in words: deterministic, injective, the same one at a time, and the same after saving."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import rmgym
from rmgym.cards import EnvCard, Field, LeftOut
from rmgym.errors import CardError, TextError
from rmgym.text.ragged import LONGEST, say
from rmgym.text.spaces import card_from_spaces, columns, paths
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import Transitions
from rmgym.trees import batch_size, concatenate, leaves, put, stack, take

SHAPES = st.lists(st.integers(1, 3), max_size=2).map(tuple)
BOXES = st.builds(
    lambda shape, dtype: spaces.Box(-5, 5, shape, dtype), SHAPES, st.sampled_from([np.float32, np.float64, np.int64])
)
UNBOUNDED = st.builds(lambda shape: spaces.Box(-np.inf, np.inf, shape), SHAPES)
DISCRETE = st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 30), st.integers(-9, 9))
MULTI = st.sampled_from(
    [
        spaces.MultiDiscrete([2, 5]),
        spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, -2], [0, 3]]),
        spaces.MultiBinary(3),
        spaces.MultiBinary([2, 2]),
    ]
)
FIXED = BOXES | UNBOUNDED | DISCRETE | MULTI
TEXT = st.sampled_from([spaces.Text(8), spaces.Text(4, charset='a"\\{} ;1.-')])


def _ragged(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        TEXT
        | st.builds(lambda part, stack: spaces.Sequence(part, stack=stack), FIXED, st.booleans())
        | st.builds(spaces.Sequence, inner)
        | st.builds(spaces.Graph, BOXES | DISCRETE, st.none() | BOXES | DISCRETE)
        | st.lists(inner, min_size=1, max_size=3).map(spaces.OneOf)
    )


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from(["a", "b", "Position x", "目标"])
    return st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple) | st.dictionaries(
        keys, inner, min_size=1, max_size=3
    ).map(spaces.Dict)


SPACES = st.recursive(FIXED | _ragged(FIXED), _nested, max_leaves=5)
ACTIONS = FIXED | st.lists(FIXED, min_size=1, max_size=2).map(spaces.Tuple)


def _samples(space: gym.Space[Any], count: int, seed: int) -> list[Any]:
    space.seed(seed)
    return [space.sample() for _ in range(count)]


def _shown(value: Any) -> Any:
    """A value as its text shows it: numbers rounded to four decimals."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: _shown(part) for key, part in value.items()}
    if value is None:
        return None
    if isinstance(value, tuple | list):
        return [_shown(part) for part in value]
    return (np.round(np.asarray(value, np.float64), 4) + 0.0).tolist()


@settings(max_examples=150, deadline=None)
@given(space=SPACES, action_space=ACTIONS, seed=st.integers(0, 2**16))
def test_steps_of_any_space(space: gym.Space[Any], action_space: gym.Space[Any], seed: int) -> None:
    say_steps = Textualizer(card_from_spaces("Any-v0", space, action_space), space, action_space)
    obs, after, actions = _samples(space, 4, seed), _samples(space, 4, seed + 1), _samples(action_space, 4, seed)
    obs[1], after[1], actions[1] = obs[0], after[0], actions[0]  # an equal step
    steps = Transitions.from_arrays(stack(space, obs), stack(action_space, actions), stack(space, after))
    strings = say_steps.batch(steps).strings()
    assert strings == say_steps.batch(steps).strings()
    assert strings == [say_steps.describe(*step) for step in zip(obs, actions, after, strict=True)]
    assert strings[::-1] == say_steps.batch(steps[::-1]).strings()
    for i in range(4):
        for j in range(i):
            same = _shown([obs[i], actions[i], after[i]]) == _shown([obs[j], actions[j], after[j]])
            assert (strings[i] == strings[j]) == same


@settings(max_examples=60, deadline=None)
@given(space=SPACES, action_space=ACTIONS, seed=st.integers(0, 2**16))
def test_steps_of_any_space_are_saved(tmp_path_factory: Any, space: Any, action_space: Any, seed: int) -> None:
    say_steps = Textualizer(card_from_spaces("Any-v0", space, action_space), space, action_space)
    obs, actions = stack(space, _samples(space, 3, seed)), stack(action_space, _samples(action_space, 3, seed))
    steps = Transitions.from_arrays(obs, actions, take(obs, [1, 2, 0]))
    back = Transitions.load(steps.save(tmp_path_factory.mktemp("steps") / "steps.parquet"))
    assert say_steps.batch(back).strings() == say_steps.batch(steps).strings()
    assert {p: a.dtype for p, a in leaves(back.obs).items()} == {p: a.dtype for p, a in leaves(steps.obs).items()}


@settings(max_examples=60, deadline=None)
@given(space=SPACES, seed=st.integers(0, 2**16))
def test_trees_are_batches_of_their_values(space: gym.Space[Any], seed: int) -> None:
    values = _samples(space, 4, seed)
    tree = stack(space, values)
    assert batch_size(tree) == 4
    joined = concatenate([take(tree, [3]), take(tree, slice(0, 3))])
    by_hand = stack(space, [values[3], *values[:3]])
    assert all(_shown(list(a)) == _shown(list(b)) for a, b in _pairs(joined, by_hand))
    put(joined, 0, values[0])
    again = stack(space, [values[0], *values[:3]])
    assert all(_shown(list(a)) == _shown(list(b)) for a, b in _pairs(joined, again))


def _pairs(a: Any, b: Any) -> Any:
    first, second = leaves(a), leaves(b)
    assert list(first) == list(second)
    return zip(first.values(), second.values(), strict=True)


def test_paths_by_hand() -> None:
    space = spaces.Dict(
        goal=spaces.Tuple([spaces.Box(0, 1, (2,)), spaces.Discrete(3)]),
        bits=spaces.MultiBinary([1, 2]),
        note=spaces.Text(5),
    )
    assert paths(space) == ["goal.0.0", "goal.0.1", "goal.1", "bits.0", "bits.1", "note"]
    assert paths(spaces.Box(0, 1, (2,))) == ["0", "1"]
    assert paths(spaces.Discrete(4)) == [""]


def test_a_value_of_every_ragged_kind_by_hand() -> None:
    assert say(spaces.Text(9), 'say "no\\"') == '"say \\"no\\\\\\""'
    assert say(spaces.Sequence(spaces.Discrete(9)), (3, 4)) == "2 of [3; 4]"
    assert say(spaces.OneOf([spaces.Discrete(2), spaces.Box(0, 1, (2,))]), (1, np.array([0.5, -0.0]))) == (
        "option 1: [0.5000, 0.0000]"
    )
    nodes, links = np.array([1, 2]), np.array([[0, 1]])
    graph = spaces.GraphInstance(nodes=nodes, edges=np.array([7]), edge_links=links)
    assert say(spaces.Graph(spaces.Discrete(5), spaces.Discrete(9)), graph) == "2 nodes [1; 2], 1 edges [0 to 1: 7]"


def test_long_text_is_cut_and_says_so() -> None:
    said = say(spaces.Text(5000), "x" * 1234)
    assert said == '"' + "x" * LONGEST + '" (cut; 1234 characters)'


def test_nan_inside_a_ragged_value_is_refused() -> None:
    with pytest.raises(TextError, match="finite"):
        say(spaces.Sequence(spaces.Box(0, 1, (1,))), (np.array([np.nan]),))


def test_a_card_picks_a_few_elements_of_a_large_box_and_ignores_the_others() -> None:
    space = spaces.Box(-np.inf, np.inf, (500,))
    fields = [Field(key="height", path="7", name={"en": "height"}), Field(key="speed", path="3", name={"en": "speed"})]
    left_out = LeftOut(observation=["0..2", "4..6", "8..499"], action=[""])
    card = EnvCard(id="Large-v0", task={"en": "Run."}, observation=fields, left_out=left_out)
    text = Textualizer(card, space, spaces.Discrete(2))
    obs = np.full(500, np.nan)
    obs[[3, 7]] = 1.5, 2.5
    assert "State: height: 2.500, speed: 1.500." in text.describe(obs, 0, obs)


def test_labels_are_for_numbers() -> None:
    card = EnvCard(
        id="T-v0",
        task={"en": "Read."},
        observation=[Field(key="note", name={"en": "note"}, labels={0: {"en": "none"}})],
        left_out=LeftOut(action=[""]),
    )
    with pytest.raises(CardError, match="labels, which are for numbers"):
        Textualizer(card, spaces.Text(5), spaces.Discrete(2))


def _brightness(pictures: np.ndarray) -> list[str]:
    return [f"brightness {picture.mean():.1f}" for picture in pictures]


def test_pictures_are_captioned_and_the_captioner_is_part_of_the_hash() -> None:
    class Camera(gym.Env[Any, Any]):
        observation_space, action_space = spaces.Box(0, 255, (9, 8), np.uint8), spaces.Discrete(2)

    text = rmgym.textualizer(Camera(), captioner=_brightness)
    dark, bright = np.zeros((9, 8), np.uint8), np.full((9, 8), 200, np.uint8)
    said = text.describe(dark, 1, bright)
    assert 'value: "brightness 0.0"' in said
    assert 'value: "brightness 200.0"' in said
    batch = text.batch(Transitions.from_arrays(np.stack([dark, bright]), [0, 0], np.stack([bright, dark])))
    assert batch.templates == (batch.templates[0],)
    assert batch.numbers.tolist() == [0, 200, 200, 0]
    other = rmgym.textualizer(Camera(), captioner=lambda pictures: ["x"] * len(pictures))
    assert other.card_hash != text.card_hash
    with pytest.raises(TextError, match="one string per picture"):
        rmgym.textualizer(Camera(), captioner=lambda pictures: [1]).describe(dark, 0, dark)


def test_whole_numbers_outside_their_space_are_refused() -> None:
    space = spaces.MultiDiscrete([2, 3], start=[5, -1])
    assert columns(space, [[5, -1], [6, 1]]).tolist() == [[5, -1], [6, 1]]
    for wrong in ([4, 0], [7, 0], [5, -2], [5, 2]):
        with pytest.raises(TextError, match="in its space"):
            columns(space, [wrong])


def test_a_batch_of_another_structure_is_refused() -> None:
    space = spaces.Dict(x=spaces.Discrete(2), y=spaces.Discrete(2))
    text = Textualizer(card_from_spaces("T-v0", space, spaces.Discrete(2)), space, spaces.Discrete(2))
    with pytest.raises(TextError, match="structure of its space"):
        text.batch(Transitions.from_arrays({"x": [0]}, [0], {"x": [0]}))


@pytest.mark.parametrize("said", ["--1", "-1", "---2.5", "1--1", ".-1", "- -1"])
def test_signs_before_a_number_in_free_text_leave_it_readable(said: str) -> None:
    space = spaces.Text(6, charset="-.125 ")
    text = Textualizer(card_from_spaces("T-v0", space, spaces.Discrete(2)), space, spaces.Discrete(2))
    assert f'"{said}"' in text.describe(said, 0, "-1")


@pytest.mark.parametrize(
    "space", [spaces.Box(-1, 1, (0,)), spaces.Box(-1, 1, (2, 0)), spaces.Dict({}), spaces.Tuple([])], ids=str
)
def test_a_space_without_a_value_has_nothing_to_say(space: gym.Space[Any]) -> None:
    with pytest.raises(TextError, match="says something of the observation"):
        card_from_spaces("T-v0", space, spaces.Discrete(2))
    with pytest.raises(TextError, match="says something of the action"):
        card_from_spaces("T-v0", spaces.Discrete(2), space)


def test_a_part_without_a_value_is_passed_over() -> None:
    space = spaces.Dict(none=spaces.Box(-1, 1, (0,)), nothing=spaces.Tuple([]), x=spaces.Discrete(3))
    text = Textualizer(card_from_spaces("T-v0", space, spaces.Discrete(2)), space, spaces.Discrete(2))
    obs = {"none": np.zeros(0, np.float32), "nothing": (), "x": 2}
    assert "State: value obs_x: 2. Action: choice: one." in text.describe(obs, 1, obs)


def test_keys_of_a_dict_space_are_any() -> None:
    space = spaces.Dict({1: spaces.Discrete(3), 2: spaces.Box(-1, 1, (2,))})  # type: ignore[dict-item]
    text = Textualizer(card_from_spaces("T-v0", space, spaces.Discrete(2)), space, spaces.Discrete(2))
    before, after = {1: 0, 2: np.array([0.5, -1.0])}, {1: 2, 2: np.array([0.25, 0.0])}
    said = text.describe(before, 0, after)
    assert "State: value obs_1: 0, value obs_2_0: 0.5000, value obs_2_1: -1.0000." in said
    assert "Next state: value obs_1: 2, value obs_2_0: 0.2500, value obs_2_1: 0.0000." in said


@pytest.mark.parametrize("value", [None, "hello", np.array([1.0, "x"], object), np.zeros(2, complex), {"a": 1.0}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    box = spaces.Box(-1, 1, (2,))
    text = Textualizer(card_from_spaces("T-v0", box, spaces.Discrete(2)), box, spaces.Discrete(2))
    with pytest.raises(TextError, match="obs is made of numbers"):
        text.describe(value, 0, np.zeros(2))


def test_a_value_that_lacks_a_part_is_refused() -> None:
    with pytest.raises(TextError, match="every part of its space") as caught:
        stack(spaces.Dict(a=spaces.Discrete(2), b=spaces.Discrete(2)), [{"a": 1}])
    assert "without 'b'" in str(caught.value.got)
    with pytest.raises(TextError, match="every part of its space"):
        stack(spaces.Tuple([spaces.Discrete(2)] * 2), [(1,)])
