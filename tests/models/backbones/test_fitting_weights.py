"""Folders of language models that somebody else wrote are looked at before anything is built of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rmgym.errors import ModelError
from rmgym.models.backbones.backbone import load_backbone
from tests.hostile import DEEP_JSON, harmless, put_in_the_way


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("num_hidden_layers", 10**6),
        ("hidden_size", 10**9),
        ("vocab_size", 10**9),
        ("intermediate_size", 10**9),
        ("max_position_embeddings", 10**9),
        ("num_attention_heads", 0),
        ("hidden_size", "wide"),
    ],
)
def test_a_configuration_of_more_than_there_is_is_refused(
    encoder: Path, tmp_path: Path, option: str, value: object
) -> None:
    folder = Path(shutil.copytree(encoder, tmp_path / "lm"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, option: value}))
    with harmless(option, gigabytes=2), pytest.raises(ModelError, match="a backbone"):
        load_backbone(str(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_file_nested_without_end_is_refused(encoder: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(encoder, tmp_path / "lm"))
    (folder / name).write_text(DEEP_JSON)
    with pytest.raises(ModelError, match="a backbone"):
        load_backbone(str(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vocab.txt"])
def test_a_pipe_among_the_files_is_not_opened(encoder: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(encoder, tmp_path / "lm"))
    put_in_the_way(folder / name, "fifo")
    with pytest.raises(ModelError, match=r"plain files(?s:.)*no regular file"):
        load_backbone(str(folder))


def test_terabytes_that_are_a_hole_are_refused_before_memory_is_taken(encoder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(encoder, tmp_path / "lm"))
    config, width = json.loads((folder / "config.json").read_text()), 2**40
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": width // config["hidden_size"] // 4}))
    header = json.dumps({"embeddings": {"dtype": "F32", "shape": [width // 4], "data_offsets": [0, width]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + width)
    with harmless("a hole", gigabytes=2), pytest.raises(ModelError, match=r"plain files(?s:.)*the rest is a hole"):
        load_backbone(str(folder))
