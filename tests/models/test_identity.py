"""Equal digests predict equally: what a score is computed in never depends on what was around an earlier call."""

import numpy as np
import pytest
import torch

from rmgym.feedback.labels import Labels, Ratings
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.files import read_files
from rmgym.models.neural import encode
from rmgym.text.batch import TextBatch
from rmgym.training import FitOptions, fit
from tests.models.tiny import SIZES

STRINGS = [f"Angle in rad: {a:.2f}, torque: {a / 3:.2f}. Action: {word}." for a in (0.5, -1.25, 3) for word in "ab"]
TEXTS = TextBatch.from_strings(STRINGS)
LABELS = Labels(ratings=Ratings(texts=TEXTS, values=np.arange(6, dtype=np.float32), groups=np.arange(6)))
SEQ2SEQ = {"vocab_size": 512, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
FUSIONS = ("late", "early", "digits")


@pytest.fixture(params=["causal", "encoder"])
def folder(request):
    return request.getfixturevalue(request.param)


def low_products():
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("tune", ["frozen", "lora"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_model_fitted_in_low_precision_scores_like_the_one_that_is_loaded(folder, fusion, tune, tmp_path):
    model = create_reward_model(f"hf:{folder}", seed=1, fusion=fusion, tune=tune, **SIZES)
    options = FitOptions(max_steps=6, batch_size=4, eval_every=2, precision="bfloat16", validation=0)
    fitted = fit(model, LABELS, options, out=tmp_path / "model", progress=False).model
    loaded = load_reward_model(tmp_path / "model")
    assert loaded is not fitted
    assert loaded.digest == fitted.digest
    np.testing.assert_allclose(fitted.predict(TEXTS).mean, loaded.predict(TEXTS).mean, atol=1e-6)


@pytest.mark.parametrize("tune", ["frozen", "lora", "whole"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_score_does_not_depend_on_autocast_around_the_call(folder, fusion, tune):
    def make():
        model = create_reward_model(f"hf:{folder}", seed=1, fusion=fusion, tune=tune, **SIZES)
        for name, parameter in model.tower.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(5))
        return model.eval()

    expected, model = make().predict(TEXTS).mean, make()
    with low_products():
        np.testing.assert_allclose(model.predict(TEXTS).mean, expected, atol=1e-6)
    np.testing.assert_allclose(model.predict(TEXTS).mean, expected, atol=1e-6)


def test_nor_do_those_of_a_model_from_scratch():
    model = create_reward_model("seq2seq", seed=1, **SEQ2SEQ)
    expected = model.predict(TEXTS).mean
    with low_products():
        np.testing.assert_allclose(model.predict(TEXTS).mean, expected, atol=1e-6)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_is_kept_is_exact_although_a_pass_in_low_precision_kept_it(folder, fusion):
    """Not only through ``predict``: evaluation in the middle of a fit fills what scoring reads later."""
    model = create_reward_model(f"hf:{folder}", seed=1, fusion=fusion, **SIZES).eval()
    expected = create_reward_model(f"hf:{folder}", seed=1, fusion=fusion, **SIZES).predict(TEXTS).mean
    with low_products(), torch.no_grad():
        model(encode(TEXTS))
    np.testing.assert_allclose(model.predict(TEXTS).mean, expected, atol=1e-6)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_dtype_is_part_of_the_digest(folder, fusion, tmp_path):
    saved = create_reward_model(f"hf:{folder}", seed=1, fusion=fusion, **SIZES).save(tmp_path / "model")
    digests = {load_reward_model(saved, dtype=dtype).digest for dtype in ("float32", "bfloat16", "float16")}
    assert len(digests) == 3


@pytest.mark.parametrize("kind", ["lora", "whole", "seq2seq"])
def test_a_cast_and_back_leaves_nothing_rounded_that_the_digest_does_not_see(causal, kind, tmp_path):
    """A model kept in bfloat16, loaded as it is and cast up, and the same loaded in float32: equal digests."""
    if kind == "seq2seq":
        model = create_reward_model("seq2seq", seed=1, **SEQ2SEQ)
    else:
        model = create_reward_model(f"hf:{causal}", seed=1, tune=kind, **SIZES)
    saved = model.eval().to(torch.bfloat16).save(tmp_path / "model")
    direct, cast = (type(model).restore(*read_files(saved)) for _ in range(2))
    cast.to(torch.bfloat16).to(torch.float32)
    assert cast.digest == direct.digest
    np.testing.assert_allclose(cast.predict(TEXTS).mean, direct.predict(TEXTS).mean, atol=1e-6)
