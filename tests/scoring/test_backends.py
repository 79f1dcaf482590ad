"""Heads give the same rewards whatever computes them, and a new weight brings them back to torch."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import rmgym
from rmgym.errors import ModelError
from rmgym.scoring import backends
from rmgym.scoring.backends import choose_backend

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
@pytest.mark.parametrize("backend", ["eager", "onnx", "openvino"])
def test_exact_backends_give_the_same_rewards(backend: str, texts: Any) -> None:
    model = make(heads=2)
    expected = model.predict(texts)
    choice = choose_backend(model, texts, backend)
    assert choice.backend == backend
    assert (model._engines is None) == (backend == "eager")
    for some in (texts, texts[:1], texts[np.arange(600)[::-1]]):
        rows = slice(None) if len(some) == 600 else slice(1)
        said = model.predict(some)
        mean = expected.mean[::-1] if some is not texts and len(some) == 600 else expected.mean[rows]
        np.testing.assert_allclose(said.mean, mean, atol=1e-4)
    assert model.predict(texts).std.shape == expected.std.shape


@WARNINGS
def test_compiled_heads_give_the_same_rewards(texts: Any) -> None:
    model = make()
    expected = model.predict(texts).mean
    try:
        choose_backend(model, texts, "compile")
    except ModelError as error:  # torch.compile needs a C++ compiler
        assert "C++ compiler" in str(error)  # noqa: PT017
        pytest.skip("no C++ compiler")
    np.testing.assert_allclose(model.predict(texts).mean, expected, atol=1e-4)


@WARNINGS
def test_auto_measures_what_is_there_and_says_so(texts: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(backends._BUILD, "compile", _missing)
    model = make()
    expected = model.predict(texts).mean
    choice = choose_backend(model, texts)
    assert set(choice.rows_per_second) == {"eager", "onnx", "openvino"}
    assert choice.left_out == {"compile": "there is no compiler"}
    best = max(choice.rows_per_second, key=lambda name: choice.rows_per_second[name])
    assert choice.backend in (best, "eager")
    assert f"run on {choice.backend}" in str(choice)
    np.testing.assert_allclose(model.predict(texts).mean, expected, atol=1e-4)


def _missing(*_: Any) -> Any:
    raise RuntimeError("there is no compiler\nat all")


@WARNINGS
def test_new_weights_are_computed_by_torch_again(texts: Any) -> None:
    model = make()
    choose_backend(model, texts, "onnx")
    with torch.no_grad():
        model.heads[0].reward.bias += 1.0
    fresh = make()
    assert model.predict(texts).mean == pytest.approx(fresh.predict(texts).mean + 1.0, abs=1e-4)
    assert model._engines is None


@WARNINGS
@pytest.mark.parametrize("backend", backends.APPROXIMATE)
def test_approximations_are_opt_in_and_keep_their_bound(backend: str, texts: Any) -> None:
    model = make()
    exact = model.predict(texts).mean
    try:
        choose_backend(model, texts, backend)
    except ModelError as error:
        assert "root mean square error" in str(error)  # noqa: PT017
        assert np.array_equal(model.predict(texts).mean, exact)  # what misses its bound is not used
        return
    said = model.predict(texts).mean
    assert not np.array_equal(said, exact)
    assert spearmanr(said, exact).statistic > 0.99


def test_a_backend_that_errs_is_refused(texts: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(backends._BUILD, "onnx", lambda *_: lambda slots, text, index, values: values[:, 0] * 0)
    model = make()
    with pytest.raises(ModelError, match="error of"):
        choose_backend(model, texts, "onnx")
    assert model._engines is None


@pytest.mark.parametrize(
    ("options", "backend", "match"),
    [({}, "onyx", "onnx"), ({"fusion": "early"}, "auto", "late fusion")],
)
def test_what_cannot_be_chosen_is_refused(options: Any, backend: str, match: str, texts: Any) -> None:
    model: Any = rmgym.create_reward_model("minilm", **options)
    with pytest.raises(ModelError, match=match):
        choose_backend(model, texts, backend)
