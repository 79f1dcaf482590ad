"""docs/serving.md, block by block, as a reader would do it (what is about Ray: tests/serving/test_ray_serve.py)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from rmgym.models.remote.connection import token_of_environment
from tests.serving.serving import ServerProcess, free_port

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "serving.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if "--ray" not in line]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    (command,) = (line for line in COMMANDS if re.fullmatch("rmgym serve [^-]+", line))
    with ServerProcess(*command.split()[1:], "--port", str(free_port())) as running:
        yield running


def here(text: str, server: ServerProcess) -> str:
    """What the page says, with the port of this test."""
    assert "http://127.0.0.1:8765" in text
    return text.replace("http://127.0.0.1:8765", server.url)


def test_training_on_it(server: ServerProcess, tmp_path: Path) -> None:
    (command,) = (line for line in COMMANDS if line.startswith("rmgym train"))
    called = [Path(sys.executable).with_name("rmgym"), *here(command, server).split()[1:]]
    done = subprocess.run(called, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/served/run.json").exists()


def test_the_python_way(server: ServerProcess) -> None:
    code = here(blocks("python")[0], server)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{'model': 'random'")


def test_watching_it(server: ServerProcess) -> None:
    looks = [here(line, server).split()[-1] for line in COMMANDS if line.startswith("curl")]
    health, metrics = (httpx2.get(url).text for url in looks)
    assert health == '{"status":"ok"}'
    named = set(re.findall(r"rmgym_\w+", PAGE.partition("## Watch it")[2].partition("## ")[0]))
    given = set(re.findall(r"^# TYPE (\w+) ", metrics, re.MULTILINE))
    assert named == {name for name in given if not name.endswith("_created")}


def test_with_a_token(tmp_path: Path) -> None:
    export, serve = (line for line in COMMANDS if line.startswith("export RMGYM_TOKEN=") or "--host" in line)
    variable, _, made = export.removeprefix("export ").partition("=")
    python = re.fullmatch(r"\$\(python -c '(.*)'\)", made)
    assert python is not None
    token = subprocess.run([sys.executable, "-c", python[1]], capture_output=True, text=True, check=True).stdout.strip()
    arguments = re.sub(r"--port \d+", "--port 0", serve).split()[1:]
    with ServerProcess(*arguments, env={**os.environ, variable: token}) as server:
        url = f"http://127.0.0.1:{server.port}/model"
        assert httpx2.get(url).status_code == 401
        assert httpx2.get(url, headers={"Authorization": f"Bearer {token}"}).json()["name"] == "random"


def test_the_token_is_for_the_host_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = (line for line in COMMANDS if line.startswith("export RMGYM_TOKEN_HOST="))
    variable, _, host = line.removeprefix("export ").partition("=")
    monkeypatch.setenv("RMGYM_TOKEN", "secret")
    monkeypatch.setenv(variable, host)
    assert token_of_environment(f"http://{host}") == "secret"
    assert token_of_environment("http://rewards.example.com:8766") is None


def test_every_command_of_the_page_is_run_here() -> None:
    known = ("rmgym serve random", "rmgym train ", "export ", "curl ", "pip install 'rmgym[serve]'")
    assert [line for line in COMMANDS if not line.startswith(known)] == []
