"""The score server on Ray Serve, with a real Ray on two processors.

Ray gives warnings of its own while it is imported and started, so all of it happens in processes of their own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx2
import numpy as np
import pytest

from rmgym.models import create_reward_model
from tests.conftest import IN_CI
from tests.ui.serving import TEXTS, ServerProcess


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """For processes that use Ray, which keeps a token of its own at home."""
    if find_spec("ray") is None:
        missing = "needs Ray: pip install 'rmgym[ray]'"
        if IN_CI:
            pytest.fail(missing)
        pytest.skip(missing)
    return {**os.environ, "HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"}


def test_a_deployment_scores_like_the_local_model_and_refuses_like_the_server(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.ui.on_ray"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said.pop("another model").startswith("the reward server serves the model that was asked first")
    assert said == {
        "equal": True,
        "digest": True,
        "rows": sum(range(1, 41)),
        "without a token": "this reward server knows its clients by a token",
        "malformed": 400,
        "unknown token": 401,
    }


def test_the_command_serves_with_ray_and_stops(environment: dict[str, str]) -> None:
    with ServerProcess("serve", "random", "--ray", "--port", "0", env=environment) as server:
        model = create_reward_model("remote", url=server.url)
        assert np.array_equal(model.predict(TEXTS).mean, create_reward_model("random").predict(TEXTS).mean)
        assert server.end(signal.SIGTERM)[0] == 0
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(server.url)
