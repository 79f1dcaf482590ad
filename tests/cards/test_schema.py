"""What a card's hash covers, which patterns it matches, and what counts as a free number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.cards import AgentCard, EnvCard, EnvironmentOverride, Field, Grid, Reference, Symmetry
from rmgym.cards.schema import FREE_NUMBER, specificity

CARD = EnvCard(
    id="X-v0",
    task={"en": "Go."},
    observation=[Field(key="x", path="0", name={"en": "position"}, unit="m")],
    action=[Field(key="push", name={"en": "push"}, labels={0: {"en": "left"}, 1: {"en": "right"}})],
)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "X-v1"},
        {"version": 2},
        {"task": {"en": "Go!"}},
        {"task": {"en": "Go.", "zh": "走。"}},
        {"observation": [replace(CARD.observation[0], unit="cm")]},
        {"observation": [replace(CARD.observation[0], path="1")]},
        {"observation": [replace(CARD.observation[0], decimals=2)]},
        {"observation": [replace(CARD.observation[0], shown=False)]},
        {"derived": [Field(key="twice", name={"en": "twice"}, expression="2 * x")]},
        {"action": [replace(CARD.action[0], labels={0: {"en": "right"}, 1: {"en": "left"}})]},
        {"facts": {"map": "desc"}},
        {"grid": [Grid(key="view", path="image", size=(7, 7), agent=(3, 6), objects={0: {"en": "wall"}})]},
        {"text": {"en": "{task} {state} {action} {next_state} {ending}"}},
    ],
)
def test_hash_changes_with_what_shapes_the_text(change: dict[str, Any]) -> None:
    assert replace(CARD, **change).hash != CARD.hash


@pytest.mark.parametrize(
    "change",
    [
        {"source": "the environment's documentation"},
        {"symmetries": [Symmetry(flip=["x"], swap_actions=[(0, 1)])]},
        {"symmetries": [Symmetry(swap=[("x", "push")])]},
        {"policy_wrappers": ["minigrid.wrappers.FlatObsWrapper"]},
        {"horizon": 200},
        {"threshold": 475.0},
        {"reference": {"random": Reference(mean=-1200.0, source="measured")}},
        {"file": "/elsewhere/card.toml"},
        {"extends": "other.toml"},
    ],
)
def test_hash_ignores_what_was_measured(change: dict[str, Any]) -> None:
    assert replace(CARD, **change).hash == CARD.hash


def test_hash_is_the_same_in_every_version_of_rmgym() -> None:
    # It is written into datasets and checkpoints: where this fails, they no longer match the cards they came from.
    assert len(CARD.hash) == 16
    assert CARD.hash == "f4172ff19c31c423"


@pytest.mark.parametrize(
    ("pattern", "env_id", "matches"),
    [
        ("Pendulum-v1", "Pendulum-v1", True),
        ("Pendulum-v1", "pendulum-v1", False),
        ("Pendulum-v1", "Pendulum-v10", False),
        ("Pendulum-v*", "Pendulum-v1", True),
        ("MiniGrid-*-v0", "MiniGrid-Empty-5x5-v0", True),
        ("ALE/*", "ALE/Pong-v5", True),
        ("CartPole-v[01]", "CartPole-v2", False),
    ],
)
def test_patterns(pattern: str, env_id: str, matches: bool) -> None:
    assert replace(CARD, id=pattern).matches(env_id) is matches


def test_the_id_itself_is_more_specific_than_any_pattern_then_length_decides() -> None:
    patterns = ["*", "Env-v1", "Env-v*", "Env*", "Env-v?", "Env-v[0-9]"]
    assert sorted(patterns, key=lambda p: specificity(p, "Env-v1")) == [
        "*",
        "Env*",
        "Env-v*",
        "Env-v?",
        "Env-v[0-9]",
        "Env-v1",
    ]


def test_the_most_specific_override_wins() -> None:
    overrides = [EnvironmentOverride(id=i, source=i) for i in ("*", "Env-v*", "Env-v1", "Other-v1")]
    card = AgentCard(name="ppo", algorithm="stable_baselines3.PPO", environment=overrides)
    chosen = {e: o.id if (o := card.override_for(e)) else None for e in ("Env-v1", "Env-v22", "Else")}
    assert chosen == {"Env-v1": "Env-v1", "Env-v22": "Env-v*", "Else": "*"}
    assert replace(card, environment=overrides[1:]).override_for("Else") is None


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("none at all", []),
        ("3", ["3"]),
        ("-0.25 rad, then +4", ["-0.25", "4"]),
        ("第3步", ["3"]),
        ("v2, x_1 and 2nd are names, 1e5 and 007 no numbers", []),
        ("1.2.3 is a version", []),
        ("ends here: 3.", ["3"]),
        ("(1,2)", ["1", "2"]),
    ],
)
def test_free_numbers(text: str, numbers: list[str]) -> None:
    assert FREE_NUMBER.findall(text) == numbers


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
@settings(max_examples=50)
def test_every_number_that_a_field_shows_is_a_free_number(value: float, decimals: int) -> None:
    shown = f"{value:.{decimals}f}"
    assert FREE_NUMBER.findall(f"position in m: {shown}.") == [shown]
