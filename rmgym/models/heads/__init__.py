"""From what a reader says of a step to its reward."""

from __future__ import annotations

from rmgym.models.heads.base import Heads as Heads
from rmgym.models.heads.binding import BindingHeads as BindingHeads
from rmgym.models.heads.pooled import PooledHead
from rmgym.models.language_options import LanguageModelConfig


def make_heads(config: LanguageModelConfig, size: int) -> Heads | BindingHeads:
    """The heads that take what the reader of the same options gives, whose vectors are of that size."""
    if config.fusion == "late":
        return BindingHeads(size, config.heads, config.width, config.roles, config.frequencies or ())
    return Heads(PooledHead(size, config.width, config.pool) for _ in range(config.heads))
