"""LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685): small trained matrices beside the LM's frozen ones.

peft puts them in and multiplies them out. What is saved are these matrices alone, as safetensors like any weights of
ours, and no configuration or pickle of peft's. For scoring they are merged into a copy of the LM, which then costs what
the plain LM costs; merging in place and back would move the frozen weights by rounding errors each time.
"""

from __future__ import annotations

import copy
from collections.abc import MutableMapping
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn

from rmgym.errors import ModelError
from rmgym.models.backbones.backbone import LanguageModel

_TOWER = "tower."
_LORA = ".lora_"


def add_lora(lm: LanguageModel, rank: int, alpha: int) -> None:
    """Put trainable low-rank changes beside every matrix of a language model; all else of it is frozen.

    Args:
        lm: changed in place. Its outputs stay the same, since each change begins as zero.
        rank: of each change.
        alpha: each change is scaled by ``alpha / rank``.

    Raises:
        ModelError: peft is not installed, or the LM has no matrices that peft can adapt.
    """
    if find_spec("peft") is None:
        raise ModelError("tune='lora' needs the package peft", got="it is not installed", fix="pip install peft")
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D

    # The pooler's output is not used; an adapter there would never learn.
    names = [n for n, m in lm.named_modules() if isinstance(m, nn.Linear | Conv1D) and "pooler" not in n]
    if not names:
        raise ModelError("tune='lora' needs linear layers", got=type(lm).__name__, fix="use tune='whole'")
    transposed = isinstance(lm.get_submodule(names[0]), Conv1D)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names, fan_in_fan_out=transposed)
    inject_adapter_in_model(config, lm)
    for parameter in lm.parameters():
        if parameter.requires_grad:  # small steps would be lost in the low precision that an LM may have
            parameter.data = parameter.data.float()


def merged(lm: LanguageModel) -> LanguageModel:
    """A copy of the language model with the low-rank changes added to its matrices, without peft's layers.

    Its outputs are those of ``lm`` to 1e-5 in float32; in lower precision the sum is rounded like any weight. The
    caller sees to it that what is kept is computed so (:func:`rmgym.models.precision.for_keeps`).
    """
    from peft.tuners.lora import LoraLayer

    plain = copy.deepcopy(lm).requires_grad_(False).eval()
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, LoraLayer):
            adapter: Any = layer
            adapter.merge()
            plain.set_submodule(name, adapter.get_base_layer())
    return plain


def is_lora(name: str) -> bool:
    """Whether the name of a parameter is that of one of LoRA's matrices."""
    return _LORA in name


def plain_name(name: str) -> str:
    """What a weight beside LoRA's is called in the LM that has no LoRA; peft puts each matrix one level deeper."""
    return name.replace(".base_layer.", ".")


def keep_only_lora(tower: nn.Module) -> None:
    """Leave the frozen weights below a model's ``tower`` out of its state, in saving and in loading."""
    tower.register_state_dict_post_hook(_drop_frozen)  # type: ignore[no-untyped-call]
    tower.register_load_state_dict_post_hook(_miss_none)  # type: ignore[no-untyped-call]


def is_frozen_weight(name: str) -> bool:
    """Whether a name in the state of a model, or of one that contains it, is that of a frozen weight of its LM."""
    return (name.startswith(_TOWER) or f".{_TOWER}" in name) and not is_lora(name)


def _drop_frozen(tower: nn.Module, state: MutableMapping[str, Tensor], prefix: str, metadata: object) -> None:
    del tower, metadata
    for name in [n for n in state if n.startswith(prefix) and not is_lora(n)]:
        del state[name]


def _miss_none(module: nn.Module, incompatible: Any) -> None:
    del module
    incompatible.missing_keys[:] = [name for name in incompatible.missing_keys if not is_frozen_weight(name)]
