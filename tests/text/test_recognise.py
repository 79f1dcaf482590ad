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
