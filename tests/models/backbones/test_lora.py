"""LoRA: begins as the plain language model, is merged for scoring, saved without the LM, and learns."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rmgym.errors import ModelError
from rmgym.feedback.labels import Labels, Ratings
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.backbones import lora
from rmgym.models.backbones.lora import merged
from rmgym.models.contract import RewardModelContract
from rmgym.models.files import MANIFEST
from rmgym.models.neural import encode
from rmgym.text.batch import TextBatch
from rmgym.training import FitOptions, fit
from rmgym.training.trainer import RewardTrainer
from tests.models.tiny import SIZES, save_causal

TEXTS = ["Angle in rad: 0.52, torque: 1.25, speed: 3.", "Angle in rad: -2.50, torque: 0.25, speed: 3.", "No number."]
FUSIONS = ("late", "early", "digits")


@pytest.fixture(params=["causal", "encoder"])
def folder(request):
    return request.getfixturevalue(request.param)


def make(folder, *, learnt=True, **options):
    """A LoRA model; ``learnt`` gives its changes values, as a fit would."""
    model = create_reward_model(f"hf:{folder}", **{"seed": 0, "tune": "lora", "lora_rank": 2, **SIZES, **options})
    if learnt:
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for name, parameter in model.tower.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.3, generator=generator)
    return model.eval()


class TestLoRA(RewardModelContract):
    @pytest.fixture(autouse=True)
    def _folder(self, folder):
        self.folder = folder

    def make_model(self):
        return make(self.folder, seed=1)

    def make_other(self):
        return make(self.folder, seed=1, learnt=False)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_unfitted_one_scores_like_the_frozen_language_model(folder, fusion):
    frozen = create_reward_model(f"hf:{folder}", seed=0, fusion=fusion, **SIZES)
    model = make(folder, learnt=False, fusion=fusion)
    for name, weight in frozen.state_dict().items():
        model.state_dict()[name].copy_(weight)
    np.testing.assert_allclose(model.predict(TEXTS).mean, frozen.predict(TEXTS).mean, atol=1e-6)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_merged_is_unmerged(tmp_path, kind):
    model = make(save_causal(tmp_path, kind=kind))
    plain = make(tmp_path, learnt=False)
    tokens = torch.tensor([model.tower.backbone.tokens("Angle: {:.2f}, speed: {:.0f}.")[0]])
    with torch.no_grad():
        unmerged, changed = (lm(input_ids=tokens).last_hidden_state for lm in (model.tower.lm, merged(model.tower.lm)))
        original = plain.tower.lm(input_ids=tokens).last_hidden_state
    torch.testing.assert_close(changed, unmerged, atol=1e-5, rtol=0)
    assert (changed - original).abs().max() > 1e-2


@pytest.mark.parametrize("fusion", FUSIONS)
def test_scores_are_those_of_the_unmerged_model(folder, fusion, monkeypatch):
    model = make(folder, fusion=fusion)
    expected = model.predict(TEXTS).mean
    assert not any("lora" in name for name, _ in model.tower.running.named_modules())
    model = make(folder, fusion=fusion)
    monkeypatch.setattr("rmgym.models.backbones.tower.merged", lambda lm: lm)
    np.testing.assert_allclose(model.predict(TEXTS).mean, expected, atol=1e-5)


def test_it_is_merged_once_and_again_when_it_has_learnt(folder):
    model = make(folder)
    before = model.predict(TEXTS).mean
    first = model.tower.running
    model.predict(TEXTS)
    assert model.tower.running is first
    with torch.no_grad():
        next(p for name, p in model.tower.named_parameters() if "lora_B" in name).add_(0.5)
    after = model.predict(TEXTS).mean
    assert model.tower.running is not first
    assert np.abs(after - before).max() > 1e-4


def test_a_step_of_a_fused_optimiser_is_noticed(folder):
    """Torch's fused optimisers change weights without counting the write."""
    model = make(folder)
    before = model.predict(TEXTS).mean
    model.train()
    optimiser = torch.optim.AdamW([p for p in model.tower.parameters() if p.requires_grad], lr=0.5, fused=True)
    model(encode(TextBatch.from_strings(TEXTS))).sum().backward()
    optimiser.step()
    assert np.abs(model.eval().predict(TEXTS).mean - before).max() > 1e-4


def test_scoring_leaves_the_weights_as_they_are(folder):
    model = make(folder)
    before = {name: tensor.clone() for name, tensor in model.tower.state_dict().items()}
    model.predict(TEXTS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.tower.state_dict().items())


def test_only_heads_and_changes_are_saved_and_nothing_of_pefts(folder, tmp_path):
    model = make(folder, fusion="early")
    saved = model.save(tmp_path / "model")
    assert {path.suffix for path in saved.iterdir()} == {".json", ".safetensors"}
    manifest = json.loads((saved / MANIFEST).read_text())
    names = set(load_file(saved / manifest["files"]["weights"]))
    towers = {name for name in names if name.startswith("tower.")}
    assert towers
    assert all(".lora_A." in name or ".lora_B." in name for name in towers)
    assert any(name.startswith("heads.") for name in names)
    loaded = load_reward_model(saved)
    assert loaded.digest == model.digest
    np.testing.assert_allclose(loaded.predict(TEXTS).mean, model.predict(TEXTS).mean, atol=1e-6)


def test_the_digest_covers_the_changes(folder):
    model = make(folder)
    before = model.digest
    with torch.no_grad():
        next(p for name, p in model.tower.named_parameters() if "lora_A" in name).add_(1e-6)
    assert model.digest != before
    assert make(folder, lora_alpha=4).digest != before


def test_only_changes_and_heads_learn(folder):
    model = make(folder, learnt=False)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad and name.startswith("tower.")}
    assert trainable
    assert all(".lora_" in name for name in trainable)
    assert model.describe()["trainable"] < model.describe()["parameters"]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradients_reach_the_changes(folder, fusion):
    model = make(folder, fusion=fusion).train()
    model(encode(TextBatch.from_strings(TEXTS))).sum().backward()
    reached = [p.grad for name, p in model.tower.named_parameters() if ".lora_" in name and p.grad is not None]
    assert sum(grad.abs().sum() for grad in reached) > 0
    assert all(p.grad is None for name, p in model.tower.named_parameters() if ".lora_" not in name)


def word_labels():
    """Sixty ratings by a word and a number."""
    rng = np.random.default_rng(0)
    words = ["push left", "push right", "wait"]
    rows = [(words[i], v) for i, v in zip(rng.integers(3, size=60), rng.normal(size=60), strict=True)]
    texts = TextBatch.from_strings([f"Angle in rad: {v:.2f}. Action: {word}." for word, v in rows])
    values = np.array([words.index(word) + v for word, v in rows], np.float32)
    return Labels(ratings=Ratings(texts=texts, values=values, groups=np.arange(60)))


def test_a_fit_that_was_stopped_resumes_to_the_same_changes(causal, tmp_path, monkeypatch):
    labels, options = word_labels(), FitOptions(max_steps=160, eval_every=40, checkpoint_every=40)
    whole = fit(make(causal, learnt=False), labels, options, out=tmp_path / "whole", progress=False)
    assert whole.metrics["train"]["r2"] > 0.8
    assert any(p.abs().sum() > 0 for name, p in whole.model.tower.named_parameters() if "lora_B" in name)
    loaded = load_reward_model(tmp_path / "whole")
    np.testing.assert_allclose(loaded.predict(labels.texts).mean, whole.model.predict(labels.texts).mean, atol=1e-6)

    evaluate = RewardTrainer.evaluate

    def stopped(trainer, *args, **kwargs):
        if trainer.state.global_step == 120:
            raise KeyboardInterrupt
        return evaluate(trainer, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(RewardTrainer, "evaluate", stopped)
        with pytest.raises(KeyboardInterrupt):
            fit(make(causal, learnt=False), labels, options, out=tmp_path / "parts", progress=False)
    resumed = fit(make(causal, learnt=False), labels, options, out=tmp_path / "parts", resume=True, progress=False)
    assert resumed.model.digest == whole.model.digest


def test_the_state_of_other_models_keeps_a_missing_weight_an_error(causal):
    model = make(causal)
    state = dict(model.state_dict())
    state.pop(next(name for name in state if ".lora_A." in name))
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict(state)


def test_without_peft_the_error_says_what_to_install(causal, monkeypatch):
    monkeypatch.setattr(lora, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"(?s)needs the package peft.*pip install peft"):
        make(causal)
