"""Requests of many are scored together, and none pays for another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from rmgym.errors import ModelError, ServeError
from rmgym.models import Prediction, create_reward_model
from rmgym.serving.batching import Batcher, BatchOptions
from rmgym.text import TextBatch
from tests.doubles import ToyReward
from tests.serving.serving import TEXTS, Gated


@contextmanager
def gated(model: Any, **options: Any) -> Iterator[tuple[Batcher, Gated]]:
    """A batcher whose model is busy with a first request until it is let."""
    gate = Gated(model)
    batcher = Batcher(gate, BatchOptions(max_wait=0, **options))
    batcher.submit(TEXTS[:1])
    assert gate.entered.wait(60)
    try:
        yield batcher, gate
    finally:
        gate.opened.set()
        batcher.close()


def test_what_arrives_while_the_model_is_busy_is_scored_in_one_call() -> None:
    toy = ToyReward()
    parts = [TEXTS[:5], TEXTS[5:6], TEXTS[[]], TEXTS[6:20]]
    with gated(toy) as (batcher, gate):
        answers = [batcher.submit(part) for part in parts]
        assert batcher.pending == 20
        gate.opened.set()
        got = [answer.result(60) for answer in answers]
    assert toy.calls == [1, 20]
    for part, prediction in zip(parts, got, strict=True):
        expected = toy.predict(part)
        assert np.array_equal(prediction.mean, expected.mean)
        assert np.array_equal(prediction.std, expected.std)


def test_an_idle_model_waits_for_a_full_batch() -> None:
    toy = ToyReward()
    batcher = Batcher(toy, BatchOptions(max_batch=4, max_wait=600))
    for answer in [batcher.submit(TEXTS[i : i + 2]) for i in (0, 2)]:
        answer.result(60)
    batcher.close()
    assert toy.calls == [4]


@pytest.mark.parametrize(
    ("max_batch", "sizes", "calls"),
    [(10, [4, 4, 4], [8, 4]), (10, [30, 2], [30, 2]), (10, [8, 30, 2], [10, 30]), (1, [3, 2, 1], [3, 2, 1])],
)
def test_a_batch_has_a_largest_size_and_no_request_is_divided(
    max_batch: int, sizes: list[int], calls: list[int]
) -> None:
    toy = ToyReward()
    with gated(toy, max_batch=max_batch) as (batcher, gate):
        answers = [batcher.submit(TEXTS[:size]) for size in sizes]
        gate.opened.set()
        assert [len(answer.result(60)) for answer in answers] == sizes
    assert toy.calls[1:] == calls


def test_texts_of_other_cards_and_languages_are_scored_apart() -> None:
    toy = ToyReward()
    kinds = [TEXTS[:3], replace(TEXTS[:4], card_hash="other"), replace(TEXTS[:5], language="zh"), TEXTS[:6]]
    with gated(toy) as (batcher, gate):
        answers = [batcher.submit(texts) for texts in kinds]
        gate.opened.set()
        assert [len(answer.result(60)) for answer in answers] == [3, 4, 5, 6]
    assert toy.calls[1:] == [9, 4, 5]


@dataclass(frozen=True)
class Picky(ToyReward):
    """Refuses the word 'up', and has no number for 'right'."""

    def predict(self, texts: TextBatch) -> Prediction:  # type: ignore[override]
        strings = texts.strings()
        if any("up" in text for text in strings):
            raise ModelError("no text says up", got="up", fix="go down")
        prediction = super().predict(texts)
        return replace(prediction, mean=np.where(["right" in t for t in strings], np.nan, prediction.mean))


def test_one_bad_request_fails_alone() -> None:
    with gated(Picky()) as (batcher, gate):
        left, right, up, more = (batcher.submit(TEXTS[[i]]) for i in (0, 1, 2, 3))
        gate.opened.set()
        with pytest.raises(ModelError, match="no text says up"):
            up.result(60)
        with pytest.raises(ModelError, match="one finite number per text"):
            right.result(60)
        for i, answer in ((0, left), (3, more)):
            assert np.array_equal(answer.result(60).mean, ToyReward().predict(TEXTS[[i]]).mean)


def test_any_failure_of_the_model_reaches_who_asked_and_the_next_is_answered() -> None:
    class Broken(ToyReward):
        def predict(self, texts: Any) -> Prediction:
            if len(texts) == 2:
                raise RuntimeError("out of memory")
            return super().predict(texts)

    batcher = Batcher(Broken())
    with pytest.raises(RuntimeError, match="out of memory"):
        batcher.submit(TEXTS[:2]).result(60)
    assert len(batcher.submit(TEXTS[:3]).result(60)) == 3
    assert batcher.alive
    batcher.close()


def test_a_full_queue_refuses_and_an_empty_one_takes_any_request() -> None:
    with gated(ToyReward(), max_pending=10) as (batcher, gate):
        large = batcher.submit(TEXTS[:30])
        with pytest.raises(ServeError, match=r"at most 10 texts wait.*\n.*30 waiting and 1 more"):
            batcher.submit(TEXTS[:1])
        gate.opened.set()
        large.result(60)
        assert len(batcher.submit(TEXTS[:1]).result(60)) == 1


def test_a_cancelled_request_is_not_scored() -> None:
    toy = ToyReward()
    with gated(toy) as (batcher, gate):
        one, other = batcher.submit(TEXTS[:7]), batcher.submit(TEXTS[:2])
        assert one.cancel()
        gate.opened.set()
        other.result(60)
    assert toy.calls == [1, 2]


def test_closing_answers_what_waits_and_takes_nothing_more() -> None:
    with gated(create_reward_model("random")) as (batcher, gate):
        waiting = batcher.submit(TEXTS)
        gate.opened.set()
        batcher.close()
        assert len(waiting.result(0)) == len(TEXTS)
        assert not batcher.alive
        with pytest.raises(ServeError, match="being stopped"):
            batcher.submit(TEXTS)


@pytest.mark.parametrize(
    "options", [{"max_batch": 0}, {"max_wait": -1}, {"max_wait": float("inf")}, {"max_pending": 0}]
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ServeError, match="at least one text"):
        BatchOptions(**options)
