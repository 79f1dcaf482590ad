"""Options of :class:`rmgym.models.language_model.LanguageModelReward`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rmgym.errors import ModelError

Tune = Literal["frozen", "lora", "whole"]
Fusion = Literal["late", "early", "digits"]


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig:
    """Options of :class:`rmgym.models.language_model.LanguageModelReward`.

    Attributes:
        backbone: name of built-in weights (``minilm``, ``smollm2``), a local folder of a Hugging Face encoder or causal
            language model, or ``hf:`` and a hub id.
        fusion: how numbers enter, see :mod:`rmgym.models.language_model`.
        tune: ``frozen``, ``lora`` (Hu et al. 2021) or ``whole``.
        heads: independent reward heads; their disagreement is the model's std.
        width: token width of a late-fusion head.
        layers: blocks of a late-fusion head.
        attention_heads: attention heads of a late-fusion head.
        frequencies: exponents k of the Fourier frequencies pi 2^k; few labels want few, low ones.
        pool: how early and digits read the LM's states: ``attention``, ``mean`` or ``last``.
        lora_rank: rank of the change that LoRA may make to each matrix.
        lora_alpha: the change is scaled by ``lora_alpha / lora_rank``.
        dtype: in which the LM is kept and runs; heads and LoRA stay in float32. For LMs too large for float32.

    Raises:
        ModelError: a size is impossible, or a whole LM would be tuned in low precision.
    """

    backbone: str
    fusion: Fusion = "late"
    tune: Tune = "frozen"
    heads: int = 1
    width: int = 128
    layers: int = 2
    attention_heads: int = 4
    frequencies: tuple[int, ...] = (-4, -3, -2, -1, 0)
    pool: Literal["attention", "mean", "last"] = "attention"
    lora_rank: int = 8
    lora_alpha: int = 16
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        sizes = (self.heads, self.width, self.layers, self.attention_heads, self.lora_rank, self.lora_alpha)
        if min(sizes) < 1 or self.width % self.attention_heads:
            raise ModelError(
                "sizes are positive and 'width' is a multiple of 'attention_heads'", got=self, fix="change them"
            )
        if self.tune == "whole" and self.dtype != "float32":
            raise ModelError(
                "a language model that is tuned whole keeps its weights in float32",
                got=f"dtype={self.dtype!r}",
                fix="use tune='lora', or FitOptions(precision='bfloat16') for cheaper products",
            )
