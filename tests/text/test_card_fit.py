"""A card fits the space that it was written for, and no other."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import rmgym
from rmgym.cards import EnvCard, Field, LeftOut
from rmgym.errors import CardError
from rmgym.text.textualizer import Textualizer

NESTED = spaces.Dict(
    arm=spaces.Box(-1, 1, (5,)), mode=spaces.Discrete(3), camera=spaces.Box(0, 255, (9, 9, 3), np.uint8)
)
TWO = spaces.Discrete(2)


def card(left_out: LeftOut, *paths: str) -> EnvCard:
    fields = [Field(key=f"x{i}", path=path, name={"en": "x"}) for i, path in enumerate(paths)]
    return EnvCard(id="Toy-v0", task={"en": "Act."}, observation=fields, left_out=left_out)


def test_hopper_with_its_position_does_not_get_the_words_of_hopper_without() -> None:
    with_position = gym.make("Hopper-v5", exclude_current_positions_from_observation=False)
    with with_position, pytest.raises(CardError, match='nothing about "11"') as caught:
        rmgym.textualizer(with_position)
    assert 'left_out.observation = ["11"]' in caught.value.fix
    with gym.make("Hopper-v5") as env:
        obs, _ = env.reset(seed=0)
        said = rmgym.textualizer(env).describe(obs, env.action_space.sample(), obs)
    assert f"torso height in m: {obs[0]:.4f}" in said
    assert obs[0] == pytest.approx(1.25, abs=0.01)


@pytest.mark.parametrize(
    ("paths", "left_out", "missing"),
    [
        ((), [], '"arm.0..arm.4", "mode", "camera.0..camera.242"'),
        (("arm.1", "mode"), ["camera"], '"arm.0", "arm.2..arm.4"'),
        (("mode",), ["camera", "arm.0..arm.3"], '"arm.4"'),
        (("mode",), ["camera", "arm"], None),
        (("arm.2", "mode"), ["arm.0..arm.1", "arm.3", "arm.4", "camera"], None),
    ],
)
def test_every_element_is_named_or_said_to_be_left_out(
    paths: tuple[str, ...], left_out: list[str], missing: str | None
) -> None:
    given = card(LeftOut(observation=left_out, action=[""]), *paths)
    if missing is None:
        Textualizer(given, NESTED, TWO)
    else:
        with pytest.raises(CardError) as caught:
            Textualizer(given, NESTED, TWO)
        assert f"write left_out.observation = [{missing}]" in caught.value.fix


@pytest.mark.parametrize("entry", ["arm.5", "arm.3..arm.1", "arm.0..leg.1", "..", "legs"])
def test_what_is_not_in_the_space_cannot_be_left_out(entry: str) -> None:
    with pytest.raises(CardError, match=r"left_out.observation has paths of the space"):
        Textualizer(card(LeftOut(observation=[entry], action=[""])), NESTED, TWO)


def test_what_is_named_is_not_left_out() -> None:
    with pytest.raises(CardError, match="has what a field names"):
        Textualizer(card(LeftOut(observation=["arm", "camera"], action=[""]), "arm.1", "mode"), NESTED, TWO)


def test_an_action_without_words_is_said_to_be_left_out() -> None:
    with pytest.raises(CardError, match=r"left_out.action = \[\"\"\]"):
        Textualizer(card(LeftOut(observation=["camera", "arm"]), "mode"), NESTED, TWO)


@pytest.mark.parametrize(
    "other",
    [
        spaces.Box(-2, 1, (2,)),
        spaces.Box(-1, 2, (2,)),
        spaces.Box(np.array([-1, -2], np.float32), np.ones(2, np.float32)),
        spaces.Box(-np.inf, np.inf, (2,)),
    ],
)
def test_the_bounds_are_part_of_the_hash(other: gym.Space[Any]) -> None:
    given = EnvCard(id="Toy-v0", task={"en": "Act."}, left_out=LeftOut(observation=["0..1"], action=["0..1"]))
    box = spaces.Box(-1, 1, (2,))
    first = Textualizer(given, box, box).card_hash
    assert first == Textualizer(given, spaces.Box(-1, 1, (2,), np.float64), box).card_hash
    assert len({first, Textualizer(given, other, box).card_hash, Textualizer(given, box, other).card_hash}) == 3
    nested = [
        Textualizer(
            EnvCard(id="T-v0", task={"en": "A."}, left_out=LeftOut(observation=["0", "1"], action=[""])),
            spaces.Tuple([spaces.Sequence(part), TWO]),
            TWO,
        ).card_hash
        for part in (box, other)
    ]
    assert nested[0] != nested[1]
