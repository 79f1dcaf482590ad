"""Words as vectors without any language model: seeded hashes, the same in every process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rmgym.text.kept import kept
from rmgym.text.numbers import split_template

SIZE = 128
"""Length of the vectors."""
_NEAR = 12  # words before a slot that say what it is
_PUNCTUATION = re.compile(r"[.,:;!?](?:\s+|$)|[。，：；！？、]|\n")
_WORD = re.compile(r"[\u4e00-\u9fff]|\d+|[^\W\d_]+|[^\w\s]")

Vector = npt.NDArray[np.float32]


@kept
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


@kept
def text_vector(template: str) -> Vector:
    """A template or phrase, ``float32 [SIZE]``."""
    return bag(_words(" ".join(split_template(template)[0])))


class Name(NamedTuple):
    """What a slot is.

    Attributes:
        clause: the last words before it that no punctuation parts, which a language model reads.
        before: how often the words of that clause were there already in the same text.
        words: the words before it, all of that clause and some of others, which are hashed.
    """

    clause: str
    before: int
    words: str


@kept
def slot_names(template: str) -> tuple[Name, ...]:
    """The names of a template's slots."""
    seen, names = dict[str, int](), list[Name]()
    for piece in split_template(template)[0][:-1]:
        clause = last_clause(piece)
        words, own = _words(piece), _words(clause)
        start = next((i for i in range(len(words) - len(own), -1, -1) if words[i : i + len(own)] == own), 0)
        before = seen.get(" ".join(own), 0)
        names.append(Name(clause, before, " ".join(words[min(start, max(len(words) - _NEAR, 0)) :])))
        seen[" ".join(own)] = before + 1
    return tuple(names)


def last_clause(piece: str) -> str:
    """The last words before a slot that no punctuation parts: ``. State: height in m: `` is ``height in m``."""
    clauses = [clause for clause in _PUNCTUATION.split(piece) if clause.strip()]
    return " ".join(clauses[-1].split()[-_NEAR:]) if clauses else ""


@kept
def slot_vector(name: Name) -> Vector:
    """A slot by the words before it and by a code of its own, ``float32 [SIZE]``.

    However alike the words before two slots are, their codes tell them apart.
    """
    own = vector_of(f"slot {name.before} {name.words}")
    total: Vector = bag(name.words.split()) + own
    return total / np.float32(2**0.5)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
