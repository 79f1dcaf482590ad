"""From a name, a folder or a hub id to a model."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rmgym.errors import ModelError
from rmgym.models import RewardModel, available_models, create_reward_model, load_reward_model
from rmgym.models.files import MANIFEST
from rmgym.models.hub import push_to_hub
from rmgym.text.batch import TextBatch

TINY = {"vocab_size": 512, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
TEXTS = ["angle: 0.25", "angle: -1.50", "角度: 3"]


def test_every_built_in_class_is_there():
    from rmgym.models.registry import model_class

    for name in set(available_models()) - {"true"}:  # which is no model
        assert model_class(name).name in (name, "language_model")


@pytest.mark.parametrize(
    "module", ["rmgym.models", "rmgym.models.controls", "rmgym.models.remote.model", "rmgym.scoring"]
)
def test_what_runs_no_network_loads_no_torch(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'tokenizers'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "heads"), [("minilm", 5), ("ensemble", 10)])
def test_a_preset_names_its_model_and_sets_what_the_user_does_not(name, heads):
    small = {"width": 16, "roles": 8}
    model = create_reward_model(name, **small)
    assert (model.name, model.head_count) == (name, heads)
    assert (model.describe()["model"], model.describe()["config"]["backbone"]) == (name, "minilm")
    assert create_reward_model(name, heads=2, **small).head_count == 2


@pytest.mark.parametrize(("name", "meant"), [("seq2sec", "'seq2seq'"), ("minlm", "'minilm'"), ("randon", "'random'")])
def test_an_unknown_name_is_refused_with_the_nearest_one(name, meant):
    with pytest.raises(ModelError, match=f"did you mean {meant}"):
        create_reward_model(name)


@pytest.mark.parametrize("name", ["randon", "./randon", "seq2sec", "runs/typo", "user/runs/typo", "../typo"])
def test_what_is_no_reward_is_answered_with_what_can_be_one(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    create_reward_model("constant").save("runs/type")
    with pytest.raises(ModelError, match="a reward is the folder of a fitted model, a hub id") as error:
        load_reward_model(name)
    assert error.value.got.startswith(f"{name}: no such folder")
    assert "snapshot" not in str(error.value)
    assert "HF_HUB_OFFLINE" not in str(error.value)
    meant = {"runs/typo": "did you mean 'runs/type'?", "randon": "did you mean 'random'?"}
    assert error.value.fix.startswith(meant.get(name, "use one of constant, random, true" if "/" not in name else ""))
    assert not {"minilm", "hf", "remote"} & set(error.value.fix.replace(",", " ").split())


def test_an_unfitted_model_is_not_loaded_by_its_name():
    with pytest.raises(ModelError, match="has to be fitted"):
        load_reward_model("seq2seq")


@pytest.mark.parametrize("path", ["runs/pendulum/reward_model", "/no/such/folder", "somebody/some-model"])
def test_a_missing_folder_says_what_to_do(path):
    with pytest.raises(ModelError, match="rmgym fit"):
        load_reward_model(path)


def test_a_model_is_returned_as_it_is():
    model = create_reward_model("constant")
    assert load_reward_model(model) is model


@pytest.mark.parametrize("name", ["constant", "random"])
def test_controls_are_loaded_by_name(name):
    model = load_reward_model(name)
    assert model.name == name
    assert isinstance(model, RewardModel)


def test_a_folder_is_loaded_once_and_again_when_its_content_changes(tmp_path):
    first = create_reward_model("seq2seq", seed=1, **TINY)
    folder = first.save(tmp_path / "model")
    loaded = load_reward_model(folder)
    assert load_reward_model(os.fspath(folder)) is loaded
    second = create_reward_model("seq2seq", seed=2, **TINY)
    second.save(folder)
    os.utime(folder / MANIFEST, ns=(1, 1))  # file systems with coarse clocks
    assert load_reward_model(folder).digest == second.digest != first.digest


def test_fitting_a_loaded_model_does_not_change_what_the_folder_holds(tmp_path):
    model = create_reward_model("seq2seq", seed=1, **TINY)
    folder = model.save(tmp_path / "model")
    loaded = load_reward_model(folder)
    with torch.no_grad():
        loaded.reward.bias += 1
    again = load_reward_model(folder)
    assert again.digest == model.digest != loaded.digest
    assert np.array_equal(again.predict(TEXTS).mean, model.predict(TEXTS).mean)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_keeps_the_units(tmp_path, dtype):
    model = create_reward_model("seq2seq", seed=1, **TINY)
    model.offset.fill_(-1234.567)
    model.scale.fill_(0.001)
    model.noise.fill_(0.12345678)
    folder = model.save(tmp_path / "model")
    low = load_reward_model(folder, dtype=dtype)
    assert low.reward.weight.dtype == getattr(torch, dtype)
    assert [low.offset.dtype, low.scale.dtype, low.noise.dtype] == [torch.float32] * 3
    np.testing.assert_allclose(low.predict(TEXTS).mean, model.predict(TEXTS).mean, atol=1e-3)
    assert low.predict(TEXTS).std.tolist() == model.predict(TEXTS).std.tolist()
    assert low.digest != model.digest
    kept = low.save(tmp_path / "low")
    assert np.array_equal(load_reward_model(kept, dtype=dtype).predict(TEXTS).mean, low.predict(TEXTS).mean)
    assert load_reward_model(folder).reward.weight.dtype == torch.float32


@pytest.mark.parametrize(("option", "said"), [({"dtype": "bfloat"}, "'bfloat16'"), ({"device": "cudas"}, "device")])
def test_unknown_dtypes_and_devices_are_refused(tmp_path, option, said):
    folder = create_reward_model("seq2seq", **TINY).save(tmp_path / "model")
    with pytest.raises(ModelError, match=said):
        load_reward_model(folder, **option)


def test_an_installed_package_can_offer_a_model(tmp_path, monkeypatch):
    about = tmp_path / "their_models-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[rmgym.models]\ntheirs = their_models:Theirs\n")
    (tmp_path / "their_models.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\n"
        "from rmgym.models.controls import ConstantReward\n"
        "@dataclass(frozen=True)\nclass Theirs(ConstantReward):\n    name: ClassVar[str] = 'theirs'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folder = create_reward_model("theirs", value=7.0).save(tmp_path / "saved")
    assert load_reward_model(folder).predict(["a"]).mean.tolist() == [7.0]
    sys.modules.pop("their_models")


class LocalHub:
    """The hub as a folder: what is uploaded is copied."""

    def __init__(self, folder):
        self.folder = folder
        self.private = None

    def create_repo(self, repo_id, *, private, exist_ok):
        assert exist_ok
        self.private = private
        (self.folder / repo_id).mkdir(parents=True)

    def upload_folder(self, *, repo_id, folder_path, commit_message, delete_patterns):
        assert commit_message
        assert delete_patterns
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)


def test_a_pushed_model_loads_and_its_card_says_what_it_is(tmp_path):
    model = create_reward_model("seq2seq", seed=1, **TINY)
    model.prepare(TextBatch.from_strings(TEXTS))
    hub = LocalHub(tmp_path)
    assert push_to_hub(model, "somebody/lander", api=hub) == "somebody/lander"
    assert hub.private is True
    uploaded = tmp_path / "somebody" / "lander"
    loaded = load_reward_model(uploaded)
    assert np.array_equal(loaded.predict(TEXTS).mean, model.predict(TEXTS).mean)
    card = (uploaded / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: rmgym")
    assert 'LearnedRewardWrapper(gym.make(...), "somebody/lander")' in card
    assert model.digest in card
    assert all(Path(file).suffix in (".json", ".safetensors", ".md") for file in uploaded.iterdir())


def test_a_hub_that_cannot_be_reached_is_an_error_with_advice():
    with pytest.raises(ModelError, match="hf auth login"):
        create_reward_model("seq2seq", **TINY).push_to_hub("somebody/lander")


def test_a_malformed_hub_id_is_an_error_with_advice():
    with pytest.raises(ModelError, match="give user/name"):
        create_reward_model("seq2seq", **TINY).push_to_hub("not a hub id/at/all")
