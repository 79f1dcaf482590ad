"""Strings that were rendered from a batch are recognised as its texts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.text.batch import TextBatch
from rmgym.text.recognise import recognise
from tests.text.steps import CARDED, random_steps, say
from tests.text.test_batch import assert_same_texts


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("env_id", CARDED)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_a_card_s_texts_are_recognised(env_id: str, language: str, seed: int) -> None:
    batch = say(env_id, language).batch(random_steps(say(env_id, language), np.random.default_rng(seed), 20))
    assert_same_texts(recognise(TextBatch.from_strings(batch.strings()), batch.templates), batch)


def test_other_strings_stay_as_they_are() -> None:
    texts = TextBatch.from_strings(["the door is open", "speed: 1.5", "the {door} is: wide {open}", "the 3 is 4"])
    read = recognise(texts, ["nothing", "the {:s} is: {:s}", "speed: {:.1f}"])
    assert read.strings() == texts.strings()
    assert [read.templates[t] for t in read.template_index] == [
        "the door is open",
        "speed: {:.1f}",
        "the {:s} is: {:s}",
        "the {:.0f} is {:.0f}",
    ]
    assert [read.phrases[w] for w in read.words] == ["{door}", "wide {open}"]
    assert recognise(texts, ["speed: {:.1f}"]) is texts  # there is no phrase to be found


def test_of_several_ways_the_one_with_known_phrases_is_taken() -> None:
    text = "You see a ball, red, a key."
    read = recognise(TextBatch.from_strings([text]), ["You see {:s}, {:s}."], ["a ball, red", "a key"])
    assert list(read.phrases) == ["a ball, red", "a key"]
    assert read.strings() == [text]
    unknown = recognise(TextBatch.from_strings([text]), ["You see {:s}, {:s}."], ["a ball, blue"])
    assert list(unknown.phrases) == ["a ball", "red, a key"]
    later = recognise(TextBatch.from_strings([text]), ["You {:s}.", "You see {:s}, {:s}."], ["a ball, red", "a key"])
    assert later.templates == ("You see {:s}, {:s}.",)


def test_a_known_template_is_taken_as_it_stands() -> None:
    texts = TextBatch.from_strings(["the door is open", "the door is shut"])
    read = recognise(texts, ["the {:s} is {:s}", "the door is open"])
    assert [read.templates[t] for t in read.template_index] == ["the door is open", "the {:s} is {:s}"]


def test_what_is_nearly_of_a_template_takes_no_longer_than_what_is() -> None:
    """By trying every way, this took longer than anybody waits."""
    template = "start " + ", ".join(["{:s}"] * 12) + " end"
    near = "start " + ", ".join(["a"] * 4000) + " en"
    phrases = ["a", "a, a", *(", ".join(["a"] * n) for n in range(3, 9))]
    read = recognise(TextBatch.from_strings([near]), [template], phrases)
    assert read.templates == (near,)
    whole = recognise(TextBatch.from_strings([f"{near}d"]), [template], phrases)
    assert whole.templates == (template,)


@given(st.lists(st.sampled_from(["a", "a, b", "{c}", "b, {c}", "", "d"]), min_size=3, max_size=3))
def test_phrases_that_are_known_come_back_to_the_same_text(phrases: list[str]) -> None:
    template = "first {:s}, then {:s}, {:s}"
    shown = "first {}, then {}, {}".format(*phrases)
    read = recognise(TextBatch.from_strings([shown]), [template], ["a", "a, b", "{c}", "b, {c}", "", "d"])
    assert read.templates == (template,)
    assert read.strings() == [shown]
    assert set(read.phrases) <= {"a", "a, b", "{c}", "b, {c}", "", "d"}
