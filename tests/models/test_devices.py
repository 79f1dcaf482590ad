"""Device and dtype: a language model follows its reward model, and no other model on it is disturbed."""

import numpy as np
import pytest
import torch

from rmgym.errors import ModelError
from rmgym.feedback.labels import Labels, Ratings
from rmgym.metrics.ranking import spearman
from rmgym.models import create_reward_model, load_reward_model
from rmgym.sb3 import make_agent
from rmgym.text import TextBatch
from rmgym.training import FitOptions, fit
from tests.models.tiny import SIZES

LOW = ["bfloat16", "float16"]
TEXTS = [f"Angle in rad: {a:.2f}, torque: {t:.2f}." for a in np.linspace(-3, 3, 9) for t in (-1.5, 0.25, 2)]
DEVICES = [
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")),
    pytest.param("mps", marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS device here")),
]


@pytest.fixture(params=["causal", "encoder"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["late", "early", "digits"])
def saved(request, folder, tmp_path):
    """A saved model of each kind of fusion, and what it predicts."""
    model = create_reward_model(f"hf:{folder}", seed=1, fusion=request.param, **SIZES)
    return model.save(tmp_path / "model"), model.predict(TEXTS).mean


def close(low, exact):
    """Low precision moves a score by a few hundredths of the spread, and hardly any rank."""
    assert np.abs(low - exact).max() < 0.15 * exact.std() + 0.02
    assert spearman(low, exact) > 0.96


@pytest.mark.parametrize("dtype", LOW)
def test_the_language_model_follows_into_low_precision(saved, dtype):
    path, exact = saved
    low = load_reward_model(path, dtype=dtype)
    assert next(low.tower.lm.parameters()).dtype == next(low.heads.parameters()).dtype == getattr(torch, dtype)
    close(low.predict(TEXTS).mean, exact)


def test_models_of_two_dtypes_share_a_backbone_without_disturbing_each_other(saved):
    path, exact = saved
    full, low = load_reward_model(path), load_reward_model(path, dtype="bfloat16")
    first = low.predict(TEXTS).mean
    np.testing.assert_array_equal(full.predict(TEXTS).mean, exact)
    assert next(full.tower.lm.parameters()).dtype == torch.float32
    np.testing.assert_array_equal(low.predict(TEXTS).mean, first)
    other = low.tower.backbone.on(torch.device("cpu"), torch.bfloat16)
    assert other is low.tower.lm
    assert full.tower.lm is full.tower.backbone.lm


def test_templates_read_before_a_cast_are_read_again(folder):
    model = create_reward_model(f"hf:{folder}", seed=1, **SIZES)
    exact = model.predict(TEXTS).mean
    model.to(torch.bfloat16)
    low = model.predict(TEXTS).mean
    assert np.abs(low - exact).max() > 0
    close(low, exact)
    np.testing.assert_array_equal(
        low, create_reward_model(f"hf:{folder}", seed=1, **SIZES).to(torch.bfloat16).predict(TEXTS).mean
    )


@pytest.mark.parametrize("fusion", ["late", "early"])
@pytest.mark.parametrize("tune", ["frozen", "lora"])
def test_a_low_precision_language_model_has_heads_in_float32(folder, tmp_path, fusion, tune):
    options = {"seed": 1, "fusion": fusion, "tune": tune, **SIZES}
    exact = create_reward_model(f"hf:{folder}", **options)
    model = create_reward_model(f"hf:{folder}", dtype="bfloat16", **options)
    loaded = load_reward_model(model.save(tmp_path / "model"))
    for each in (model, loaded):
        of_lm = {p.dtype for name, p in each.tower.lm.named_parameters() if ".lora_" not in name}
        assert of_lm == {torch.bfloat16}
        assert {p.dtype for p in each.parameters() if p.requires_grad} == {torch.float32}
        close(each.predict(TEXTS).mean, exact.predict(TEXTS).mean)
    assert model.digest == loaded.digest != exact.digest


def test_tuning_whole_in_low_precision_is_refused(folder):
    with pytest.raises(ModelError, match=r"(?s)tuned whole.*bfloat16.*tune='lora'"):
        create_reward_model(f"hf:{folder}", tune="whole", dtype="bfloat16", **SIZES)


def test_the_cpu_is_a_device(saved):
    path, exact = saved
    model = load_reward_model(path, device="cpu")
    assert model.device.type == next(model.tower.lm.parameters()).device.type == "cpu"
    np.testing.assert_array_equal(model.predict(TEXTS).mean, exact)


@pytest.mark.parametrize("device", DEVICES)
def test_the_language_model_follows_to_a_device_and_others_stay(saved, device):
    path, exact = saved
    here, there = load_reward_model(path), load_reward_model(path, device=device)
    np.testing.assert_allclose(there.predict(TEXTS).mean, exact, atol=1e-3)
    assert next(there.tower.lm.parameters()).device.type == device
    assert next(here.tower.lm.parameters()).device.type == "cpu"
    np.testing.assert_array_equal(here.predict(TEXTS).mean, exact)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_takes_low_precision(saved, device):
    path, exact = saved
    close(load_reward_model(path, device=device, dtype="float16").predict(TEXTS).mean, exact)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("tune", ["frozen", "lora", "whole"])
@pytest.mark.parametrize("fusion", ["late", "early", "digits"])
def test_a_model_is_fitted_on_a_device_as_on_the_cpu(folder, tmp_path, device, fusion, tune):
    values = np.array([len(text) % 7 + text.count("-") for text in TEXTS], np.float32)
    labels = Labels(ratings=Ratings(texts=TextBatch.from_strings(TEXTS), values=values, groups=np.arange(len(TEXTS))))
    how = FitOptions(max_steps=20, validation=0)
    fitted = {}
    for i, place in enumerate(("cpu", device)):
        model = create_reward_model(f"hf:{folder}", seed=1, fusion=fusion, tune=tune, **SIZES).to(place)
        fitted[i] = fit(model, labels, how, out=tmp_path / str(i), progress=False).model
    assert fitted[1].device.type == device
    here, there = (fitted[i].predict(TEXTS) for i in range(2))
    assert np.abs(here.mean - there.mean).max() < 0.1 * here.mean.std()
    assert np.abs(here.std - there.std).max() < 0.1 * here.std.mean()
    saved = load_reward_model(tmp_path / "1")
    np.testing.assert_allclose(saved.predict(TEXTS).mean, there.mean, atol=1e-3 * here.mean.std())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "options"), [("seq2seq", {"preset": "small"}), ("no-lm", {})])
def test_models_without_a_pretrained_language_model_are_fitted_on_a_device(device, name, options, tmp_path):
    values = np.linspace(-1, 1, len(TEXTS)).astype(np.float32)
    labels = Labels(ratings=Ratings(texts=TextBatch.from_strings(TEXTS), values=values, groups=np.arange(len(TEXTS))))
    model = create_reward_model(name, seed=1, **options).to(device)
    fitted = fit(model, labels, FitOptions(max_steps=30, validation=0), out=tmp_path / "model", progress=False).model
    assert fitted.device.type == device
    there = fitted.predict(TEXTS).mean
    here = load_reward_model(tmp_path / "model").predict(TEXTS).mean
    np.testing.assert_allclose(here, there, atol=1e-2 * here.std())


@pytest.mark.parametrize("device", DEVICES)
def test_an_agent_trains_on_a_reward_that_is_on_a_device(device):
    model = create_reward_model("no-lm", seed=1).to(device).accept_random_weights()
    agent = make_agent("ppo", "CartPole-v1", reward_model=model, seed=0, n_envs=2, n_steps=32, batch_size=64)
    agent.learn(128)
    assert agent.num_timesteps == 128
