"""What wrote a file: versions of packages, and the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import TypedDict

PACKAGES = ("rmgym", "torch", "transformers", "tokenizers", "gymnasium", "stable-baselines3", "numpy")
"""Those that numbers may depend on."""


class Machine(TypedDict):
    """Facts about a machine that say what its timings are worth."""

    cores: int | None
    architecture: str
    system: str


def versions() -> dict[str, str]:
    """Versions of :data:`PACKAGES` and of Python, by name."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def machine() -> Machine:
    """The machine at work."""
    return {"cores": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()}
