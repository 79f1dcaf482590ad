"""Encoders and causal language models from local folders: how each is read, and that none is taken for another."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5Model

from rmgym.errors import ModelError
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.backbones import backbone as backbones
from rmgym.models.backbones.backbone import load_backbone
from rmgym.models.backbones.weights import weights_sha256
from rmgym.models.contract import RewardModelContract
from rmgym.models.files import MANIFEST
from rmgym.models.readers.whole_texts import read_texts
from tests.models.tiny import SIZES, save_causal

TEXTS = ["Angle in rad: 0.52, torque: 1.25, speed: 3.", "Angle in rad: -2.50, torque: 0.25, speed: 3.", "No number."]
FUSIONS = ("late", "early", "digits")


@pytest.fixture(params=["causal", "encoder"])
def folder(request):
    return request.getfixturevalue(request.param)


class TestFolder(RewardModelContract):
    """The contract on late fusion with the language model of a local folder."""

    @pytest.fixture(autouse=True)
    def _folder(self, folder):
        self.folder = folder

    def make_model(self):
        return create_reward_model(f"hf:{self.folder}", seed=1, **SIZES)

    def make_other(self):
        return create_reward_model(f"hf:{self.folder}", seed=2, **SIZES)


class TestCausalEarly(RewardModelContract):
    @pytest.fixture(autouse=True)
    def _folder(self, causal):
        self.folder = causal

    def make_model(self):
        return create_reward_model(f"hf:{self.folder}", seed=1, fusion="early", **SIZES)


class TestCausalDigits(RewardModelContract):
    @pytest.fixture(autouse=True)
    def _folder(self, causal):
        self.folder = causal

    def make_model(self):
        return create_reward_model(f"hf:{self.folder}", seed=1, fusion="digits", **SIZES)


def test_a_causal_text_has_an_opening_token_and_zeros_for_slots(causal):
    backbone = load_backbone(str(causal))
    ids, slots = backbone.tokens("Angle in rad: {:.2f}, speed: {:.0f}.")
    shown = backbone.tokenizer.convert_ids_to_tokens(ids)
    assert backbone.causal
    assert shown[0] == "<s>"
    assert [shown[slot] for slot in slots] == ["0", "0"]
    assert backbone.tokenizer.decode(ids) == "<s>Angle in rad: 0, speed: 0."


def test_an_encoders_text_is_enclosed_and_has_masks_for_slots(encoder):
    backbone = load_backbone(str(encoder))
    ids, slots = backbone.tokens("Angle in rad: {:.2f}")
    shown = backbone.tokenizer.convert_ids_to_tokens(ids)
    assert not backbone.causal
    assert (shown[0], shown[-1]) == ("[CLS]", "[SEP]")
    assert [shown[slot] for slot in slots] == ["[MASK]"]


def test_the_state_of_a_text_is_a_causal_models_last_and_an_encoders_mean(causal, encoder):
    def last(states):
        unit = states / states.square().mean(dim=1, keepdim=True).sqrt()
        return unit[-1]

    for folder, pooled in ((causal, last), (encoder, lambda states: states.mean(dim=0))):
        model = create_reward_model(f"hf:{folder}", **SIZES)
        ids, _ = model.tower.backbone.tokens("Angle in rad: {:.2f}, speed: {:.0f}.")
        with torch.no_grad():
            states = model.tower.lm(input_ids=torch.tensor([ids])).last_hidden_state[0]
            (text,) = read_texts(model.tower, ["Angle in rad: {:.2f}, speed: {:.0f}."])
        torch.testing.assert_close(text, pooled(states))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_what_reads_from_left_to_right_is_found_out(tmp_path, kind, encoder):
    assert load_backbone(str(save_causal(tmp_path, kind=kind))).causal
    assert not load_backbone(str(encoder)).causal


@pytest.mark.parametrize("fusion", FUSIONS)
def test_numbers_and_words_both_reach_the_reward(folder, fusion):
    model = create_reward_model(f"hf:{folder}", seed=0, fusion=fusion, **SIZES)
    texts = ["Angle in rad: 0.52. Action: push left.", "Angle in rad: 1.25. Action: push left."]
    base, number, word = model.predict([*texts, "Angle in rad: 0.52. Action: wait."]).mean
    assert abs(base - number) > 1e-6
    assert abs(base - word) > 1e-6


def test_other_weights_than_the_fitted_ones_are_refused(causal, tmp_path):
    folder = shutil.copytree(causal, tmp_path / "lm")
    saved = create_reward_model(f"hf:{folder}", **SIZES).save(tmp_path / "model")
    expected = load_reward_model(saved).predict(TEXTS).mean
    said = json.loads((saved / MANIFEST).read_text())
    assert said["config"]["backbone"] == str(folder)
    assert json.loads((saved / said["files"]["backbone"]).read_text()) == {"sha256": weights_sha256(folder)}

    weights = load_file(folder / "model.safetensors")
    changed = {name: tensor + 1e-6 for name, tensor in weights.items()}
    for content, refused in ((changed, True), (weights, False)):
        save_file(content, folder / "model.safetensors", metadata={"format": "pt"})
        backbones._load.cache_clear()
        from rmgym.models.registry import _load

        _load.cache_clear()
        if refused:
            with pytest.raises(ModelError, match=r"(?s)language model that it was fitted on.*SHA-256.*fit again"):
                load_reward_model(saved)
        else:
            np.testing.assert_array_equal(load_reward_model(saved).predict(TEXTS).mean, expected)


def test_a_folder_that_is_gone_is_named(causal, tmp_path):
    folder = shutil.copytree(causal, tmp_path / "lm")
    saved = create_reward_model(f"hf:{folder}", **SIZES).save(tmp_path / "model")
    shutil.rmtree(folder)
    backbones._load.cache_clear()
    with pytest.raises(ModelError, match=r"(?s)local folder.*lm"):
        load_reward_model(saved)


def test_pickled_weights_are_not_opened(causal, tmp_path):
    folder = shutil.copytree(causal, tmp_path / "lm")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"(?s)pickles are never opened.*save_pretrained"):
        create_reward_model(f"hf:{folder}", **SIZES)


def test_incomplete_weights_are_refused(causal, tmp_path):
    folder = shutil.copytree(causal, tmp_path / "lm")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"(?s)weights of a backbone are complete.*layers.1.mlp.up_proj"):
        create_reward_model(f"hf:{folder}", **SIZES)


def test_loading_prints_nothing(causal, capfd):
    backbones._load.__wrapped__(str(causal), "float32")
    said = capfd.readouterr()
    assert said.out == said.err == ""


def test_code_that_comes_with_a_model_does_not_run(causal, tmp_path):
    folder = shutil.copytree(causal, tmp_path / "lm")
    said = json.loads((folder / "config.json").read_text())
    said |= {"model_type": "theirs", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(said))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match="encoder or causal language model that transformers knows"):
        create_reward_model(f"hf:{folder}", **SIZES)
    assert not (tmp_path / "ran").exists()


def test_an_encoder_decoder_is_refused(causal, tmp_path):
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    folder = shutil.copytree(causal, tmp_path / "lm")
    T5Model(T5Config(vocab_size=400, decoder_start_token_id=0, **sizes)).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"(?s)an encoder or a causal language model.*both"):
        create_reward_model(f"hf:{folder}", **SIZES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:somebody/some-model", r"(?s)from the hub.*somebody/some-model.*HF_HUB_OFFLINE.*local folder"),
        ("hf:/no/such/folder", "(?s)local folder or a hub id.*check the path"),
        ("hf:./no/such", "(?s)local folder or a hub id.*check the path"),
        ("hf", "(?s)named with its language model.*hf:/path"),
    ],
)
def test_what_hf_cannot_find_is_an_error_with_advice(name, message):
    with pytest.raises(ModelError, match=message):
        create_reward_model(name)


def test_a_model_of_the_hub_is_asked_for_safetensors_json_and_tokenizer_only(causal, tmp_path, monkeypatch):
    asked = []

    def snapshot_download(repository, *, allow_patterns):
        asked.append((repository, allow_patterns))
        return str(causal)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    backbones._load.cache_clear()
    model = create_reward_model("hf:somebody/some-model", **SIZES)
    assert asked == [("somebody/some-model", ["*.safetensors", "*.json", "*.txt", "*.model"])]
    assert model.options.backbone == "hf:somebody/some-model"
    loaded = load_reward_model(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict(TEXTS).mean, model.predict(TEXTS).mean)
    backbones._load.cache_clear()


def test_an_unfitted_hf_model_is_not_loaded_by_its_name(causal):
    with pytest.raises(ModelError, match="has to be fitted"):
        load_reward_model(f"hf:{causal}")


def test_a_relative_folder_is_saved_as_an_absolute_one(causal, monkeypatch):
    monkeypatch.chdir(causal.parent)
    assert create_reward_model(f"hf:{causal.name}", **SIZES).options.backbone == str(causal)
