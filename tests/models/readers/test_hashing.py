"""Hashed words: slots that differ by a word are told apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np

import rmgym
from rmgym.models.readers.hashing import SIZE, slot_names, slot_vector


def test_no_two_slots_of_a_card_are_hashed_alike() -> None:
    """With words cut off too early, "forward velocity in m/s" was "upward velocity in m/s"."""
    steps = rmgym.collect("HalfCheetah-v5", 2, seed=0, progress=False)
    names = slot_names(rmgym.textualizer("HalfCheetah-v5").batch(steps).templates[0])
    vectors = np.stack([slot_vector(name) for name in names])
    assert vectors.shape == (41, SIZE)
    alike = {(names[i], names[j]): np.corrcoef(vectors[[i, j]])[0, 1] for i, j in combinations(range(41), 2)}
    assert max(alike.values()) < 0.9
