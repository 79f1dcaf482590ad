"""From what a reader says of a step to its reward."""

from __future__ import annotations

from rmgym.models.heads.base import Engine as Engine
from rmgym.models.heads.base import Heads as Heads
from rmgym.models.heads.fusion import FusionHead
from rmgym.models.heads.pooled import PooledHead
from rmgym.models.language_options import LanguageModelConfig


def make_heads(config: LanguageModelConfig, state_size: int) -> Heads:
    """The heads that take what the reader of the same options gives."""
    if config.fusion == "late":
        sizes = (config.width, config.layers, config.attention_heads, config.frequencies)
        return Heads(FusionHead(state_size, *sizes) for _ in range(config.heads))
    return Heads(PooledHead(state_size, config.width, config.pool) for _ in range(config.heads))
