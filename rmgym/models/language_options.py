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
        width: of a head's layers.
        roles: size of a number's role in a late-fusion head, see :mod:`rmgym.models.heads.binding`.
        frequencies: exponents k of the Fourier frequencies pi 2^k of numbers; few labels want few, low ones. By default
            none for late fusion, and -4 to 0 for early fusion.
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
    heads: int = 5
    width: int = 128
    roles: int = 128
    frequencies: tuple[int, ...] | None = None
    pool: Literal["attention", "mean", "last"] = "attention"
    lora_rank: int = 8
    lora_alpha: int = 16
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        if min(self.heads, self.width, self.roles, self.lora_rank, self.lora_alpha) < 1:
            raise ModelError("sizes are positive", got=self, fix="change them")
        check_frequencies(self.frequencies)
        if self.tune == "whole" and self.dtype != "float32":
            raise ModelError(
                "a language model that is tuned whole keeps its weights in float32",
                got=f"dtype={self.dtype!r}",
                fix="use tune='lora', or FitOptions(precision='bfloat16') for cheaper products",
            )


def check_frequencies(exponents: tuple[int, ...] | None) -> None:
    """Refuse Fourier frequencies that float32 does not tell from none, or that no float can hold.

    Raises:
        ModelError: an exponent is out of range.
    """
    if any(abs(k) > 32 for k in exponents or ()):
        raise ModelError("exponents of frequencies are from -32 to 32", got=exponents, fix="take frequencies=(-1, 0)")
