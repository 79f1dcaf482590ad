"""``rmgym serve``: says where it is, is careful with whom it talks, and stops cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest
from typer.testing import CliRunner

from rmgym.cli.main import app
from rmgym.models import create_reward_model, load_reward_model
from tests.serving.serving import TEXTS, ServerProcess

run = CliRunner().invoke


def test_a_folder_is_served_at_a_free_port_and_trained_on(tmp_path: Path) -> None:
    folder = create_reward_model("random", seed=7).save(tmp_path / "model")
    with ServerProcess("serve", str(folder), "--port", "0") as server:
        command = (
            f"train Pendulum-v1 --algo a2c --steps 80 --eval-every 80 --episodes 1 --json --out {tmp_path / 'run'}"
        )
        result = run(app, [*command.split(), "--reward", server.url])
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["agent"]["reward"]["digest"] == load_reward_model(folder).digest


def test_json_says_where_and_what() -> None:
    command = [sys.executable, "-m", "rmgym", "serve", "random", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline()]
        while lines[-1] != "}\n":
            lines.append(server.stdout.readline())
        said = json.loads("".join(lines))
        assert said["digest"] == create_reward_model("random").digest
        assert httpx2.get(said["url"] + "/health").status_code == 200
        server.kill()


def test_a_token_of_the_environment_is_wanted() -> None:
    with ServerProcess("serve", "random", "--port", "0", env={**os.environ, "RMGYM_TOKEN": "s3cret"}) as server:
        assert httpx2.get(server.url + "/model").status_code == 401
        answer = httpx2.get(server.url + "/model", headers={"Authorization": "Bearer s3cret"})
        assert answer.json()["name"] == "random"


@pytest.mark.parametrize(("number", "code", "said"), [(signal.SIGTERM, 0, ""), (signal.SIGINT, 130, "stopped.")])
def test_it_stops_and_answers_what_was_asked(tmp_path: Path, number: int, code: int, said: str) -> None:
    go = tmp_path / "go"
    with ServerProcess(str(go), module="tests.serving.serving") as server, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(create_reward_model("remote", url=server.url).predict, TEXTS)
        assert server.line() == "scoring\n"
        server.process.send_signal(number)
        go.touch()
        assert np.array_equal(asked.result(60).mean, create_reward_model("random").predict(TEXTS).mean)
        assert server.process.wait(60) == (0 if code == 0 else -number)  # as Python ends without a command line
    with ServerProcess("serve", "random", "--port", "0") as server:
        ended, _, errors = server.end(number)
        assert (ended, errors.strip()) == (code, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("random --host 0.0.0.0", "wants a token"),
        ("random --host 192.0.2.1 --token s3cret", "free port of this machine"),
        ("random --port 70000", "between 0 and 65535"),
        ("random --max-batch 0", "at least one text"),
        ("random --max-wait-ms nan", "at least one text"),
        ("random --token schlüssel", "printable ASCII"),
        ("true", "reads none"),
        ("randon", "did you mean 'random'"),
    ],
)
def test_what_cannot_be_served_is_refused(arguments: str, said: str) -> None:
    result = run(app, ["serve", *arguments.split()], env={"RMGYM_TOKEN": ""})
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    "command",
    ["serve {}", "train Pendulum-v1 --reward {} --out {}/run", "distil {} Pendulum-v1 --out {}/student --steps 50"],
)
def test_a_folder_that_names_a_server_is_taken_where_that_is_allowed(command: str, tmp_path: Path) -> None:
    model = create_reward_model("remote", url="http://127.0.0.1:1", wait=0)
    model._served = {"digest": "0123456789abcdef", "card_hash": None}  # type: ignore[attr-defined]
    words = command.replace("{}", str(model.save(tmp_path / "model"))).split()
    refused = run(app, words)
    assert refused.exit_code == 2
    assert "does not choose by itself who gets the texts" in refused.stderr
    assert "load it with --allow-remote" in " ".join(refused.stderr.split())
    allowed = run(app, [*words, "--allow-remote"])
    assert allowed.exit_code == 2
    assert "the reward server answers within 0 s" in allowed.stderr


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run(app, ["serve", "random", "--port", str(taken.getsockname()[1])])
    assert result.exit_code == 2
    assert "in use" in result.stderr
    assert "--port 0" in result.stderr


@pytest.mark.parametrize(
    ("missing", "option", "extra"),
    [("uvicorn", "--json", "serve"), ("fastapi", "--json", "serve"), ("ray", "--ray", "ray")],
)
def test_a_missing_extra_is_named(missing: str, option: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    result = run(app, ["serve", "random", option])
    assert result.exit_code == 2
    assert f"pip install 'rmgym[{extra}]'" in result.output


def test_help_says_nothing_of_the_token_that_is_set() -> None:
    result = run(app, ["serve", "--help"], env={"RMGYM_TOKEN": "s3cret", "COLUMNS": "140"})
    assert "s3cret" not in result.output
