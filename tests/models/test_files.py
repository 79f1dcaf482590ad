"""Models on disk: whole or refused, the old one intact whatever happens, and nothing ever executed."""

import errno
import json
import pickle
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from rmgym.errors import ModelError, StorageError
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.files import MANIFEST, digest_of, read_files, read_manifest
from rmgym.storage.atomic import write_json
from rmgym.storage.foreign import read_json

TINY = {"vocab_size": 512, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
TEXTS = ["angle: 0.25", "angle: -1.50"]


@pytest.fixture
def saved(tmp_path):
    """A folder with a saved model, and what it predicts."""
    model = create_reward_model("seq2seq", seed=1, **TINY)
    return model.save(tmp_path / "model"), model.predict(TEXTS).mean


def change_manifest(folder, **changes):
    said = read_json(folder / MANIFEST)
    for key, change in changes.items():
        said[key] = {**said[key], **change} if isinstance(change, dict) else change
    write_json(folder / MANIFEST, said)


def test_no_flipped_bit_of_a_manifest_is_read_as_another(saved):
    file, whole = saved[0] / MANIFEST, read_manifest(saved[0])
    content = file.read_bytes()
    for bit in range(0, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        with suppress(ModelError):
            assert whole.items() <= read_manifest(saved[0]).items(), f"bit {bit}"  # but for the checksum's name


def data_file(folder, key="weights"):
    return folder / json.loads((folder / MANIFEST).read_text())["files"][key]


def test_a_folder_holds_a_manifest_and_the_files_it_names(saved):
    folder, _ = saved
    said = json.loads((folder / MANIFEST).read_text())
    assert {p.name for p in folder.iterdir()} == {MANIFEST, *said["files"].values()}
    assert set(said["files"]) == {"weights", "tokenizer"}
    assert {"rmgym", "torch", "numpy"} <= set(said["versions"])
    assert said["config"]["embedding_dim"] == 16


def test_a_model_is_named_by_its_folder_or_its_manifest(saved):
    folder, expected = saved
    assert np.array_equal(load_reward_model(folder / MANIFEST).predict(TEXTS).mean, expected)
    assert read_files(folder / MANIFEST)[0] == read_files(folder)[0]


@pytest.mark.parametrize("key", ["weights", "tokenizer"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "missing"])
def test_damaged_files_are_refused(saved, key, damage):
    folder, _ = saved
    target = data_file(folder, key)
    content = bytearray(target.read_bytes())
    if damage == "missing":
        target.unlink()
    else:
        content[len(content) // 2] ^= 1
        cut = {"flip": len(content), "truncate": len(content) // 2, "empty": 0}[damage]
        target.write_bytes(bytes(content[:cut]))
    with pytest.raises(ModelError, match="whole and unaltered") as caught:
        load_reward_model(folder)
    assert target.name in str(caught.value)
    assert "copy the folder again" in str(caught.value)


def test_weights_that_are_not_safetensors_are_refused_though_the_checksum_fits(saved):
    import hashlib

    folder, _ = saved
    content = b"\x40\x00\x00\x00\x00\x00\x00\x00 not safetensors"
    data_file(folder).write_bytes(content)
    change_manifest(folder, sha256={"weights": hashlib.sha256(content).hexdigest()})
    with pytest.raises(ModelError, match="whole and unaltered"):
        load_reward_model(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": {"num_heads": 4}}, "as it was saved"),  # fits the weights' shapes, but is another model
        ({"config": {"embedding_dim": 32}}, "as it was saved"),
        ({"model": "constant"}, "as it was saved"),
        ({"digest": "0" * 16}, "as it was saved"),
        ({"model": "no_such_model"}, "is built in"),
        ({"format": 99}, "format 1"),
        ({"config": []}, "'config'"),
        ({"files": []}, "'files'"),
        ({"card_hash": 3}, "'card_hash'"),
        ({"fitted_on": {"source": []}}, "fitted on"),
        ({"fitted_on": {"options": 3}}, "fitted on"),
        ({"fitted_on": {"ratings": "many"}}, "fitted on"),
        ({"files": {"weights": 3}}, "not the name"),
        ({"sha256": {"weights": "0"}}, "SHA-256"),
        ({"files": {"weights": "nothere-0123456789abcdef.safetensors"}}, "No such file"),
    ],
)
def test_altered_manifests_are_refused(saved, changes, said):
    folder, _ = saved
    change_manifest(folder, **changes)
    with pytest.raises(ModelError, match=said):
        load_reward_model(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"format": 1}', "\x00\xff"])
def test_manifests_that_are_something_else_are_refused(saved, content):
    folder, _ = saved
    (folder / MANIFEST).write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelError, match=MANIFEST):
        load_reward_model(folder)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "..", "sub/x-0123456789abcdef.json"])
def test_a_manifest_cannot_lead_out_of_its_folder(saved, name):
    folder, _ = saved
    secret = folder.parent / "secret.safetensors"
    shutil.copy(data_file(folder), secret)
    change_manifest(folder, files={"weights": name})
    with pytest.raises(ModelError, match="not the name of a model's file"):
        load_reward_model(folder)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.write_text, (self.marker, "executed")


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "pytorch_model.bin", "weights.pth"])
@pytest.mark.parametrize("as_folder", [True, False])
def test_a_pickle_is_refused_and_never_opened(tmp_path, name, as_folder):
    marker = tmp_path / "executed"
    folder = tmp_path / "offered"
    folder.mkdir()
    (folder / name).write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(ModelError, match="pickles are never opened"):
        load_reward_model(folder if as_folder else folder / name)
    assert not marker.exists()
    pickle.loads((folder / name).read_bytes())  # the bomb is real
    assert marker.exists()


def test_a_pickle_named_by_a_manifest_is_never_opened(saved, tmp_path):
    import hashlib

    folder, _ = saved
    marker = tmp_path / "executed"
    bomb = pickle.dumps(Bomb(marker))
    data_file(folder).write_bytes(bomb)
    change_manifest(folder, sha256={"weights": hashlib.sha256(bomb).hexdigest()})
    with pytest.raises(ModelError, match="whole and unaltered"):
        load_reward_model(folder)
    assert not marker.exists()


class FullDisk:
    """Lets ``writes`` files be written; the next one stops in the middle with ENOSPC."""

    def __init__(self, monkeypatch, writes):
        self.left, self.open = writes, Path.open
        monkeypatch.setattr(Path, "open", lambda path, mode="r", **options: self.opened(path, mode, **options))

    def opened(self, path, mode, **options):
        file = self.open(path, mode, **options)
        if "w" in mode:
            self.left -= 1
            if self.left < 0:
                return HalfFile(file)
        return file


class HalfFile:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_full_disk_leaves_the_old_model_whole(saved, monkeypatch, writes):
    folder, expected = saved
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    newer = create_reward_model("seq2seq", seed=2, **TINY)
    newer.prepare(as_batch(["other words: 1.5"]))  # so that the tokenizer's file changes too
    with monkeypatch.context() as patched:
        FullDisk(patched, writes)
        with pytest.raises(StorageError, match="enough space") as caught:
            newer.save(folder)
    assert "No space left" in str(caught.value)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert np.array_equal(load_reward_model(folder).predict(TEXTS).mean, expected)


def test_a_first_save_on_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        FullDisk(patched, 1)
        with pytest.raises(StorageError, match="enough space"):
            create_reward_model("seq2seq", **TINY).save(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_what_json_cannot_say_is_found_before_anything_is_written(saved):
    folder, _ = saved
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    newer = create_reward_model("seq2seq", seed=2, **TINY)
    newer.fitted_on = {"labels": object()}
    with pytest.raises(TypeError):
        newer.save(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_killed_between_data_and_manifest_the_old_model_loads_and_the_next_save_cleans_up(saved, tmp_path):
    folder, expected = saved
    newer = create_reward_model("seq2seq", seed=2, **TINY)
    elsewhere = newer.save(tmp_path / "newer")
    orphan = folder / data_file(elsewhere).name
    shutil.copy(data_file(elsewhere), orphan)
    half = folder / f".{orphan.name}.4242.partial"
    half.write_bytes(b"half")
    (folder / "notes.txt").write_text("the user's own")
    assert np.array_equal(load_reward_model(folder).predict(TEXTS).mean, expected)

    third = create_reward_model("seq2seq", seed=3, **TINY)
    third.save(folder)
    assert not orphan.exists()
    assert not half.exists()
    assert (folder / "notes.txt").exists()
    assert np.array_equal(load_reward_model(folder).predict(TEXTS).mean, third.predict(TEXTS).mean)


def test_killed_while_writing_leaves_a_name_that_no_load_reads(saved, monkeypatch):
    """A kill is an exception nobody handles, raised where it hurts most: just before each rename."""
    folder, expected = saved
    replace = Path.replace
    for survived in range(3):
        count = iter(range(10))

        def killed(path, target, survived=survived, count=count):
            if next(count) == survived:
                raise KeyboardInterrupt
            return replace(path, target)

        newer = create_reward_model("seq2seq", seed=5, **TINY)
        newer.prepare(as_batch(["other words: 1.5"]))
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                newer.save(folder)
        load_reward_model.__globals__["_load"].cache_clear()
        assert np.array_equal(load_reward_model(folder).predict(TEXTS).mean, expected)


def test_saving_over_another_kind_of_model_removes_its_files(saved):
    folder, _ = saved
    create_reward_model("constant", value=2.0).save(folder)
    assert [p.name for p in folder.iterdir()] == [MANIFEST]
    assert load_reward_model(folder).predict(TEXTS).mean.tolist() == [2.0, 2.0]


SAVE = """
import sys
from rmgym.models.files import digest_of, write_model

for i in range(40):
    config, texts = {}, {"tokenizer": f"{sys.argv[2]} {i % 2}" * 10_000}
    told = {"model": "texts", "config": config, "card_hash": None}
    write_model(sys.argv[1], {**told, "digest": digest_of({"model": "texts"}, None, texts)}, texts=texts)
"""
"""Saves models by turns, as a process that is killed and started again would."""


def test_processes_that_save_into_one_folder_leave_one_whole_model_and_readers_always_get_one(tmp_path):
    folder = tmp_path / "model"
    first = [sys.executable, "-c", SAVE, str(folder)]
    writers = [subprocess.Popen([*first, name]) for name in ("one", "other")]
    read = 0
    while any(writer.poll() is None for writer in writers):
        if (folder / MANIFEST).exists():
            assert read_files(folder)[2]["tokenizer"][:3] in ("one", "oth")
            read += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert read > 0
    assert {file.name for file in folder.iterdir()} == {MANIFEST, *read_manifest(folder)["files"].values()}
    read_files(folder)


def test_a_save_waits_for_another_and_never_removes_what_it_writes(saved):
    from threading import Thread

    from rmgym.models.files import _LOCK
    from rmgym.storage.locks import held

    folder, _ = saved
    newer = create_reward_model("seq2seq", seed=2, **TINY)
    with held(folder / _LOCK, what="a reward model's folder", keep=False):
        half = folder / ".weights-0123456789abcdef.safetensors.1.partial"
        half.write_bytes(b"half")
        saving = Thread(target=newer.save, args=[folder])
        saving.start()
        saving.join(timeout=0.3)
        assert saving.is_alive()
        assert half.exists()
    saving.join()
    assert not half.exists()
    assert np.array_equal(load_reward_model(folder).predict(TEXTS).mean, newer.predict(TEXTS).mean)


def test_a_model_of_another_kind_saved_while_one_loads_is_loaded_as_what_it_is(tmp_path, monkeypatch):
    from rmgym.models import registry

    folder = create_reward_model("random", seed=3).save(tmp_path / "model")

    def overtaken(path):
        manifest = read_manifest(path)
        create_reward_model("constant", value=2.0).save(path)
        return manifest

    monkeypatch.setattr(registry, "read_manifest", overtaken)
    assert load_reward_model(folder).predict(TEXTS).mean.tolist() == [2.0, 2.0]


def test_a_file_in_the_way_is_an_error_that_says_so(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(StorageError, match="writable folder"):
        create_reward_model("constant").save(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_an_empty_folder_is_not_a_model(tmp_path):
    with pytest.raises(ModelError, match=f"folder with {MANIFEST}") as caught:
        read_manifest(tmp_path)
    assert "rmgym fit" in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool])
def test_digest_reads_every_dtype_and_shape(dtype):
    tensor = torch.tensor([[0, 1], [1, 1]]).to(dtype)
    digests = {
        digest_of({"model": "m"}, {"w": tensor}),
        digest_of({"model": "m"}, {"w": tensor.T.logical_not().to(dtype)}),
        digest_of({"model": "m"}, {"w": tensor.reshape(4)}),
        digest_of({"model": "m"}, {"v": tensor}),
        digest_of({"model": "n"}, {"w": tensor}),
        digest_of({"model": "m"}, {"w": tensor[1, 0]}),
        digest_of({"model": "m"}, {"w": tensor}, {"tokenizer": "{}"}),
        digest_of({"model": "m"}, {"w": tensor}, {"tokenizer": "{ }"}),
    }
    assert len(digests) == 8
    assert digest_of({"model": "m"}, {"w": tensor.T.contiguous().T}) in digests


def test_digest_does_not_depend_on_the_order_of_keys():
    a, b = torch.zeros(2), torch.ones(3)
    assert digest_of({"x": 1, "y": 2}, {"a": a, "b": b}) == digest_of({"y": 2, "x": 1}, {"b": b, "a": a})


def as_batch(strings):
    from rmgym.text.batch import TextBatch

    return TextBatch.from_strings(strings)
