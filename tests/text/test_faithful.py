"""Words say what the numbers are: two steps that differ have two texts, whatever the size and kind of their numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rmgym.cards import EnvCard, Field
from rmgym.errors import TextError
from rmgym.models.controls import RandomReward
from rmgym.scoring.cache import keys_of
from rmgym.text import TextBatch, Textualizer
from rmgym.text.distinct import distinct, told_apart
from rmgym.text.ragged import say
from rmgym.text.spaces import card_from_spaces
from rmgym.transitions import Transitions
from rmgym.trees import stack

TWO = spaces.Discrete(2)


def generic(space: gym.Space[Any], language: str = "en") -> Textualizer:
    return Textualizer(card_from_spaces("Any-v0", space, TWO), space, TWO, language=language)


def steps_of(space: gym.Space[Any], values: list[Any]) -> Transitions:
    obs = stack(space, values)
    return Transitions.from_arrays(obs, np.zeros(len(values), np.int64), obs)


WHOLE = [
    (spaces.Box(-(2**62), 2**62, (), np.int64), [20_000_000, 20_000_001, -20_000_001, 1_700_000_050, 2**53 - 1]),
    (spaces.Box(0, 2**63, (), np.uint64), [2**24, 2**24 + 1, 2**53 - 1, 2**53 - 2]),
    (spaces.Discrete(2**24 + 5), [2**24, 2**24 + 1, 2**24 + 2]),
    (spaces.Discrete(2**40, start=-(2**39)), [-(2**39), -(2**39) + 1, 2**38 + 1]),
    (spaces.MultiDiscrete([2**30, 2**30]), [[2**25, 1], [2**25 + 1, 1], [2**25, 2]]),
    (spaces.Box(-np.inf, np.inf, (), np.float64), [1.7e9 + 50, 1.7e9 + 51, 2.0**60, 2.0**60 + 256]),
    (spaces.Sequence(spaces.Box(0, 2**63, (), np.uint64)), [(2**60,), (2**60 + 1,), (2**24 + 1,)]),
]


@pytest.mark.parametrize(("space", "values"), WHOLE, ids=str)
def test_whole_numbers_are_exact(space: gym.Space[Any], values: list[Any], tmp_path: Path) -> None:
    text, steps = generic(space), steps_of(space, values)
    batch = text.batch(steps)
    strings = batch.strings()
    for value, said in zip(values, strings, strict=True):
        for number in np.ravel(value).tolist():
            assert f"{int(number)}" in said
    assert strings == [text.describe(value, 0, value) for value in values]
    assert text.batch(Transitions.load(steps.save(tmp_path / "steps.parquet"))).strings() == strings
    again = TextBatch.from_json(json.loads(json.dumps(batch.to_json())))
    for texts in (batch, again, TextBatch.from_strings(strings), batch[::-1]):
        assert len(distinct(texts)[0]) == len(set(keys_of(texts, "digest"))) == len(values)
        assert len(set(RandomReward().predict(texts).mean.tolist())) == len(values)


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (spaces.Box(0, 2**63, (1,), np.uint64), np.array([2**63 + 1], np.uint64)),
        (spaces.Box(-(2**62), 2**62, (1,), np.int64), np.array([-(2**53) - 1])),
        (spaces.Discrete(2**60), 2**53),
        (spaces.Discrete(2**40), np.float32(2**24 + 1)),
    ],
)
def test_whole_numbers_that_cannot_be_exact_are_refused(space: gym.Space[Any], value: Any) -> None:
    with pytest.raises(TextError, match="whole numbers in a text are exact"):
        generic(space).describe(value, 0, value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-5, 1.0, 1e3])
def test_small_observations_without_a_card_keep_their_digits(size: float, dtype: Any) -> None:
    space = spaces.Box(-np.inf, np.inf, (2,), dtype)
    values = list((np.random.default_rng(0).normal(size=(25, 2)) * size).astype(dtype))
    steps = steps_of(space, values)
    texts = generic(space).batch(steps)
    assert len(texts.templates) == 1
    assert told_apart(steps, texts).collisions == 0
    assert texts.strings() == [generic(space).describe(value, 0, value) for value in values]
    assert TextBatch.from_strings(texts.strings()).numbers.tobytes() == texts.numbers.tobytes()


def test_small_numbers_by_hand() -> None:
    space = spaces.Box(-np.inf, np.inf, (2,))
    said = generic(space).describe(np.float32([1.23456e-5, -0.0]), 0, np.float32([0.5, -1e-7]))
    assert "State: value obs0: 1.2346e-05, value obs1: 0.0000. " in said
    assert "Next state: value obs0: 0.5000, value obs1: -1.0000e-07. " in said
    chinese = generic(space, "zh").describe(np.float32([1.23456e-5, -0.0]), 0, np.float32([0.5, -1e-7]))
    numbers = [TextBatch.from_strings([text]).numbers.tolist() for text in (said, chinese)]
    assert numbers[0] == numbers[1] == [1.2346e-05, 0.0, 0.5, -1e-07]
    assert say(spaces.Sequence(space), (np.float32([1.23456e-5, 2]),)) == "1 of [[1.2346e-05, 2.0000]]"


def test_one_value_has_one_text_in_every_dtype_and_sign_of_zero() -> None:
    for values in ([0.1, np.float32(0.1)], [1e-5, np.float32(1e-5)], [0.0, -0.0, np.float32(-0.0)], [1, 1.0, True]):
        space = spaces.Box(-np.inf, np.inf, ())
        assert len({generic(space).describe(value, 0, value) for value in values}) == 1, values


def test_a_cards_numbers_stay_as_short_as_it_says() -> None:
    space = spaces.Box(-np.inf, np.inf, (2,))
    fields = [Field(key="x", path="0", name={"en": "x"}, decimals=4)]
    fields += [Field(key="y", path="1", name={"en": "y"}, decimals=3, scientific=True)]
    card = EnvCard(id="Toy-v0", task={"en": "Act."}, observation=fields, action=[Field(key="a", name={"en": "a"})])
    said = Textualizer(card, space, TWO).describe([0.000123, 0.0123456], 0, [2.00004, 0.123456])
    assert "State: x: 0.0001, y: 1.235e-02. " in said
    assert "Next state: x: 2.0000, y: 0.123. " in said


def test_steps_that_a_text_cannot_tell_apart_are_counted() -> None:
    space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    values = [np.array([x]) for x in (1.00001, 1.00002, 1.00001, 1.1, -0.0, 0.0)]
    steps = steps_of(space, values)
    counted = told_apart(steps, generic(space).batch(steps))
    assert (counted.steps, counted.collisions) == (4, 1)
    assert str(counted) == "1 of 4 different steps have the text of another one"
    graphs = spaces.Sequence(spaces.Discrete(9))
    steps = steps_of(graphs, [(1, 2), (1, 2), (2, 1)])
    assert told_apart(steps, generic(graphs).batch(steps)).steps == 2
