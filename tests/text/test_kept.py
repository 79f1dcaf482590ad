"""Answers are kept within so many bytes, whatever is asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rmgym.models import create_reward_model
from rmgym.models.readers import hashing
from rmgym.text import TextBatch, kept, numbers, recognise
from rmgym.text.kept import Kept, size_of


def asked(most: int) -> tuple[Kept[[str], str], list[str]]:
    """A function that keeps answers, and what it was really asked."""
    calls = list[str]()

    def double(text: str) -> str:
        calls.append(text)
        return text + text

    return Kept(double, most), calls


def test_sizes_are_those_of_what_is_held() -> None:
    assert size_of("abc") == sys.getsizeof("abc")
    assert size_of((("a",), 2)) == sys.getsizeof((1, 2)) + sys.getsizeof(("a",)) + sys.getsizeof("a") + sys.getsizeof(2)
    assert size_of(np.zeros(1000)) >= 8000


def test_what_is_asked_again_is_not_computed_again() -> None:
    double, calls = asked(10_000)
    assert [double(text) for text in "abab"] == ["aa", "bb", "aa", "bb"]
    assert calls == ["a", "b"]


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(0, 5000))
def test_answers_are_right_and_within_their_bytes(lengths: Sequence[int], most: int) -> None:
    double, _ = asked(most)
    for length in lengths:
        assert double("x" * length) == "xx" * length
        held = [*double._young.items(), *double._old.items()]
        assert sum(map(size_of, chain.from_iterable(held))) <= double.bytes <= most


def test_what_comes_back_stays_while_others_go() -> None:
    double, calls = asked(4000)
    for i in range(200):
        double("stays")
        double(f"goes {i}")
    assert calls.count("stays") == 1
    assert double.bytes <= 4000


def test_what_is_larger_than_all_is_not_kept() -> None:
    double, calls = asked(1000)
    double("small")
    double("x" * 5000)
    double("small")
    assert calls == ["small", "x" * 5000]


def test_long_templates_of_others_are_not_kept_beyond_their_bytes() -> None:
    """A served model reads what its clients send: 66 MB of templates here, each once."""
    functions = (numbers.split_template, numbers.fill, recognise._literals)
    hashed = (hashing.vector_of, hashing.text_vector, hashing.slot_names, hashing.slot_vector)
    model = create_reward_model("random")
    for part in range(11):
        templates = tuple(f"{chr(97 + part)} {'word ' * 12_000}{chr(97 + i)} {{:.1f}}" for i in range(100))
        index, offsets = np.arange(100, dtype=np.int32), np.arange(101)
        model.predict(TextBatch(templates=templates, template_index=index, numbers=np.ones(100), offsets=offsets))
    assert all(isinstance(function, Kept) for function in (*functions, *hashed))
    assert all(function.bytes <= kept.MOST for function in (*functions, *hashed))
    assert numbers.split_template.bytes > 2**20
