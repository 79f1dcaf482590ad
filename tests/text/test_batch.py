"""A batch of texts behaves like the list of its strings."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmgym.errors import TextError
from rmgym.text.batch import TextBatch
from tests.hostile import FIELDS, damaged, harmless
from tests.text.steps import CARDED, random_steps, say


def test_numbers_are_float64() -> None:
    with pytest.raises(TextError, match="float64"):
        TextBatch(
            templates=("x is {:.0f}",),
            template_index=np.zeros(1, np.int32),
            numbers=np.ones(1, np.float32),
            offsets=np.array([0, 1]),
        )


SEEDS = st.integers(0, 2**32 - 1)


def assert_same_texts(a: TextBatch, b: TextBatch) -> None:
    """Same templates, phrases and bit for bit the same numbers for each text; their order may differ."""
    assert [a.templates[i] for i in a.template_index] == [b.templates[i] for i in b.template_index]
    assert [a.phrases[i] for i in a.words] == [b.phrases[i] for i in b.words]
    assert a.numbers.tobytes() == b.numbers.tobytes()
    assert a.offsets.tolist() == b.offsets.tolist()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("env_id", CARDED)
@given(seed=SEEDS)
@settings(max_examples=10)
def test_numbers_are_found_in_the_strings_where_the_card_put_them(env_id: str, language: str, seed: int) -> None:
    text = say(env_id, language)
    batch = text.batch(random_steps(text, np.random.default_rng(seed), 20))
    assert_same_texts(TextBatch.from_strings(batch.strings(), language=language), batch.filled())


TEXTS = ["x is 3", "no number", "y is 0.50, x is -2", "x is 4", "{7} 状态"]


@pytest.mark.parametrize(
    "rows", [slice(1, 4), slice(None, None, -1), [4, 0, 0], np.array([2]), np.array([True, False, True, True, False])]
)
def test_rows(rows: Any) -> None:
    chosen = TextBatch.from_strings(TEXTS)[rows]
    assert chosen.strings() == np.array(TEXTS)[rows].tolist()
    assert_same_texts(chosen, TextBatch.from_strings(chosen.strings()))


def test_no_rows() -> None:
    assert TextBatch.from_strings(TEXTS)[[]].strings() == []
    assert TextBatch.from_strings([]).strings() == []


@given(st.lists(st.lists(st.sampled_from(TEXTS), max_size=4), min_size=1, max_size=4))
@settings(max_examples=50)
def test_concatenate(parts: list[list[str]]) -> None:
    joined = TextBatch.concatenate([TextBatch.from_strings(part) for part in parts])
    assert joined.strings() == [text for part in parts for text in part]
    assert len(set(joined.templates)) == len(joined.templates)


def test_concatenate_keeps_what_the_parts_share() -> None:
    text = say("FrozenLake-v1", "zh")
    batch = text.batch(random_steps(text, np.random.default_rng(0), 9))
    joined = TextBatch.concatenate([batch[:4], batch[4:]])
    assert_same_texts(joined, batch)
    assert (joined.language, joined.card_hash) == ("zh", text.card_hash)


def test_texts_of_different_cards_are_not_joined() -> None:
    rng = np.random.default_rng(0)
    parts = [say(i).batch(random_steps(say(i), rng, 2)) for i in ("Pendulum-v1", "CartPole-v1")]
    with pytest.raises(TextError, match="one card"):
        TextBatch.concatenate(parts)
    with pytest.raises(TextError, match="one card"):
        TextBatch.concatenate([])


@pytest.mark.parametrize("env_id", CARDED)
def test_json(env_id: str) -> None:
    text = say(env_id)
    batch = text.batch(random_steps(text, np.random.default_rng(1), 30))[5:9]
    content = batch.to_json()
    back = TextBatch.from_json(json.loads(json.dumps(content)))
    assert_same_texts(back, batch)
    assert (back.language, back.card_hash) == (batch.language, batch.card_hash)
    assert set(content["templates"]) == {batch.templates[i] for i in batch.template_index}


@pytest.mark.parametrize(
    ("numbers", "offsets", "rule"),
    [([1.0], [0, 1, 1], "slots"), ([1.0, 2.0], [0, 1], "delimit"), ([1.0], [0, 1, 2], "delimit")],
)
def test_numbers_that_do_not_fit_the_templates_are_refused(numbers: list[float], offsets: list[int], rule: str) -> None:
    with pytest.raises(TextError, match=rule):
        TextBatch(
            templates=("x is {:.0f}",),
            template_index=np.zeros(2, np.int32),
            numbers=np.array(numbers, np.float64),
            offsets=np.array(offsets, np.int64),
        )


PHRASED = TextBatch(
    templates=("x is {:.2f}, {:s}", "so {{}}"),
    template_index=np.array([0, 1, 0], np.int32),
    numbers=np.array([1.5, 1e-5]),
    offsets=np.array([0, 1, 1, 2]),
    phrases=("up", "down"),
    words=np.array([1, 0], np.int32),
)


def test_json_that_somebody_else_wrote_is_read_or_refused() -> None:
    content = PHRASED.to_json()
    assert TextBatch.from_json(content).strings() == ["x is 1.50, down", "so {}", "x is 1.00e-05, up"]
    for what, changed in damaged(content):
        with harmless(what):
            assert len(TextBatch.from_json(changed).strings()) < 4


@pytest.mark.parametrize("field", FIELDS)
def test_templates_hold_slots_and_no_other_fields(field: str) -> None:
    content = {**PHRASED.to_json(), "templates": ["x is {:.2f}, {:s}", field]}
    with pytest.raises(TextError, match="other fields than"):
        TextBatch.from_json(content)


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_is_no_slot_is_shown_and_not_acted_upon(field: str) -> None:
    batch = TextBatch(
        templates=(f"x is {{:.1f}} {field}",),
        template_index=np.zeros(1, np.int32),
        numbers=np.ones(1),
        offsets=np.array([0, 1]),
    )
    assert batch.strings() == [f"x is 1.0 {field}"]


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("template_index", [-1, 0, 0], "names a template that is not there"),
        ("template_index", [0.5, 0, 0], "a list of int32"),
        ("offsets", [0, 2**70, 1, 2], "a list of int64"),
        ("numbers", [1.5, None], "a list of float64"),
        ("numbers", [1.5, float("inf")], "numbers are finite"),
        ("phrases", ["up", 3], "strings in a list"),
        ("words", [0, 9], "positions of its phrases"),
        ("language", None, "language and card_hash"),
        ("phrases", ["up", "\ud800"], "surrogates not allowed"),
    ],
)
def test_json_is_refused_by_what_is_wrong(key: str, value: object, why: str) -> None:
    with pytest.raises(TextError, match=why):
        TextBatch.from_json({**PHRASED.to_json(), key: value})
