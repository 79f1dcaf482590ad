"""Heads give the same rewards whatever computes them, under another digest; a new weight brings them back to torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import rmgym
from rmgym.errors import ModelError
from rmgym.models.neural import encode
from rmgym.scoring import Scorer
from rmgym.scoring.engines import APPROXIMATE, with_engine
from rmgym.scoring.fusion_engines import BUILDERS

if not os.environ.get("CI"):  # there, a missing package is a failure
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")

WARNINGS = pytest.mark.filterwarnings("ignore")  # of exporters, about themselves


@pytest.fixture(scope="module")
def texts() -> Any:
    return rmgym.textualizer("Pendulum-v1").batch(rmgym.collect("Pendulum-v1", 600, reset_every=20, progress=False))


def make(heads: int = 1) -> Any:
    model: Any = rmgym.create_reward_model("ensemble", heads=heads, width=32, attention_heads=2, seed=1)
    with torch.no_grad():
        for parameter in model.heads.parameters():  # biases too, which start at zero
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    return model.eval()


@WARNINGS
@pytest.mark.parametrize("engine", ["eager", "onnx", "openvino"])
def test_exact_engines_give_the_same_rewards(engine: str, texts: Any) -> None:
    model = make(heads=2)
    expected = model.predict(texts)
    fast, choice = with_engine(model, texts, engine)
    assert choice.engine == fast.engine == engine
    assert (fast is model) == (engine == "eager")
    assert model.engine == "eager"
    for some in (texts, texts[:1], texts[np.arange(600)[::-1]]):
        rows = slice(None) if len(some) == 600 else slice(1)
        prediction = fast.predict(some)
        mean = expected.mean[::-1] if some is not texts and len(some) == 600 else expected.mean[rows]
        np.testing.assert_allclose(prediction.mean, mean, atol=1e-4)
    assert fast.predict(texts).std.shape == expected.std.shape


@WARNINGS
def test_compiled_heads_give_the_same_rewards(texts: Any) -> None:
    model = make()
    expected = model.predict(texts).mean
    try:
        fast, _ = with_engine(model, texts, "compile")
    except ModelError as error:  # torch.compile needs a C++ compiler
        assert "C++ compiler" in str(error)  # noqa: PT017
        pytest.skip("no C++ compiler")
    np.testing.assert_allclose(fast.predict(texts).mean, expected, atol=1e-4)


@WARNINGS
def test_auto_measures_what_is_there_and_names_it(texts: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(BUILDERS, "compile", _missing)
    model = make()
    expected = model.predict(texts).mean
    fast, choice = with_engine(model, texts)
    assert set(choice.rows_per_second) == {"eager", "onnx", "openvino"}
    assert choice.left_out == {"compile": "there is no compiler"}
    best = max(choice.rows_per_second, key=lambda name: choice.rows_per_second[name])
    assert choice.engine in (best, "eager")
    assert f"run on {choice.engine}" in str(choice)
    np.testing.assert_allclose(fast.predict(texts).mean, expected, atol=1e-4)


def _missing(*_: Any) -> Any:
    raise RuntimeError("there is no compiler\nat all")


@WARNINGS
def test_new_weights_are_computed_by_torch_again(texts: Any) -> None:
    model = make()
    fast, _ = with_engine(model, texts, "onnx")
    with torch.no_grad():
        model.heads[0].reward.bias += 1.0
    fresh = make()
    for each in (model, fast):
        assert each.predict(texts).mean == pytest.approx(fresh.predict(texts).mean + 1.0, abs=1e-4)
    assert fast.engine == "eager"
    assert fast.digest == model.digest


@WARNINGS
@pytest.mark.parametrize("engine", APPROXIMATE)
def test_approximations_are_opt_in_and_keep_their_bound(engine: str, texts: Any) -> None:
    model = make()
    exact = model.predict(texts).mean
    try:
        fast, _ = with_engine(model, texts, engine)
    except ModelError as error:
        assert "root mean square error" in str(error)  # noqa: PT017
        assert np.array_equal(model.predict(texts).mean, exact)  # what misses its bound is not used
        return
    rewards = fast.predict(texts).mean
    assert not np.array_equal(rewards, exact)
    assert np.array_equal(model.predict(texts).mean, exact)
    assert spearmanr(rewards, exact).statistic > 0.99


def test_an_engine_that_errs_is_refused(texts: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(BUILDERS, "onnx", lambda *_: lambda slots, text, index, values: values[:, 0] * 0)
    model = make()
    with pytest.raises(ModelError, match="error of"):
        with_engine(model, texts, "onnx")
    assert model.engine == "eager"


@pytest.mark.parametrize(
    ("options", "engine", "match"),
    [({}, "onyx", "onnx"), ({"fusion": "early"}, "auto", "late fusion")],
)
def test_what_cannot_be_chosen_is_refused(options: Any, engine: str, match: str, texts: Any) -> None:
    model: Any = rmgym.create_reward_model("minilm", **options)
    with pytest.raises(ModelError, match=match):
        with_engine(model, texts, engine)


def approximate(model: Any, texts: Any, engine: str, monkeypatch: Any) -> Any:
    monkeypatch.setattr("rmgym.scoring.engines.BOUND", np.inf)  # however far it is off
    return with_engine(model, texts, engine)[0]


@WARNINGS
@pytest.mark.parametrize("engine", APPROXIMATE)
def test_scores_of_an_approximation_are_never_read_back_as_exact_ones(
    engine: str, texts: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("RMGYM_SCORE_CACHE", str(tmp_path / "scores.sqlite"))
    steps, say = rmgym.collect("Pendulum-v1", 60, reset_every=20, progress=False), rmgym.textualizer("Pendulum-v1")
    model = make()
    expected = model.predict(say.batch(steps)).mean
    rough = Scorer(approximate(model, texts, engine, monkeypatch), say).score(steps).mean
    assert np.abs(rough - expected).max() > 1e-4
    np.testing.assert_allclose(Scorer(model, say).score(steps).mean, expected, atol=1e-6)
    np.testing.assert_allclose(Scorer(make(), say).score(steps).mean, expected, atol=1e-6)


@WARNINGS
def test_an_engine_is_part_of_the_digest_and_of_the_description(texts: Any, monkeypatch: Any) -> None:
    model = make()
    exact = model.digest
    fast = {name: approximate(model, texts, name, monkeypatch) for name in ("onnx", "openvino", "bfloat16", "int8")}
    assert len({exact, *(each.digest for each in fast.values())}) == 5
    assert model.digest == exact == with_engine(model, texts, "eager")[0].digest
    assert [each.describe()["engine"] for each in (model, *fast.values())] == ["eager", *fast]
    assert all(each.describe()["digest"] == each.digest for each in fast.values())
    assert fast["onnx"].digest == with_engine(make(), texts, "onnx")[0].digest


@WARNINGS
def test_a_fit_of_the_model_below_is_noticed(texts: Any) -> None:
    """Torch's fused optimisers change weights without counting the write."""
    model = make()
    fast, _ = with_engine(model, texts, "onnx")
    before = fast.predict(texts).mean
    model.train()
    optimiser = torch.optim.AdamW(model.heads.parameters(), lr=0.1, fused=True)
    model(encode(texts[:8])).sum().backward()
    optimiser.step()
    for _ in range(2):  # in the middle of the fit, and after it
        after = fast.predict(texts).mean
        assert np.abs(after - before).max() > 1e-2
        np.testing.assert_allclose(after, model.predict(texts).mean, atol=1e-6)
        model.eval()


@WARNINGS
def test_a_model_on_an_engine_is_saved_as_the_exact_one_and_only_scores(
    texts: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    model = make()
    fast = approximate(model, texts, "bfloat16", monkeypatch)
    loaded = rmgym.load_reward_model(fast.save(tmp_path / "model"))
    assert loaded.digest == model.digest != fast.digest
    np.testing.assert_allclose(loaded.predict(texts).mean, model.predict(texts).mean, atol=1e-6)
    for attempt in (fast.train, fast.half, lambda: fast.to("cpu")):
        with pytest.raises(ModelError, match="only scores"):
            attempt()
    assert model.predict(texts).mean.dtype == np.float32
    assert fast.exact is model
    assert with_engine(fast, texts, "eager")[0] is model


@WARNINGS
@pytest.mark.parametrize("engine", ["onnx", "openvino", "bfloat16", "int8"])
def test_a_score_on_an_engine_does_not_depend_on_company(engine: str, texts: Any, monkeypatch: Any) -> None:
    """Also of texts with more numbers or fewer than those that it was built for."""
    model = make()
    fast = approximate(model, texts, engine, monkeypatch)
    rows = texts[:20].strings()
    others = ["Speed: 1.25.", "No number at all.", " ".join(f"x{i}y: {i}.5," for i in range(12))]
    mixed = fast.predict([*rows, *others]).mean
    alone = np.concatenate([fast.predict([text]).mean for text in (*rows, *others)])
    np.testing.assert_allclose(mixed, alone, atol=1e-4)
    np.testing.assert_allclose(mixed[20:], model.predict(others).mean, atol=1e-5)
