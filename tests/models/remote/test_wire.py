"""Texts and scores arrive bit for bit, and nothing else arrives at all."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load, save

from rmgym.errors import ModelError, TextError
from rmgym.models import Prediction
from rmgym.models.remote.wire import pack_prediction, pack_texts, unpack_prediction, unpack_texts
from rmgym.text import TextBatch

FLOATS = arrays(np.float32, st.integers(0, 20), elements=st.floats(width=32))
TEXTS = TextBatch.from_strings(["angle: 0.25 {left}", "angle: 1.50 {left}", "角度: 3, 4"])


@given(st.lists(st.text() | st.from_regex(r"[ab{}]*-?\d{1,9}\.\d{0,9}[ab{}]*")), st.data())
def test_texts_arrive_bit_for_bit(strings: list[str], data: Any) -> None:
    texts = TextBatch.from_strings(strings, language="zh")
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1))) if strings else []
    sent = texts[rows]
    got = unpack_texts(pack_texts(sent))
    assert got.strings() == [strings[row] for row in rows]
    assert got.numbers.tobytes() == sent.numbers.tobytes()
    assert (got.language, got.card_hash) == ("zh", None)
    assert set(got.templates) == {texts.templates[t] for t in sent.template_index}


@given(FLOATS, FLOATS, st.text())
def test_scores_arrive_bit_for_bit(mean: Any, std: Any, digest: str) -> None:
    got, whose = unpack_prediction(pack_prediction(Prediction(mean, std), digest))
    assert (got.mean.tobytes(), got.std.tobytes(), whose) == (mean.tobytes(), std.tobytes(), digest)
    got.mean[:] = 0  # an array of its own


@given(st.binary(max_size=300))
def test_other_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(TextError, match="pack_texts"):
        unpack_texts(body)
    with pytest.raises(ModelError, match="pack_prediction"):
        unpack_prediction(body)


@given(st.data())
def test_a_message_with_one_byte_changed_is_refused_or_another_message(data: Any) -> None:
    body = bytearray(pack_texts(TEXTS))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(TextError):
        unpack_texts(bytes(body)).strings()


def changed(words: dict[str, Any] | None = None, /, **new: Any) -> bytes:
    """The message of ``TEXTS`` with other arrays or other words."""
    message = load(pack_texts(TEXTS))
    if words is not None:
        facts = json.dumps({**json.loads(message["facts"].tobytes()), **words})
        message["facts"] = np.frombuffer(facts.encode(), np.uint8)
    return save({**message, **new})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (changed(extra=np.zeros(1, np.float32)), "not extra"),
        (changed(numbers=np.zeros(4, np.float32)), "numbers is float64"),
        (changed(numbers=np.zeros((4, 1))), "one dimension"),
        (changed(numbers=np.zeros(3)), "delimit"),
        (changed(template_index=np.array([0, 0, -1], np.int32)), "not there"),
        (changed(template_index=np.array([0, 0, 2], np.int32)), "not there"),
        (changed(template_index=np.array([0, 1, 1], np.int32)), "as many numbers"),
        (changed(offsets=np.array([1, 2, 3, 4], np.int64)), "begin at 0"),
        (changed(offsets=np.array([0, 3, 2, 4], np.int64)), "never fall"),
        (changed(offsets=np.zeros(0, np.int64)), "begin at 0"),
        (changed({"templates": ["{:.2f}", "{:>999999999}"]}), "other fields"),
        (changed({"templates": ["{:.2f}{0.__class__}", "{:.0f}{:.0f}"]}), "other fields"),
        (changed({"templates": ["{:.2f} }", "{:.0f}{:.0f}"]}), "other fields"),
        (changed({"templates": "{:.2f}"}), "templates and phrases are strings"),
        (changed({"templates": [1, 2]}), "templates and phrases are strings"),
        (changed({"language": 1}), "language"),
        (changed({"card_hash": []}), "card_hash"),
        (changed(facts=np.frombuffer(b"[]", np.uint8)), "JSON object"),
        (changed(facts=np.frombuffer(b'{"templates": ["\xff"]}', np.uint8)), "UnicodeDecodeError"),
        (changed(facts=np.frombuffer('{"templates": []}'.encode("utf-16"), np.uint8)), "UnicodeDecodeError"),
        (changed(facts=np.frombuffer(b"[" * 200_000, np.uint8)), "nested deeper"),
        (changed({"templates": ["{:.2f} \ud800", "{:.0f}{:.0f}"]}), "surrogates not allowed"),
        (changed({"language": "\ud800"}), "surrogates not allowed"),
    ],
)
def test_texts_that_do_not_fit_together_are_refused(body: bytes, said: str) -> None:
    with pytest.raises(TextError, match="pack_texts") as raised:
        unpack_texts(body)
    assert said in str(raised.value)
