"""Who says so? Ratings and preferences: where they come from and where they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rmgym.feedback.cleaning import clean as clean

__all__ = ["clean"]


def __getattr__(name: str) -> Any:
    """Import what cleans answers where it is first used (PEP 562): labels alone need no database."""
    if name == "clean":
        from rmgym.feedback.cleaning import clean

        return clean
    raise AttributeError(f"module 'rmgym.feedback' has no attribute {name!r}")
