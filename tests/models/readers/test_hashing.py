"""Hashed words: slots and phrases that differ by a word, a digit or a character are told apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from rmgym.models.readers.hashing import SIZE, slot_names, slot_vector, text_vector
from tests.text.steps import CARDED, random_steps, say


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("env_id", [*CARDED, "HalfCheetah-v5", "Humanoid-v5"])
def test_no_two_slots_of_a_card_are_hashed_alike(env_id: str, language: str) -> None:
    """With words cut off too early, "forward velocity in m/s" was "upward velocity in m/s"."""
    steps = random_steps(say(env_id, language), np.random.default_rng(0), 5)
    for template in say(env_id, language).batch(steps).templates:
        names = slot_names(template)
        assert len({(name.before, name.words) for name in names}) == len(names)
        vectors = np.stack([slot_vector(name) for name in names])
        assert vectors.shape == (len(names), SIZE)
        alike = [np.corrcoef(vectors[[i, j]])[0, 1] for i, j in combinations(range(min(len(names), 45)), 2)]
        assert max(alike, default=0) < 0.93


def test_digits_tell_slots_and_phrases_apart() -> None:
    names = slot_names("x1: {:.1f}, x2: {:.1f}, x3: {:.1f}, x3: {:.1f}")
    assert len({slot_vector(name).tobytes() for name in names}) == 4
    phrases = ["room A1", "room A2", "square e4", "square e5", "level 2B", "level 3B"]
    assert len({text_vector(phrase).tobytes() for phrase in phrases}) == len(phrases)
