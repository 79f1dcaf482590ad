"""What every test relies on: one thread, no network, no screen, property tests that repeat in CI."""

from __future__ import annotations

import os
import shutil
from importlib import import_module

import pytest
from hypothesis import HealthCheck, settings

# Set before anything imports torch, transformers, matplotlib or pygame; subprocesses of tests inherit it.
os.environ.update(
    OMP_NUM_THREADS="1",  # pytest-xdist runs one process per core already
    HF_HUB_OFFLINE="1",  # no test may depend on a hub
    TOKENIZERS_PARALLELISM="false",  # else tokenizers warns wherever a test forks
    MPLBACKEND="Agg",
    SDL_VIDEODRIVER="dummy",
    PYGAME_HIDE_SUPPORT_PROMPT="1",
)

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")

# A busy machine is no failure, so there are no deadlines. In CI the examples are the same at every run.
settings.register_profile("rmgym", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("rmgym-ci", settings.get_profile("rmgym"), derandomize=True, print_blob=True)
settings.load_profile("rmgym-ci" if IN_CI else "rmgym")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what language models made of texts in a folder of the tests' own."""
    os.environ.setdefault("RMGYM_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session", autouse=True)
def console() -> None:
    """Make the command line's consoles before a test sets COLUMNS: rich keeps the width that it finds at first."""
    import_module("rmgym.cli.output")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium that can run headless; where there is none, a test fails in CI and is skipped elsewhere."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if found := next(filter(None, map(shutil.which, names)), None):
        return found
    missing = f"needs one of {', '.join(names)} on PATH (Debian: apt-get install chromium)"
    if IN_CI:
        pytest.fail(missing)
    pytest.skip(missing)
