"""Values that environment cards give names to, for tests that compare them with the simulators."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmgym.cards import EnvCard, find_env_card
from rmgym.text.expressions import evaluate


def card_of(env_id: str) -> EnvCard:
    card = find_env_card(env_id)
    assert card is not None
    return card


def by_key(env_id: str, obs: Any, facts: dict[str, Any] | None = None) -> dict[str, float]:
    """Every value of one observation, shown or not; a Discrete observation is a number."""
    card, flat = card_of(env_id), np.ravel(obs)
    values = {f.key: np.array([float(flat[int(f.path or 0)])]) for f in card.observation}
    for field in card.derived:
        values[field.key] = evaluate(field.expression, {**(facts or {}), **values})
    return {key: float(value[0]) for key, value in values.items()}


def words(env_id: str, key: str, value: float, language: str = "en") -> str:
    """What the card calls a labelled value of the state or the action."""
    card = card_of(env_id)
    (field,) = [f for f in [*card.observation, *card.derived, *card.action] if f.key == key]
    return field.labels[int(value)][language]


def mirrored(env_id: str, values: dict[str, float]) -> dict[str, float]:
    """Values of a state, or of an action, as the card's only symmetry says they look in the mirror."""
    (symmetry,) = card_of(env_id).symmetries
    other = dict(symmetry.swap) | {b: a for a, b in symmetry.swap}
    return {k: values[other.get(k, k)] * (-1 if k in symmetry.flip else 1) for k in values}
