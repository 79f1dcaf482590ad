"""Folders of models that somebody made to do harm: refused before they take memory, time or a crash."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from rmgym.errors import ModelError
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.files import MANIFEST, digest_of, read_files, write_model
from rmgym.models.neural import NeuralRewardModel
from rmgym.storage.checksum import checked, signed
from rmgym.text.batch import TextBatch
from tests.hostile import DEEP_JSON, IN_THE_WAY, damaged, harmless, put_in_the_way

TEXTS = TextBatch.from_strings(["angle: 0.25", "angle: -1.50"])
SIZES = {
    "seq2seq": {"vocab_size": 512, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2},
    "no-lm": {"width": 8, "roles": 4},
}
Changed = Callable[..., Path]


def resealed(
    source: Path,
    target: Path,
    *,
    config: Mapping[str, Any] | None = None,
    tensors: Mapping[str, torch.Tensor] | None = None,
    texts: Mapping[str, str] | None = None,
) -> Path:
    """A copy of a model's folder with changes, and with the checksums and the digest that fit them."""
    manifest, weights, further = read_files(source)
    manifest = {key: value for key, value in manifest.items() if key not in ("files", "sha256")}
    manifest["config"] = {**manifest["config"], **(config or {})}
    weights, further = {**weights, **(tensors or {})}, {**further, **(texts or {})}
    manifest["digest"] = digest_of({"model": manifest["model"], **manifest["config"]}, weights, further)
    shutil.rmtree(target, ignore_errors=True)
    return write_model(target, manifest, weights, further)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, saved = tmp_path_factory.mktemp("models"), dict[str, Path]()
    for name, sizes in SIZES.items():
        model = create_reward_model(name, seed=1, **sizes)
        assert isinstance(model, NeuralRewardModel)
        model.prepare(TEXTS)
        saved[name] = model.accept_random_weights().save(folder / name)
    return saved


def use(folder: Path) -> None:
    load_reward_model(folder).predict(TEXTS)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("seq2seq", "embedding_dim", 10**9 * 4),
        ("seq2seq", "hidden_dim", 10**9),
        ("seq2seq", "vocab_size", 10**9),
        ("seq2seq", "hidden_dim", 10**18),
        ("seq2seq", "num_layers", 10**6),
        ("seq2seq", "num_layers", 2),
        ("seq2seq", "max_tokens", 10**9),
        ("no-lm", "width", 10**9),
        ("no-lm", "roles", 10**9),
        ("no-lm", "heads", 10**9),
        ("no-lm", "width", 10**30),
        ("no-lm", "frequencies", [0] * 1000),
        ("no-lm", "frequencies", [10**6]),
    ],
)
def test_a_configuration_of_other_sizes_than_the_weights_is_refused_before_memory_is_taken(
    saved: dict[str, Path], tmp_path: Path, name: str, option: str, value: object
) -> None:
    folder = resealed(saved[name], tmp_path / "model", config={option: value})
    with harmless(option, gigabytes=2), pytest.raises(ModelError):
        use(folder)


@pytest.mark.parametrize("name", SIZES)
def test_whatever_the_configuration_says_nothing_breaks(saved: dict[str, Path], tmp_path: Path, name: str) -> None:
    config = read_files(saved[name])[0]["config"]
    for what, changed in damaged(config, (None, -1, 0, 1.5, True, "x", [], {}, [[0]], 10**30)):
        with harmless(what):
            use(resealed(saved[name], tmp_path / "model", config=changed))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.bool, torch.complex64, torch.uint8])
@pytest.mark.parametrize("name", SIZES)
def test_weights_of_another_dtype_are_refused(
    saved: dict[str, Path], tmp_path: Path, name: str, dtype: torch.dtype
) -> None:
    folder = resealed(saved[name], tmp_path / "model", tensors={"scale": torch.ones((), dtype=dtype)})
    with pytest.raises(ModelError, match=f"scale of {dtype} instead of torch.float32"):
        use(folder)


@pytest.mark.parametrize("name", SIZES)
def test_weights_of_another_shape_are_refused(saved: dict[str, Path], tmp_path: Path, name: str) -> None:
    for key, weight in read_files(saved[name])[1].items():
        folder = resealed(saved[name], tmp_path / "model", tensors={key: weight[None]})
        with pytest.raises(ModelError, match="weights fit the configuration"):
            use(folder)


def tokenizers(text: str) -> dict[str, Any]:
    """Tokenizers that no training of rmgym's gives, by what they do."""
    whole = json.loads(text)
    replace = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100_000}
    padding = {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None}
    added = {"id": 600, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
    return {
        "bomb": {**whole, "normalizer": {"type": "Sequence", "normalizers": [replace] * 4}},
        "pattern": {**whole, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}},
        "padding": {**whole, "padding": {**padding, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}},
        "far id": {**whole, "model": {**whole["model"], "vocab": {**whole["model"]["vocab"], "z": 10**9}}},
        "phrase": {**whole, "added_tokens": [{**added, "content": ""}]},
        "merges": {**whole, "model": {**whole["model"], "merges": [["x", "nowhere"]]}},
        "other model": {**whole, "model": {"type": "Unigram", "unk_id": 10**9, "vocab": []}},
        "list": [],
    }


@pytest.mark.parametrize("kind", [*tokenizers('{"model": {"vocab": {}}}'), "deep", "text"])
def test_a_tokenizer_that_rmgym_did_not_train_is_refused(saved: dict[str, Path], tmp_path: Path, kind: str) -> None:
    text = read_files(saved["seq2seq"])[2]["tokenizer"]
    others = {**{name: json.dumps(t) for name, t in tokenizers(text).items()}, "deep": DEEP_JSON, "text": "tokens"}
    with pytest.raises(ModelError, match="the tokenizer is as rmgym trained it"):
        use(resealed(saved["seq2seq"], tmp_path / "model", texts={"tokenizer": others[kind]}))


class PanicException(BaseException):
    """As that of pyo3, which no module gives away."""


def test_a_panic_of_the_tokenizer_is_an_error(
    saved: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*_: object) -> None:
        raise PanicException("index out of bounds")

    folder = resealed(saved["seq2seq"], tmp_path / "model")
    monkeypatch.setattr("rmgym.models.tokenizer._assembled", panic)
    with pytest.raises(ModelError, match="the tokenizer panics: index out of bounds"):
        use(folder)


def test_what_was_seen_is_read_or_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    seen = json.loads(read_files(saved["no-lm"])[2]["seen"])
    for what, changed in damaged(seen, (None, -1, 10**30, float("inf"), "x", [], {}, [[0]])):
        text = json.dumps(changed)
        with harmless(what):
            use(resealed(saved["no-lm"], tmp_path / "model", texts={"seen": text}))


@pytest.mark.parametrize("kind", IN_THE_WAY)
@pytest.mark.parametrize("name", SIZES)
def test_only_regular_files_are_read(saved: dict[str, Path], tmp_path: Path, name: str, kind: str) -> None:
    for file in saved[name].iterdir():
        folder = Path(shutil.copytree(saved[name], tmp_path / file.stem))
        put_in_the_way(folder / file.name, kind)
        with pytest.raises(ModelError, match=f"{MANIFEST}|whole and unaltered"):
            use(folder)


def weights_of(folder: Path) -> Path:
    (file,) = folder.glob("*.safetensors")
    return file


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("holds", ["a header and a hole", "a header alone", "a hole alone", "texts that are a hole"])
def test_terabytes_of_a_sparse_file_are_refused_before_memory_is_taken(
    saved: dict[str, Path], tmp_path: Path, name: str, holds: str
) -> None:
    size = 2**40
    folder = Path(shutil.copytree(saved[name], tmp_path / "model"))
    file = weights_of(folder)
    header = json.dumps({"scale": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    start = b"" if "alone" in holds and "hole" in holds else len(header).to_bytes(8, "little") + header
    if "texts" in holds:
        file = next(file for file in folder.glob("*-*.json"))
    else:
        file.write_bytes(start)
    if "hole" in holds:
        with file.open("rb+") as content:
            content.truncate(len(start) + size)
    else:  # its checksum is right, so that the header is read
        manifest = checked(json.loads((folder / MANIFEST).read_text()))
        manifest["sha256"]["weights"] = hashlib.sha256(start).hexdigest()
        (folder / MANIFEST).write_text(json.dumps(signed(manifest)))
    with harmless(holds, gigabytes=2), pytest.raises(ModelError, match="whole and unaltered") as error:
        use(folder)
    assert ("a hole" if "hole" in holds else "not fully covered") in str(error.value.got)


def test_files_may_be_links_as_those_of_the_hubs_cache_are(saved: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "snapshot").mkdir()
    for file in saved["no-lm"].iterdir():
        (tmp_path / "snapshot" / file.name).symlink_to(file)
    assert load_reward_model(tmp_path / "snapshot").digest == load_reward_model(saved["no-lm"]).digest


@pytest.mark.parametrize("name", ["9" * 400, "a/" + "9" * 400])
def test_a_name_that_no_file_can_have_is_answered(name: str) -> None:
    with pytest.raises(ModelError, match="a reward is the folder of a fitted model"):
        load_reward_model(name)


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({}, {"width": 10**9}),
        ({"tune": "lora"}, {"lora_rank": 10**9}),
        ({"fusion": "digits", "heads": 2}, {"heads": 10**9}),
        ({"fusion": "digits", "heads": 2}, {"width": 10**9}),
        ({"fusion": "early", "heads": 2}, {"frequencies": [0] * 1000}),
        ({}, {"fusion": "digits"}),
        ({}, {"tune": "whole"}),
        ({}, {"backbone": "/nowhere"}),
    ],
)
def test_heads_on_a_language_model_are_compared_too(
    causal: Path, tmp_path: Path, options: dict[str, Any], change: dict[str, Any]
) -> None:
    model = create_reward_model(f"hf:{causal}", **{"width": 16, "roles": 8, **options})
    assert isinstance(model, NeuralRewardModel)
    model.prepare(TEXTS)
    saved = model.accept_random_weights().save(tmp_path / "saved")
    use(resealed(saved, tmp_path / "model"))
    with harmless(str(change), gigabytes=2), pytest.raises(ModelError):
        use(resealed(saved, tmp_path / "model", config=change))


@pytest.mark.parametrize("text", ["{", "[]", "{}", DEEP_JSON])
def test_which_language_model_it_was_is_said_or_the_model_refused(causal: Path, tmp_path: Path, text: str) -> None:
    saved = create_reward_model(f"hf:{causal}", width=16, roles=8).save(tmp_path / "saved")
    with pytest.raises(ModelError, match="SHA-256"):
        use(resealed(saved, tmp_path / "model", texts={"backbone": text}))
