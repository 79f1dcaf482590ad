"""No text is read twice, and no score is found that the model would not give."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rmgym
from rmgym.errors import ModelError, StorageError
from rmgym.models import Prediction
from rmgym.models.contract import RewardModelContract
from rmgym.scoring import Scorer
from rmgym.scoring.cache import ScoreCache, keys_of
from rmgym.text import TextBatch
from tests.doubles import ToyReward

NUMBERS = st.floats(-1e6, 1e6, width=32).map(lambda x: round(x, 2) + 0.0)
TEXTS = st.lists(st.one_of(NUMBERS.map("a {}".format), NUMBERS.map("b {} and 1".format), st.just("c")), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, max_size=4), st.sampled_from([10, 4_000, 2**20]))
def test_scores_are_the_models_whatever_was_asked_before(batches: list[list[str]], memory: int) -> None:
    cache, model = ScoreCache(memory=memory), ToyReward(std=0.5)
    for strings in batches:
        texts = TextBatch.from_strings(strings)
        said, expected = cache.predict(model, texts), ToyReward(std=0.5).predict(texts)
        assert np.array_equal(said.mean, expected.mean)
        assert np.array_equal(said.std, expected.std)
        assert said.mean.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_keys_are_equal_where_texts_are(first: list[str], second: list[str]) -> None:
    keys = [dict(zip(keys_of(TextBatch.from_strings(s), "d"), s, strict=True)) for s in (first, second)]
    for key in keys[0].keys() & keys[1].keys():
        assert keys[0][key] == keys[1][key]
    assert len(keys[0].keys() & keys[1].keys()) == len(set(first) & set(second))


def test_a_text_is_read_once() -> None:
    cache, model = ScoreCache(), ToyReward()
    for strings in (["x 1", "x 2"], ["x 2", "x 3", "x 1"], ["x 3"]):
        cache.predict(model, TextBatch.from_strings(strings))
    assert model.calls == [2, 1]


def test_another_model_language_or_card_is_another_text() -> None:
    texts = TextBatch.from_strings(["x 1"])
    keys = [keys_of(texts, "a"), keys_of(texts, "b"), keys_of(TextBatch.from_strings(["x 1"], language="zh"), "a")]
    said = texts.to_json() | {"card_hash": "other"}
    keys.append(keys_of(TextBatch.from_json(said), "a"))
    assert len({key for (key,) in keys}) == 4
    cache = ScoreCache()
    cache.predict(ToyReward(weight=1.0), texts)
    assert cache.predict(ToyReward(weight=2.0), texts).mean == ToyReward(weight=2.0).predict(texts).mean


def test_memory_is_bounded_and_what_is_asked_for_stays() -> None:
    cache, model = ScoreCache(memory=40_000), ToyReward()
    for i in range(2_000):
        cache.predict(model, TextBatch.from_strings(["always 7", f"x {i}"]))
    assert len(cache._young) + len(cache._old) < 40_000 / 300
    assert model.calls.count(2) == 1  # the first time; "always 7" was never forgotten


def test_a_cache_that_knows_nothing_steps_aside() -> None:
    cache, model = ScoreCache(), ToyReward()
    for i in range(25):
        cache.predict(model, TextBatch.from_strings([f"x {1_000 * i + k}" for k in range(1_000)]))
    kept = len(cache._young) + len(cache._old)
    assert 20_000 <= kept < 25_000
    assert cache.predict(model, TextBatch.from_strings(["x 1"])).mean == model.predict(["x 1"]).mean


def test_answers_that_are_not_numbers_are_not_kept() -> None:
    class Broken(ToyReward):
        def predict(self, texts: Any) -> Prediction:
            said = super().predict(texts)
            return Prediction(said.mean * np.float32(np.nan), said.std)

    cache, texts = ScoreCache(), TextBatch.from_strings(["x 1"])
    assert np.isnan(cache.predict(Broken(), texts).mean).all()
    assert cache.predict(ToyReward(), texts).mean == ToyReward().predict(texts).mean


class TestCachedRewardKeepsTheRules(RewardModelContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "scores.sqlite"

    def make_model(self) -> Any:
        model: Any = rmgym.create_reward_model("minilm", width=16, roles=8)
        return rmgym.CachedReward(model.eval(), self.path)

    def make_other(self) -> Any:
        return rmgym.CachedReward(rmgym.create_reward_model("random", seed=5), self.path)


def test_scores_survive_the_process_and_are_shared(tmp_path: Path) -> None:
    path, strings = tmp_path / "deep" / "scores.sqlite", [f"x {i}" for i in range(1_200)]
    first = ToyReward()
    said = rmgym.CachedReward(first, path).predict(strings)
    code = (
        "import sys, numpy as np, rmgym\nfrom tests.doubles import ToyReward\nmodel = ToyReward()\n"
        "said = rmgym.CachedReward(model, sys.argv[1]).predict([f'x {i}' for i in range(1_200)])\n"
        "print(model.calls, said.mean.astype(np.float64).sum())"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"[] {said.mean.astype(np.float64).sum()}"
    assert first.calls == [1_200]


def test_a_killed_writer_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    code = (
        "import sys, itertools, rmgym\nfrom tests.doubles import ToyReward\n"
        "model = rmgym.CachedReward(ToyReward(), sys.argv[1])\n"
        "for i in itertools.count():\n    model.predict([f'x {i}'])\n    print(i, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = 0
        while last < 50:
            last = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
    model = ToyReward()
    rmgym.CachedReward(model, path).predict([f"x {i}" for i in range(last + 1)])
    assert model.calls == []


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to do with scores, and longer than a header of SQLite would be" * 3)
    with pytest.raises(ModelError, match=r"(?s)notes\.txt.*another file"):
        rmgym.CachedReward(ToyReward(), tmp_path / "notes.txt")
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE scores (something TEXT)")
    with pytest.raises(ModelError, match=r"other\.sqlite"):
        rmgym.CachedReward(ToyReward(), tmp_path / "other.sqlite").predict(["x 1"])


def test_a_cache_below_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="a cache of scores is written to a writable folder"):
        ScoreCache(tmp_path / "file" / "scores.sqlite")


def test_an_agent_trains_the_same_on_a_cached_model(tmp_path: Path) -> None:
    from tests.sb3.small import PPO_SMALL, parameters

    model = ToyReward()
    cached = rmgym.CachedReward(model, tmp_path / "scores.sqlite")
    plain = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), **PPO_SMALL).learn(96)
    first = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=cached, **PPO_SMALL).learn(96)
    asked = sum(model.calls)
    again = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=cached, **PPO_SMALL).learn(96)
    assert np.array_equal(parameters(plain), parameters(first))
    assert np.array_equal(parameters(plain), parameters(again))
    assert sum(model.calls) == asked


def test_the_environment_variable_gives_every_scorer_a_file(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("RMGYM_SCORE_CACHE", str(tmp_path / "scores.sqlite"))
    steps, say = rmgym.collect("CartPole-v1", 30, progress=False), rmgym.textualizer("CartPole-v1")
    first, second = ToyReward(), ToyReward()
    said = [Scorer(model, say).score(steps) for model in (first, second)]
    assert np.array_equal(said[0].mean, said[1].mean)
    assert first.calls == [30]
    assert second.calls == []
