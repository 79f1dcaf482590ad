"""The demo's quick road, run once for all tests that look at what comes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rmgym.cli.main import app


@dataclass(frozen=True)
class Demo:
    """What ``rmgym demo --quick --json`` left: its folder and what it said."""

    folder: Path
    said: dict[str, Any]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "out"
    result = CliRunner().invoke(app, ["demo", "--quick", "--json", "--out", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return Demo(folder, json.loads(result.stdout))
