"""``rmgym serve --ray`` with a real Ray on two processors, in a process of its own: importing Ray gives warnings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.test_serving import PAGE


def test_on_ray_it_scores_like_the_local_model_and_refuses_like_the_server(tmp_path: Path) -> None:
    if find_spec("ray") is None:
        missing = "needs Ray: pip install 'rmgym[ray]'"
        if IN_CI:
            pytest.fail(missing)
        pytest.skip(missing)
    assert "\nrmgym serve random --ray\n" in PAGE
    # Ray keeps a token of its own at home.
    environment = {**os.environ, "HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "tests.serving.on_ray"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said.pop("another model").startswith("the reward server serves the model that was asked first")
    assert said == {
        "equal": True,
        "digest": True,
        "rows": sum(range(1, 41)),
        "malformed": 400,
        "without a token": 401,
        "after a replica died": True,
        "example": True,
    }
    assert "random at http://127.0.0.1:" in done.stdout
