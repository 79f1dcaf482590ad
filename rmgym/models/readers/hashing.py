"""Words as vectors without any language model: seeded hashes, the same in every process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rmgym.text.numbers import split_template

SIZE = 128
"""Length of the vectors."""
_NEAR = 12  # words before a slot that say what it is
_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W\d_]+|[^\w\s]")

Vector = npt.NDArray[np.float32]


@lru_cache(maxsize=65536)
def vector_of(key: str) -> Vector:
    """Standard normal numbers that stand for a string, ``float32 [SIZE]``."""
    seed = int.from_bytes(blake2b(key.encode(), digest_size=8).digest())
    return np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32)


def bag(words: Sequence[str]) -> Vector:
    """Words and pairs of neighbours added up and scaled to unit variance: signed feature hashing.

    Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning" (https://arxiv.org/abs/0902.2206), with
    normal numbers for signs.
    """
    keys = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    total = sum((vector_of(key) for key in keys), np.zeros(SIZE, np.float32))
    return total / np.float32(max(len(keys), 1) ** 0.5)


@lru_cache(maxsize=8192)
def text_vector(template: str) -> Vector:
    """A template or phrase, ``float32 [SIZE]``."""
    return bag(_words(" ".join(split_template(template)[0])))


@lru_cache(maxsize=8192)
def slot_names(template: str) -> tuple[tuple[str, int], ...]:
    """What each slot of a template is: the text since the slot before, and how often that was there already."""
    seen, names = dict[str, int](), list[tuple[str, int]]()
    for piece in split_template(template)[0][:-1]:
        names.append((piece, seen.get(piece, 0)))
        seen[piece] = names[-1][1] + 1
    return tuple(names)


def slot_vector(name: tuple[str, int]) -> Vector:
    """A slot by the words before it, by how often they were there already, and by a code, ``float32 [SIZE]``.

    The code is the slot's own: however alike the words before two slots are, they can be told apart.
    """
    piece, before = name
    own = vector_of(f"slot {before} {piece}")
    return (bag(_words(piece)[-_NEAR:]) + vector_of(f"slot {before}") + own) / np.float32(3**0.5)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
